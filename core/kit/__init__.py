"""What every room stands on, with no domain at all: clock, ids, errors, money, database, Redis, HTTP."""
