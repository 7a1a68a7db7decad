"""The documents are true: the map of ARCHITECTURE.md is the one that the files draw."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_map_is_fresh() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/draw_map.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
