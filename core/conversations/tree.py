"""The tree of a conversation, pure: paths, siblings, leaves. Ids sort by time, so the newest is the greatest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from core.kit.ids import MessageId


class Node(Protocol):
    """What the tree needs to know of a message."""

    @property
    def id(self) -> MessageId: ...

    @property
    def parent(self) -> MessageId | None: ...


N = TypeVar("N", bound=Node)


def path(nodes: Iterable[N], head: MessageId | None) -> list[N]:
    """From the root to the head, both included; empty when the head is None or not among them."""
    known = {node.id: node for node in nodes}
    found: list[N] = []
    at = head
    while at is not None and (node := known.pop(at, None)) is not None:
        found.append(node)
        at = node.parent
    return found[::-1]


def siblings(nodes: Iterable[N], of: MessageId) -> list[N]:
    """The messages with the same parent, itself included, oldest first; empty when it is not among them."""
    nodes = list(nodes)
    parents = [node.parent for node in nodes if node.id == of]
    return sorted((node for node in nodes if parents and node.parent == parents[0]), key=lambda node: node.id)


def leaf_under(nodes: Iterable[N], top: MessageId) -> MessageId:
    """The end of the branch through `top` that was grown last: of several children the newest, down to a leaf."""
    children = by_parent(nodes)
    at = top
    while below := children.get(at):
        at = max(node.id for node in below)
    return at


def by_parent(nodes: Iterable[N]) -> Mapping[MessageId | None, Sequence[N]]:
    """The children of each node; roots under None."""
    children: dict[MessageId | None, list[N]] = {}
    for node in nodes:
        children.setdefault(node.parent, []).append(node)
    return children
