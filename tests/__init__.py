"""The tests: under each folder what its namesake promises."""
