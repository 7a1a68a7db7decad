"""The router: the one way to a model call. It picks who answers, and fails over before the first visible delta."""

from core.router.policy import failure
from core.router.router import (
    RoutedStream,
    default_model,
    model,
    models,
    stream,
)
from core.router.types import Attempt, Audience, Route

__all__ = ["Attempt", "Audience", "Route", "RoutedStream", "default_model", "failure", "model", "models", "stream"]
