"""The tree of errors: whose fault, whether to try again, and what to tell.

    AppError
    ├── CallerError          the request is wrong; repeating it unchanged cannot help
    │   ├── BadInput             a field is missing, of the wrong type or out of range
    │   ├── TooLarge             the body, file or text is over a limit
    │   └── Unauthenticated      no valid login, key or session
    ├── NotAllowed           known caller, forbidden action
    ├── NotAffordable        the payer lacks credits; parameters say how much is missing
    ├── NotFound             no such thing, or none the caller may know of
    ├── Conflict             the state moved on, or the same key is at work
    ├── TooMany              a limit of rate or of parallel work; `retry_after_s` says when
    ├── Unavailable          we cannot serve now: draining, no route, database or Redis away
    └── UpstreamFailed       every route was tried and failed; carries the last fault
An error carries a stable `code` (the key `error.<code>` in the locales), parameters for that text, and never prose
for people or a secret. Programming errors are assertions and are not in this tree.
"""

from __future__ import annotations

from collections.abc import Mapping

Param = str | int | float


class AppError(Exception):
    """The root: `code` is stable and public, `status` is what HTTP doors answer."""

    status = 500
    retryable = False

    def __init__(
        self, code: str, /, *, field: str | None = None, retry_after_s: float | None = None, **params: Param
    ) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.retry_after_s = retry_after_s
        self.params: Mapping[str, Param] = params

    def __str__(self) -> str:
        told = "".join(f" {name}={value!r}" for name, value in self.params.items())
        return f"{self.code}{told}" + (f" field={self.field}" if self.field else "")


class CallerError(AppError):
    """The request is wrong; `field` names the part of it."""

    status = 400


class BadInput(CallerError):
    """A field is missing, of the wrong type or out of range."""


class TooLarge(CallerError):
    """The body, file or text is over a limit; `limit` is among the parameters."""

    status = 413


class Unauthenticated(CallerError):
    """No valid login, key or session."""

    status = 401


class NotAllowed(AppError):
    """The caller is known and may not do this."""

    status = 403


class NotAffordable(AppError):
    """The payer lacks credits; parameters `missing`, `needed`, `available` are credits as text."""

    status = 402


class NotFound(AppError):
    """No such thing, or none that the caller may know of."""

    status = 404


class Conflict(AppError):
    """The state moved on, or the same idempotency key is at work."""

    status = 409


class TooMany(AppError):
    """A limit of rate or of parallel work; wait `retry_after_s`."""

    status = 429
    retryable = True


class Unavailable(AppError):
    """We cannot serve now: draining, no route, database or Redis away."""

    status = 503
    retryable = True


class UpstreamFailed(AppError):
    """Every route was tried and failed; `fault` names the kind of the last failure, never its host or text."""

    status = 502
    retryable = True

    def __init__(
        self,
        code: str,
        /,
        *,
        fault: str,
        status: int = 502,
        retry_after_s: float | None = None,
        **params: Param,
    ) -> None:
        super().__init__(code, field=None, retry_after_s=retry_after_s, **params)
        self.fault = fault
        self.status = status
