"""The use cases of the catalog: reading from the snapshot, adding models, pricing them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from core import audit, settings
from core.catalog import rules, store
from core.catalog.types import Charge, Model
from core.kit import changes
from core.kit.errors import NotFound
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope, current


class _Snapshot:
    """What this process believes; replaced as a whole."""

    def __init__(self, _scope: Scope) -> None:
        self.models: Mapping[str, Model] = {}
        self.subscribed = False


def find(name: str) -> Model | None:
    """The model of this public name, whoever may use it; None when there is none."""
    return current().state(_Snapshot).models.get(name)


def visible(is_admin: bool, served: Collection[str] | None = None) -> list[Model]:
    """The models somebody may choose from, by name and demos last: enabled, and free or priced unless administrator.

    `served` limits them to the names that some channel serves; None does not.
    """
    models = current().state(_Snapshot).models
    return rules.shown(models.values(), models.keys() if served is None else served, is_admin=is_admin)


async def load() -> None:
    """Read all models and keep them fresh from the change feed; once at the start of a process."""
    snapshot = current().state(_Snapshot)
    if not snapshot.subscribed:
        snapshot.subscribed = True
        changes.feed().subscribe("model", _reload)
    await _reload("")


async def upsert(
    work: Work,
    name: str,
    *,
    window: int | None = None,
    max_output: int | None = None,
    demo: bool = False,
    by: str = "system",
) -> Model:
    """Make sure that the model exists, inside the caller's unit of work; None keeps what is known.

    A new model is unpriced; a new demo is free. Raises BadInput.
    """
    name = rules.check_name(name)
    if window is not None:
        rules.check_tokens(window, "window")
    if max_output is not None:
        rules.check_tokens(max_output, "max_output")
    added = await store.insert(
        work,
        name,
        demo=demo,
        charge=Charge.FREE if demo else Charge.UNPRICED,
        at=current().clock.now(),
        currency=settings.get(settings.SITE_CURRENCY),
    )
    before = await store.one(work, name)
    assert before is not None
    profile = (
        before.profile.window if window is None else window,
        before.profile.max_output if max_output is None else max_output,
    )
    changed = profile != (before.profile.window, before.profile.max_output)
    if changed:
        await store.set_profile(work, name, *profile)
    after = await store.one(work, name)
    assert after is not None
    if added or changed:
        await audit.write(
            work,
            by,
            "model.added" if added else "model.changed",
            name,
            before=None if added else _shown(before),
            after=_shown(after),
        )
        await changes.record(work, "model", name)
    return after


async def price(
    name: str,
    *,
    free: bool = False,
    price_in: Decimal | str | None = None,
    price_out: Decimal | str | None = None,
    by: str,
) -> Model:
    """Set how a model is charged: free, or both prices per million tokens in the site's currency.

    Audited. Raises NotFound("model_unknown"), BadInput.
    """
    asked = rules.terms(free=free, price_in=price_in, price_out=price_out)

    async def body(work: Work) -> Model:
        return await set_terms(work, name, asked, by=by)

    return await unit_of_work(body)


async def set_terms(work: Work, name: str, asked: rules.Terms, *, by: str) -> Model:
    """The same inside the caller's unit of work, for a channel that comes with its models and their price."""
    before = await store.one(work, name)
    if before is None:
        raise NotFound("model_unknown", model=name[: rules.MAX_NAME])
    await store.set_price(work, name, asked, settings.get(settings.SITE_CURRENCY))
    after = await store.one(work, name)
    assert after is not None
    await audit.write(work, by, "model.priced", name, before=_shown(before), after=_shown(after))
    await changes.record(work, "model", name)
    return after


async def _reload(_name: str) -> None:
    current().state(_Snapshot).models = {model.name: model for model in await store.everything()}


def _shown(model: Model) -> dict[str, str | int | bool | None]:
    return {
        "charge": model.charge.value,
        "price_in": None if model.price is None else format(model.price.input, "f"),
        "price_out": None if model.price is None else format(model.price.output, "f"),
        "currency": None if model.price is None else model.price.currency,
        "window": model.profile.window,
        "max_output": model.profile.max_output,
    }
