"""The use cases of channels: reading from the snapshot, adding, changing, testing, the demo of the first start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from core import adapters, audit, catalog, settings
from core.adapters import Fault, UpstreamError
from core.audit.service import JSON
from core.channels import rules, store
from core.channels.types import Candidate, Channel, ChannelKey, ChannelModel, TestResult
from core.chat import Call, Finish, Options, Role, is_visible, text_message
from core.kit import changes
from core.kit.errors import AppError, Conflict, NotFound
from core.kit.ids import ChannelId, ChannelKeyId, ModelName, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope, current
from core.kit.secrets import SealBroken

TEST_S = 30.0
"""How long a test waits for the first words of one key."""
TEST_QUESTION = "Say OK."
TEST_MAX_OUTPUT = 16
DEMO_NAME = "demo"

log = structlog.get_logger(__name__)


class _Snapshot:
    """What this process believes; replaced as a whole. Holds opened secrets, in memory only."""

    def __init__(self, _scope: Scope) -> None:
        self.channels: tuple[Channel, ...] = ()
        self.candidates: Mapping[str, Sequence[tuple[tuple[str, ...], Candidate]]] = {}
        """By public model name, with the groups of the channel."""
        self.subscribed = False


def listing() -> list[Channel]:
    """Every channel, by name."""
    return list(current().state(_Snapshot).channels)


def find(ref: str) -> Channel:
    """A channel by its id or name. Raises NotFound("channel_unknown")."""
    channels = current().state(_Snapshot).channels
    found = next((channel for channel in channels if channel.id == ref), None) or next(
        (channel for channel in channels if channel.name == ref), None
    )
    if found is None:
        raise NotFound("channel_unknown", channel=ref[: rules.MAX_NAME])
    return found


def candidates(model: str, group: str) -> list[Candidate]:
    """Who could serve a call for this model now, in no particular order; for an audience's group."""
    offers = current().state(_Snapshot).candidates.get(model, ())
    return [candidate for groups, candidate in offers if rules.admits(groups, group)]


def withheld(model: str, group: str) -> bool:
    """Whether channels in service offer the model, but none of them to this group."""
    offers = current().state(_Snapshot).candidates.get(model, ())
    return bool(offers) and not any(rules.admits(groups, group) for groups, _ in offers)


def served(group: str) -> set[str]:
    """The public names that some channel in service offers to a group."""
    offers = current().state(_Snapshot).candidates
    return {model for model, each in offers.items() if any(rules.admits(groups, group) for groups, _ in each)}


async def load() -> None:
    """Read all channels, open their keys, and keep both fresh from the change feed; once at the start of a process."""
    snapshot = current().state(_Snapshot)
    if not snapshot.subscribed:
        snapshot.subscribed = True
        changes.feed().subscribe("channel", _reload)
    await _reload("")


async def add(
    name: str,
    *,
    models: Mapping[str, str],
    vendor: str = adapters.DEFAULT_VENDOR,
    base_url: str | None = None,
    keys: Sequence[str] = (),
    priority: int = 0,
    weight: int = 1,
    groups: Sequence[str] = (),
    window: int | None = None,
    max_output: int | None = None,
    terms: catalog.Terms | None = None,
    by: str,
) -> Channel:
    """Add a channel, and to the catalog the models it serves; audited, known to every process within a second.

    `models` maps public names to upstream names, empty for the same. `window`, `max_output` and `terms` go to each of
    them; None keeps what is known, and new models then have no price. Raises BadInput, Conflict("channel_name_taken").
    """
    known = adapters.vendor(vendor)
    channel = Channel(
        id=ChannelId(new_id("ch")),
        name=rules.check_name(name),
        vendor=vendor,
        base_url=rules.check_base_url(base_url, known),
        priority=rules.check_priority(priority),
        weight=rules.check_weight(weight),
        groups=rules.check_groups(groups),
        paused=False,
        models=_models(models),
        keys=(),
        created_at=current().clock.now(),
    )
    sealed = _seal(rules.check_keys(keys, known))
    channel = replace(channel, keys=tuple(key for key, _ in sealed))

    async def body(work: Work) -> None:
        if not await store.insert(work, channel):
            raise Conflict("channel_name_taken", name=channel.name)
        await store.replace_keys(work, channel.id, sealed)
        await store.replace_models(work, channel.id, channel.models)
        await _catalogue(work, channel.models, window=window, max_output=max_output, terms=terms, by=by)
        await audit.write(work, by, "channel.added", channel.id, after=_shown(channel))
        await changes.record(work, "channel", channel.id)

    await unit_of_work(body)
    return channel


async def edit(
    ref: str,
    *,
    name: str | None = None,
    models: Mapping[str, str] | None = None,
    vendor: str | None = None,
    base_url: str | None = None,
    keys: Sequence[str] | None = None,
    priority: int | None = None,
    weight: int | None = None,
    groups: Sequence[str] | None = None,
    window: int | None = None,
    max_output: int | None = None,
    terms: catalog.Terms | None = None,
    by: str,
) -> Channel:
    """Change a channel; None keeps what stands, keys and models are replaced as a whole.

    `window`, `max_output` and `terms` go to every model it then serves. Raises NotFound, BadInput, Conflict.
    """

    async def change(work: Work, before: Channel) -> Channel:
        known = adapters.vendor(before.vendor if vendor is None else vendor)
        moved = vendor is not None and vendor != before.vendor and base_url is None
        after = replace(
            before,
            name=before.name if name is None else rules.check_name(name),
            vendor=known.name,
            base_url=rules.check_base_url(None if moved else before.base_url if base_url is None else base_url, known),
            priority=before.priority if priority is None else rules.check_priority(priority),
            weight=before.weight if weight is None else rules.check_weight(weight),
            groups=before.groups if groups is None else rules.check_groups(groups),
            models=before.models if models is None else _models(models),
        )
        if after.name != before.name and await store.named(work, after.name) is not None:
            raise Conflict("channel_name_taken", name=after.name)
        if keys is not None:
            sealed = _seal(rules.check_keys(keys, known))
            await store.replace_keys(work, after.id, sealed)
            after = replace(after, keys=tuple(key for key, _ in sealed))
        if models is not None:
            await store.replace_models(work, after.id, after.models)
        await _catalogue(work, after.models, window=window, max_output=max_output, terms=terms, by=by)
        return after

    return await _changed(ref, "channel.changed", change, by=by)


async def pause(ref: str, *, by: str) -> Channel:
    """Take a channel out of service; running answers go on. Raises NotFound."""

    async def change(_work: Work, before: Channel) -> Channel:
        return replace(before, paused=True)

    return await _changed(ref, "channel.paused", change, by=by)


async def resume(ref: str, *, by: str) -> Channel:
    """Put a channel back into service. Raises NotFound."""

    async def change(_work: Work, before: Channel) -> Channel:
        return replace(before, paused=False)

    return await _changed(ref, "channel.resumed", change, by=by)


async def remove(ref: str, *, by: str) -> Channel:
    """Remove a channel for good; its models stay in the catalog. Raises NotFound."""
    channel = find(ref)

    async def body(work: Work) -> Channel:
        before = await store.one(work, channel.id)
        if before is None:
            raise NotFound("channel_unknown", channel=channel.name)
        await store.delete(work, before.id)
        await audit.write(work, by, "channel.removed", before.id, before=_shown(before))
        await changes.record(work, "channel", before.id)
        return before

    return await unit_of_work(body)


async def test(ref: str) -> TestResult:
    """Send a tiny request with each key of a channel, paused or not; the first failure counts. Raises NotFound."""
    channel = find(ref)
    model = channel.models[0]
    offers = rules.offered(replace(channel, paused=False, models=(model,)), await _secrets())
    hints = {key.id: key.hint for key in channel.keys}
    result = TestResult(
        ok=False, model=model.name, key_hint="", seconds=0.0, fault=Fault.KEY_DEAD, message="no key can be opened"
    )
    for candidate in offers.get(model.name, ()):
        hint = hints[candidate.key] if candidate.key is not None else ""
        result = await _test_one(model.name, candidate, hint)
        if not result.ok:
            break
    return result


async def ensure_demo() -> Channel | None:
    """Add the demo channel at the very first start without any channel; None ever after.

    The demo's model stays in the catalog when its channel is removed, and keeps it from coming back.
    """
    if catalog.find(adapters.DEMO_MODEL) is not None:
        return None
    channel = Channel(
        id=ChannelId(new_id("ch")),
        name=DEMO_NAME,
        vendor=adapters.DEMO_VENDOR,
        base_url="",
        priority=rules.DEMO_PRIORITY,
        weight=1,
        groups=(),
        paused=False,
        models=_models({adapters.DEMO_MODEL: ""}),
        keys=(),
        created_at=current().clock.now(),
    )

    async def body(work: Work) -> Channel | None:
        if await store.any_channel(work) or not await store.insert(work, channel):
            return None
        await store.replace_models(work, channel.id, channel.models)
        await catalog.upsert(work, adapters.DEMO_MODEL, demo=True)
        await audit.write(work, "system", "channel.added", channel.id, after=_shown(channel))
        await changes.record(work, "channel", channel.id)
        return channel

    return await unit_of_work(body)


async def _changed(ref: str, action: str, change: Callable[[Work, Channel], Awaitable[Channel]], *, by: str) -> Channel:
    channel = find(ref)

    async def body(work: Work) -> Channel:
        before = await store.one(work, channel.id)
        if before is None:
            raise NotFound("channel_unknown", channel=channel.name)
        after = await change(work, before)
        await store.update(work, after)
        await audit.write(work, by, action, after.id, before=_shown(before), after=_shown(after))
        await changes.record(work, "channel", after.id)
        return after

    return await unit_of_work(body)


async def _catalogue(
    work: Work,
    models: Sequence[ChannelModel],
    *,
    window: int | None,
    max_output: int | None,
    terms: catalog.Terms | None,
    by: str,
) -> None:
    for model in models:
        await catalog.upsert(work, model.name, window=window, max_output=max_output, by=by)
        if terms is not None:
            await catalog.set_terms(work, model.name, terms, by=by)


async def _test_one(model: ModelName, candidate: Candidate, hint: str) -> TestResult:
    call = Call(model, (text_message(Role.USER, TEST_QUESTION),), Options(max_output=TEST_MAX_OUTPUT))
    clock = current().clock
    started = clock.monotonic()
    try:
        async with asyncio.timeout(TEST_S):
            await _first_words(call, candidate)
    except UpstreamError as error:
        failure: UpstreamError | None = error
    except TimeoutError:
        failure = UpstreamError(Fault.TIMEOUT)
    else:
        failure = None
    seconds = clock.monotonic() - started
    if failure is None:
        return TestResult(ok=True, model=model, key_hint=hint, seconds=seconds)
    return TestResult(
        ok=False,
        model=model,
        key_hint=hint,
        seconds=seconds,
        fault=failure.fault,
        status=failure.status,
        message=failure.message,
    )


async def _first_words(call: Call, candidate: Candidate) -> None:
    connect_s = float(settings.get(settings.ROUTER_CONNECT_S))
    exchange = await adapters.send(call, candidate.target, http=current().http, connect_s=connect_s, first_s=TEST_S)
    try:
        while (arrival := await exchange.next()) is not None:
            if any(is_visible(delta) or isinstance(delta, Finish) for delta in arrival.deltas):
                return
    finally:
        await exchange.close()


async def _reload(_channel: str) -> None:
    stored = await store.everything()
    secrets = _opened(stored)
    offers: dict[str, list[tuple[tuple[str, ...], Candidate]]] = {}
    for channel in stored.channels:
        try:
            adapters.vendor(channel.vendor)
        except AppError:
            # Written by another release: out of service here, and shown as it is.
            log.warning("channel.vendor_unknown", channel=channel.id, vendor=channel.vendor)
            continue
        for model, each in rules.offered(channel, secrets).items():
            offers.setdefault(model, []).extend((channel.groups, candidate) for candidate in each)
    snapshot = current().state(_Snapshot)
    snapshot.channels, snapshot.candidates = stored.channels, offers


async def _secrets() -> dict[ChannelKeyId, str]:
    return _opened(await store.everything())


def _opened(stored: store.Stored) -> dict[ChannelKeyId, str]:
    sealer = current().sealer
    secrets: dict[ChannelKeyId, str] = {}
    for key, sealed in stored.sealed.items():
        try:
            secrets[key] = sealer.open(sealed, _place(key))
        except SealBroken:
            log.error("channel.key_unreadable", key=key)
    return secrets


def _seal(secrets: Sequence[str]) -> list[tuple[ChannelKey, str]]:
    sealer = current().sealer
    sealed = []
    for secret in secrets:
        key = ChannelKey(ChannelKeyId(new_id("chk")), rules.hint_of(secret))
        sealed.append((key, sealer.seal(secret, _place(key.id))))
    return sealed


def _place(key: ChannelKeyId) -> str:
    """What a sealed key is bound to: copied to another row it does not open."""
    return f"channel_key:{key}"


def _models(models: Mapping[str, str]) -> tuple[ChannelModel, ...]:
    return tuple(ChannelModel(ModelName(name), upstream) for name, upstream in rules.check_models(models).items())


def _shown(channel: Channel) -> dict[str, JSON]:
    return {
        "name": channel.name,
        "vendor": channel.vendor,
        "base_url": channel.base_url,
        "priority": channel.priority,
        "weight": channel.weight,
        "groups": list(channel.groups),
        "paused": channel.paused,
        "models": {model.name: model.upstream for model in channel.models},
        "keys": [key.hint for key in channel.keys],
    }
