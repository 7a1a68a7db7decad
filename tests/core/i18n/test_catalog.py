"""Texts in the reader's language, and the script that adds them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import i18n
from core.i18n import catalog
from core.kit.errors import BadInput, TooMany

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    files = {
        "en": {
            "both": "Hello {name}",
            "only": "English",
            "count": {"one": "{count} file", "other": "{count} files"},
            "error.internal": "Oops",
            "error.slow_down": "Wait {seconds} s for {what}",
            "error.field_wrong": "{field} is wrong",
        },
        "zh-CN": {"both": "{name}，你好", "count": {"other": "{count} 个文件"}},
    }
    for locale, held in files.items():
        (tmp_path / f"{locale}.json").write_text(json.dumps(held))
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    catalog.catalogue.cache_clear()
    yield
    catalog.catalogue.cache_clear()


@pytest.mark.usefixtures("texts")
def test_a_text_comes_in_its_locale_and_english_fills_the_gap() -> None:
    assert i18n.t("both", "zh-CN", name="梅") == "梅，你好"
    assert i18n.t("only", "zh-CN") == "English"
    assert i18n.t("absent", "zh-CN") == "absent"
    assert i18n.t("both", "zh-hans", name="梅") == "梅，你好"


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize(("count", "told"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_count_chooses_the_plural_form(count: int, told: str) -> None:
    assert i18n.t("count", "en", count=count) == told
    assert i18n.t("count", "zh-CN", count=count) == f"{count} 个文件"


@pytest.mark.usefixtures("texts")
def test_a_parameter_is_never_read_as_a_placeholder_or_an_expression() -> None:
    assert i18n.t("both", "en", name="{name.__class__} {only}") == "Hello {name.__class__} {only}"
    assert i18n.t("both", "en") == "Hello …"


@pytest.mark.usefixtures("texts")
def test_an_error_is_explained_with_its_remedy() -> None:
    assert i18n.explain(TooMany("slow_down", retry_after_s=2.1, what="it"), "en") == "Wait 3 s for it"
    assert i18n.explain(BadInput("field_wrong", field="title"), "en") == "title is wrong"
    assert i18n.explain(BadInput("nobody_knows"), "en") == "Oops"


@pytest.mark.parametrize(
    ("hint", "locale"),
    [
        (None, "en"),
        ("", "en"),
        ("zh-hans", "zh-CN"),
        ("zh_CN", "zh-CN"),
        ("ZH", "zh-CN"),
        ("en-GB", "en"),
        ("xx", "en"),
        ("fr-FR,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh;q=0.1,en;q=0.8", "en"),
        ("zh;q=0,de", "en"),
        ("zh;q=nonsense", "en"),
        ("," * 10_000, "en"),
    ],
)
def test_the_nearest_locale_is_chosen(hint: str | None, locale: str) -> None:
    assert i18n.match(hint) == locale


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys, pathlib, runpy; sys.path.insert(0, sys.argv[1]);"
        "import core.i18n.catalog as c; c.FOLDER = pathlib.Path(sys.argv[2]);"
        "script = sys.argv[1] + '/scripts/locale_add.py'; sys.argv = sys.argv[2:];"
        "runpy.run_path(script, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(folder), *arguments], capture_output=True, text=True, check=False
    )


def read(folder: Path, locale: str) -> dict[str, object]:
    held: dict[str, object] = json.loads((folder / f"{locale}.json").read_text())
    return held


def test_people_who_add_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: run(tmp_path, f"a.k{n}", f"text {n} {{x}}", f"文 {n} {{x}}"), range(8)))
    assert [one.returncode for one in done] == [0] * 8, done[0].stderr
    assert list(read(tmp_path, "en")) == sorted(f"a.k{n}" for n in range(8))
    assert list(read(tmp_path, "zh-CN")) == list(read(tmp_path, "en"))
    assert {path.name for path in tmp_path.iterdir()} == {"en.json", "zh-CN.json"}


def test_a_text_that_would_break_parity_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, "a.b", "Hello {name}", "你好").returncode == 1
    assert run(tmp_path, "a.b", "Hello").returncode == 1
    assert run(tmp_path, "A B", "Hello", "你好").returncode == 1
    assert not list(tmp_path.iterdir())
    assert run(tmp_path, "a.b", "Hello", "你好").returncode == 0
    refused = run(tmp_path, "a.b", "Hi", "你好")
    assert (refused.returncode, "stands as" in refused.stderr) == (1, True)
    assert run(tmp_path, "a.b", "Hi", "你好", "--replace").returncode == 0
    assert read(tmp_path, "en") == {"a.b": "Hi"}
    assert run(tmp_path, "--remove", "a.b").returncode == 0
    assert read(tmp_path, "zh-CN") == {}
