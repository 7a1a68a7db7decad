"""The witness: who changed what, before and after."""

from core.audit.service import write

__all__ = ["write"]
