"""The workers' door: what is done on a schedule and, later, what takes long."""
