"""The page in a real browser, against a whole Parley."""
