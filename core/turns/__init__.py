"""The story of one answer, and all a door needs: start it, follow it by its id, stop it, ask again.

A door collects input, starts something here and renders events; it decides nothing. The process that starts a turn
runs it; every door of every process follows it through the event log.
"""

from core.turns import deliveries
from core.turns.following import follow
from core.turns.reading import busy, ended, waiting_text
from core.turns.service import act, answer_of, cancel, delete_conversation, edit, get, retry, running, start
from core.turns.sweeping import drain, recover, sweep
from core.turns.types import Delivery, DeliveryTarget, Numbered, Turn, TurnError, TurnRequest, TurnState

__all__ = [
    "Delivery",
    "DeliveryTarget",
    "Numbered",
    "Turn",
    "TurnError",
    "TurnRequest",
    "TurnState",
    "act",
    "answer_of",
    "busy",
    "cancel",
    "delete_conversation",
    "deliveries",
    "drain",
    "edit",
    "ended",
    "follow",
    "get",
    "recover",
    "retry",
    "running",
    "start",
    "sweep",
    "waiting_text",
]
