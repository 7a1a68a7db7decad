"""The rules of the house that no linter knows: pure files never await, rows stay in their room, captions stand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOORS = ("bots", "web", "workers")
SOURCES = sorted(
    path
    for folder in ("core", *DOORS)
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts and "migrations" not in path.parts
)
PURE_NAMES = {"rules.py", "types.py", "tree.py", "context.py", "funding.py", "policy.py", "pager.py", "pacing.py"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def is_pure(path: Path) -> bool:
    relative = path.relative_to(ROOT)
    if relative.parts[:2] == ("core", "chat"):
        return True
    if relative.parts[:2] == ("core", "adapters"):
        return path.name != "driver.py"
    return path.name in PURE_NAMES


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_sources_are_found() -> None:
    assert len(SOURCES) > 50
    assert any(is_pure(path) for path in SOURCES)


@pytest.mark.parametrize("path", [p for p in SOURCES if is_pure(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_pure_files_never_await(path: Path) -> None:
    waiting = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.AsyncFunctionDef)
    assert [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, waiting)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_begins_with_its_caption(path: Path) -> None:
    caption = ast.get_docstring(tree_of(path))
    assert caption, "no docstring"
    assert len(caption.splitlines()[0]) <= 120


def test_doors_enter_rooms_by_their_front() -> None:
    inner = ("tables", "store")
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in DOORS
        for name in imports_of(path)
        if name.startswith("core.") and any(part in inner for part in name.split(".")[2:3])
    ]
    assert found == []


def test_rows_never_leave_their_room() -> None:
    found = []
    for path in SOURCES:
        room = path.relative_to(ROOT).parts[:2]
        for name in imports_of(path):
            parts = name.split(".")
            if len(parts) >= 3 and parts[0] == "core" and parts[2] in {"tables", "store"} and tuple(parts[:2]) != room:
                found.append(f"{path.relative_to(ROOT)}: {name}")
    assert found == []


def test_only_the_seams_import_clients() -> None:
    allowed = {
        "aiohttp": {"core/kit/http.py"},
        "arq": {"core/kit/queue.py"},
        "tortoise": None,
    }
    for path in SOURCES:
        relative = str(path.relative_to(ROOT))
        if not relative.startswith("core/"):
            continue
        for name in imports_of(path):
            head = name.split(".")[0]
            places = allowed.get(head)
            assert places is None or relative in places, f"{relative} imports {name}"
