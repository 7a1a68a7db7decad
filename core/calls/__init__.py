"""One paid model call: set aside before the first byte, settled on every exit. The one way to spend.

`reserve`, then `paid_stream`, then `settle` inside the caller's unit of work, or in none. `settle_by_record` is for
sweeps that end what a dead process left.
"""

from core.calls.reserve import cancel, reserve, settle_by_record
from core.calls.stream import PaidStream, paid_stream
from core.calls.types import Payer, Reservation, Settlement

__all__ = [
    "PaidStream",
    "Payer",
    "Reservation",
    "Settlement",
    "cancel",
    "paid_stream",
    "reserve",
    "settle_by_record",
]
