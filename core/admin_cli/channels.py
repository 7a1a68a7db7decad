"""Verbs about channels."""

from __future__ import annotations

import argparse

from core import catalog, channels
from core.admin_cli.output import Shown, table
from core.catalog import Terms
from core.channels import Channel
from core.kit.errors import BadInput

BY = "cli"


async def add(args: argparse.Namespace) -> Shown:
    """A new channel with its keys, models and their price, in one step."""
    channel = await channels.add(
        args.name,
        models=_models(args.model or ()),
        keys=args.key or (),
        base_url=args.base_url,
        groups=args.group or (),
        window=args.window,
        max_output=args.max_output,
        terms=_terms(args),
        by=BY,
        **{
            name: value
            for name, value in (("vendor", args.vendor), ("priority", args.priority), ("weight", args.weight))
            if value is not None
        },
    )
    await catalog.load()
    names = [model.name for model in channel.models]
    lines = [f"Channel {channel.name} ({channel.id}) serves {', '.join(names)}."]
    lines += _unpriced(channel)
    return Shown({"id": channel.id, "name": channel.name, "models": names}, lines)


async def edit(args: argparse.Namespace) -> Shown:
    """Change what is named; lists replace the old ones whole."""
    channel = await channels.edit(
        args.channel,
        name=args.name,
        vendor=args.vendor,
        base_url=args.base_url,
        keys=args.key,
        models=_models(args.model) if args.model else None,
        priority=args.priority,
        weight=args.weight,
        groups=args.group,
        window=args.window,
        max_output=args.max_output,
        terms=_terms(args),
        by=BY,
    )
    await catalog.load()
    return Shown(shape(channel), [f"Channel {channel.name} is changed.", *_unpriced(channel)])


async def listing(_args: argparse.Namespace) -> Shown:
    """Every channel."""
    everything = channels.listing()
    rows = [
        (c.name, c.vendor, c.priority, c.weight, "paused" if c.paused else "in service", ", ".join(_named(c)))
        for c in everything
    ]
    return Shown(
        {"items": [shape(channel) for channel in everything]},
        table(("name", "vendor", "priority", "weight", "state", "models"), rows),
    )


async def show(args: argparse.Namespace) -> Shown:
    """One channel, without its secrets."""
    channel = channels.find(args.channel)
    lines = [
        f"{channel.name} ({channel.id})",
        f"  vendor     {channel.vendor}",
        f"  base URL   {channel.base_url or '(local)'}",
        f"  state      {'paused' if channel.paused else 'in service'}",
        f"  priority   {channel.priority}, weight {channel.weight}",
        f"  groups     {', '.join(channel.groups) or '(all)'}",
        f"  keys       {', '.join('…' + key.hint for key in channel.keys) or '(none)'}",
        f"  models     {', '.join(_named(channel))}",
    ]
    return Shown(shape(channel), lines)


async def test(args: argparse.Namespace) -> Shown:
    """A tiny request with each of its keys."""
    result = await channels.test(args.channel)
    json = {
        "ok": result.ok,
        "model": result.model,
        "key": result.key_hint,
        "seconds": round(result.seconds, 3),
        "fault": result.fault.value if result.fault else None,
        "status": result.status,
        "message": result.message,
    }
    if result.ok:
        return Shown(json, [f"{result.model} answers within {result.seconds:.1f} s."])
    told = f" ({result.status})" if result.status else ""
    key = f" with the key …{result.key_hint}" if result.key_hint else ""
    line = f"{result.model} fails{key}: {result.fault}{told} {result.message}".rstrip()
    return Shown(json, [line], failed=True)


async def pause(args: argparse.Namespace) -> Shown:
    """Out of service; running answers go on."""
    channel = await channels.pause(args.channel, by=BY)
    return Shown(shape(channel), [f"Channel {channel.name} is paused."])


async def resume(args: argparse.Namespace) -> Shown:
    """Back into service."""
    channel = await channels.resume(args.channel, by=BY)
    return Shown(shape(channel), [f"Channel {channel.name} is in service."])


async def remove(args: argparse.Namespace) -> Shown:
    """Gone, with its keys; its models keep their prices."""
    channel = await channels.remove(args.channel, by=BY)
    return Shown(shape(channel), [f"Channel {channel.name} is removed."])


def shape(channel: Channel) -> dict[str, object]:
    """The channel in JSON."""
    return {
        "id": channel.id,
        "name": channel.name,
        "vendor": channel.vendor,
        "base_url": channel.base_url,
        "priority": channel.priority,
        "weight": channel.weight,
        "groups": list(channel.groups),
        "paused": channel.paused,
        "keys": [{"id": key.id, "hint": key.hint} for key in channel.keys],
        "models": [{"name": model.name, "upstream": model.upstream} for model in channel.models],
    }


def _models(words: list[str] | tuple[str, ...]) -> dict[str, str]:
    models: dict[str, str] = {}
    for word in words:
        name, _, upstream = word.partition("=")
        if not name.strip() or name.strip() in models:
            raise BadInput("model_name_invalid", field="model", most=catalog.rules.MAX_NAME)
        models[name.strip()] = upstream.strip() or name.strip()
    return models


def _terms(args: argparse.Namespace) -> Terms | None:
    if not args.free and args.price_in is None and args.price_out is None:
        return None
    return catalog.terms(free=args.free, price_in=args.price_in, price_out=args.price_out)


def _named(channel: Channel) -> list[str]:
    return [m.name if m.name == m.upstream else f"{m.name}={m.upstream}" for m in channel.models]


def _unpriced(channel: Channel) -> list[str]:
    found = [catalog.find(model.name) for model in channel.models]
    return [
        f"{model.name} has no price: only administrators can use it until `parley model price {model.name} …`."
        for model in found
        if model is not None and model.charge is catalog.Charge.UNPRICED
    ]
