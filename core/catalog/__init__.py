"""The catalog: what can be asked for. Models by their public names, with profile and price.

Reading is from a snapshot in memory and never waits; `load` fills it once at the start of a process, the change feed
keeps it fresh. Who serves a model is not known here: `core.router` combines both.
"""

from core.catalog.rules import Terms, terms, usable
from core.catalog.service import find, load, price, set_terms, upsert, visible
from core.catalog.types import Charge, Model, Price

__all__ = [
    "Charge",
    "Model",
    "Price",
    "Terms",
    "find",
    "load",
    "price",
    "set_terms",
    "terms",
    "upsert",
    "usable",
    "visible",
]
