"""The tree of a conversation, without a database."""

from __future__ import annotations

from dataclasses import dataclass

from core.conversations import tree
from core.kit.ids import MessageId


@dataclass(frozen=True)
class Node:
    id: MessageId
    parent: MessageId | None


def node(id: str, parent: str | None) -> Node:
    return Node(MessageId(id), None if parent is None else MessageId(parent))


TREE = [node("1", None), node("2", "1"), node("3", "2"), node("4", "1"), node("5", "2"), node("6", None)]


def ids(nodes: list[Node]) -> list[str]:
    return [each.id for each in nodes]


def test_a_path_leads_from_the_root_to_the_head() -> None:
    assert ids(tree.path(TREE, MessageId("3"))) == ["1", "2", "3"]
    assert ids(tree.path(TREE, MessageId("6"))) == ["6"]
    assert tree.path(TREE, None) == []
    assert tree.path(TREE, MessageId("9")) == []


def test_a_circle_ends() -> None:
    assert ids(tree.path([node("1", "2"), node("2", "1")], MessageId("1"))) == ["2", "1"]


def test_siblings_share_a_parent() -> None:
    assert ids(tree.siblings(TREE, MessageId("4"))) == ["2", "4"]
    assert ids(tree.siblings(TREE, MessageId("6"))) == ["1", "6"]
    assert tree.siblings(TREE, MessageId("9")) == []


def test_the_leaf_under_a_message_is_the_one_grown_last() -> None:
    assert tree.leaf_under(TREE, MessageId("1")) == "4"
    assert tree.leaf_under(TREE, MessageId("2")) == "5"
    assert tree.leaf_under(TREE, MessageId("3")) == "3"
