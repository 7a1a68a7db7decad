"""The chain of migrations, one for both databases; the reason for each stands in its docstring."""
