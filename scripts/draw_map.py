"""Writes the map of the house into ARCHITECTURE.md: every folder and file with its caption.

The captions are the first lines of the module docstrings, so the map cannot disagree with the files; a test compares.
`python scripts/draw_map.py` rewrites the part between the two marks.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- map: begin -->", "<!-- map: end -->"
FOLDERS = ("core", "bots", "web", "workers")
SKIPPED = {"ui", "node_modules", "__pycache__"}


def caption(path: Path) -> str:
    """The first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text()))
    return text.splitlines()[0] if text else ""


def lines(folder: Path, depth: int = 0) -> list[str]:
    """The folder's line and, indented, those of everything inside that has something to say."""
    package = folder / "__init__.py"
    drawn = ["  " * depth + f"{folder.name + '/':<24} {caption(package) if package.exists() else ''}".rstrip()]
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in SKIPPED and any(path.rglob("*.py")):
            drawn += lines(path, depth + 1)
        elif path.suffix == ".py" and path.name != "__init__.py":
            drawn.append("  " * (depth + 1) + f"{path.name:<24} {caption(path)}".rstrip())
    return drawn


def draw() -> str:
    """The document with a fresh map in it."""
    parts = [line for name in FOLDERS for line in lines(ROOT / name)]
    fresh = f"{BEGIN}\n```\n" + "\n".join(parts) + f"\n```\n{END}"
    return re.sub(f"{BEGIN}.*?{END}", lambda _: fresh, DOCUMENT.read_text(), flags=re.DOTALL)


if __name__ == "__main__":
    fresh = draw()
    if "--check" in sys.argv:
        sys.exit(0 if fresh == DOCUMENT.read_text() else "ARCHITECTURE.md: run python scripts/draw_map.py")
    DOCUMENT.write_text(fresh)
