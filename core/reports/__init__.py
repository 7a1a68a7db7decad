"""Reading across rooms: what must always hold."""

from core.reports.invariants import CHECKS, Violation, run

__all__ = ["CHECKS", "Violation", "run"]
