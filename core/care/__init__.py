"""Care: stories that touch every room of one account."""

from core.care.merge import agree_link, sweep

__all__ = ["agree_link", "sweep"]
