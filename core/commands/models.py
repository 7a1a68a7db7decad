"""Commands about models: which there are, which one answers."""

from __future__ import annotations

import contextlib
import hashlib

from core import accounts, conversations, router
from core.catalog import Model
from core.chat import Action, Verb, pack
from core.commands.replies import Choices, Paragraph, Reply, said
from core.commands.types import CommandContext
from core.i18n import t
from core.kit.errors import NotFound
from core.kit.ids import ModelName

SHOWN = 40
"""Choices offered as buttons; the others are named in the text."""
_HASH = 16


async def model(arguments: str, context: CommandContext) -> Reply:
    """Without a name: the models to choose from. With one: choose it."""
    if arguments.strip():
        return await choose(arguments.strip(), context)
    models = router.models(router.Audience.of(context.account))
    present = await _present(context)
    names = [one.name for one in models]
    shown, rest = models[:SHOWN], names[SHOWN:]
    blocks: list[Paragraph | Choices] = [Paragraph(t("command.model.now", context.locale, model=present))]
    blocks.append(
        Choices(
            tuple((_label(one, context), Action(Verb.MODEL, target_of(one.name))) for one in shown),
            next((index for index, one in enumerate(shown) if one.name == present), None),
        )
    )
    if rest:
        blocks.append(
            Paragraph(t("command.model.more", context.locale, models=", ".join(f"`{name}`" for name in rest)))
        )
    return Reply(tuple(blocks))


async def choose(wanted: str, context: CommandContext) -> Reply:
    """Make a model this person's own, here and for new conversations. Raises NotFound("model_unknown")."""
    audience = router.Audience.of(context.account)
    name = _named(wanted, [one.name for one in router.models(audience)])
    chosen = router.model(name, audience)
    await accounts.set_default_model(context.account.id, chosen.name)
    bound = await conversations.bound(context.place)
    if bound is not None:
        with contextlib.suppress(NotFound):  # somebody else's conversation in a group keeps its model
            await conversations.set_model(bound, context.account.id, chosen.name)
    return said(t("command.model.done", context.locale, model=chosen.name))


def target_of(name: ModelName) -> str:
    """The target of a MODEL action: the name, or `#` and a hash of one that a button cannot carry."""
    try:
        pack(Action(Verb.MODEL, name))
    except ValueError:
        return "#" + _hash(name)
    return name


async def _present(context: CommandContext) -> ModelName:
    bound = await conversations.bound(context.place)
    view = await conversations.find(bound) if bound is not None else None
    preferred = (view.model if view else None) or context.account.default_model
    return router.default_model(router.Audience.of(context.account), preferred).name


def _named(wanted: str, names: list[ModelName]) -> ModelName:
    if wanted.startswith("#"):
        return next((name for name in names if _hash(name) == wanted[1:]), ModelName(wanted))
    exact = next((name for name in names if name == wanted), None)
    return exact or next((name for name in names if name.lower() == wanted.lower()), ModelName(wanted))


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_HASH]


def _label(model: Model, context: CommandContext) -> str:
    return f"{model.name} · {t('command.model.demo', context.locale)}" if model.demo else model.name
