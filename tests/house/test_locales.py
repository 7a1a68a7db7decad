"""Every text exists in every locale, with the same parameters, and every code, setting and key in use has one.

The codes are found in the sources: the first argument of each error constructor, of `Notice` and of `t`. Where it is
an f-string, some key must begin as it does.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core import i18n
from core.adapters import Fault, UpstreamError
from core.i18n.catalog import FOLDER
from core.kit import errors
from core.router import policy
from core.settings import registry

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    [
        path
        for folder in ("core", "bots", "web", "workers")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts and "migrations" not in path.parts
    ]
    + [ROOT / "parley.py"]
)
ERRORS = {
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.AppError)
}
ALWAYS_GIVEN = {"seconds"}
"""What `explain` adds to the parameters of an error."""
SOURCE = i18n.LOCALES[0]
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


@dataclass(frozen=True)
class Use:
    """A place in the sources where a text is named."""

    where: str
    key: str
    """Ends with `*` when only the beginning is known."""
    given: frozenset[str] | None
    """The parameters given there; None when they cannot be read off."""


def named(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name):
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def literals(node: ast.expr) -> Iterator[str]:
    """The texts an expression may stand for; with `*` where an f-string goes on."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        first = node.values[0] if node.values else None
        begins = str(first.value) if isinstance(first, ast.Constant) else ""
        yield begins + "*"


def uses(tree: ast.Module, where: str) -> Iterator[Use]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        name = named(call)
        keywords = {keyword.arg for keyword in call.keywords}
        given = None if None in keywords else frozenset(str(keyword) for keyword in keywords)
        place = f"{where}:{call.lineno}"
        for text in literals(call.args[0]):
            if name in ERRORS:
                yield Use(place, f"error.{text}", None if given is None else given | ALWAYS_GIVEN)
            elif name == "TurnError":
                yield Use(place, f"error.{text}", None)
            elif name == "Notice":
                yield Use(place, f"notice.{text}", None)
            elif name == "t":
                yield Use(place, text, given)


USES = [
    use
    for path in SOURCES
    for use in uses(ast.parse(path.read_text(), str(path)), str(path.relative_to(ROOT)))
    if use.key != "*"
]


def test_the_uses_are_found() -> None:
    found = {use.key for use in USES}
    assert {"error.account_banned", "error.setting_*", "error.link_unclaimed", "error.link_*"} <= found
    assert len(found) > 40


@pytest.mark.parametrize("locale", i18n.LOCALES)
def test_every_locale_has_every_key_and_no_other(locale: str) -> None:
    assert i18n.catalogue(locale).keys() ^ i18n.catalogue(SOURCE).keys() == set()


@pytest.mark.parametrize("locale", i18n.LOCALES)
def test_texts_ask_for_the_same_parameters_in_every_locale(locale: str) -> None:
    source = i18n.catalogue(SOURCE)
    differ = {
        key: (i18n.placeholders(source[key]), i18n.placeholders(text))
        for key, text in i18n.catalogue(locale).items()
        if key in source and i18n.placeholders(source[key]) != i18n.placeholders(text)
    }
    assert differ == {}


@pytest.mark.parametrize("locale", i18n.LOCALES)
def test_texts_have_the_plural_forms_of_their_locale_and_say_something(locale: str) -> None:
    source = i18n.catalogue(SOURCE)
    wrong = []
    for key, text in i18n.catalogue(locale).items():
        if isinstance(text, str) != isinstance(source[key], str):
            wrong.append(f"{key}: plural in one locale only")
        elif not isinstance(text, str) and set(text) != set(i18n.FORMS[locale]):
            wrong.append(f"{key}: forms {sorted(text)}")
        elif not all(form.strip() for form in ([text] if isinstance(text, str) else text.values())):
            wrong.append(f"{key}: empty")
        elif not KEY.fullmatch(key):
            wrong.append(f"{key}: not a key")
    assert wrong == []


@pytest.mark.parametrize("locale", i18n.LOCALES)
def test_files_are_sorted_and_name_each_key_once(locale: str) -> None:
    pairs: list[tuple[str, object]] = json.loads(
        (FOLDER / f"{locale}.json").read_text(encoding="utf-8"), object_pairs_hook=list
    )
    keys = [key for key, _ in pairs]
    assert keys == sorted(set(keys)), "write with scripts/locale_add.py"


def test_every_text_named_in_the_sources_exists() -> None:
    known = i18n.catalogue(SOURCE)

    def exists(key: str) -> bool:
        return any(one.startswith(key[:-1]) for one in known) if key.endswith("*") else key in known

    missing = [f"{use.where} {use.key}" for use in USES if not exists(use.key)]
    assert not missing, "\n".join(missing)


def test_every_fault_of_an_upstream_is_told_in_words() -> None:
    for fault in Fault:
        for locale in i18n.LOCALES:
            told = policy.failure(UpstreamError(fault, message="too long"))
            assert i18n.has(f"error.{told.code}"), fault
            assert "…" not in i18n.explain(told, locale), fault


def test_every_parameter_a_text_asks_for_is_given_where_it_is_named() -> None:
    known = i18n.catalogue(SOURCE)
    lacking = [
        f"{use.where} {use.key} lacks {', '.join(sorted(missing))}"
        for use in USES
        if use.given is not None and use.key in known
        if (missing := i18n.placeholders(known[use.key]) - use.given)
    ]
    assert not lacking, "\n".join(lacking)


def test_every_setting_has_its_caption_and_every_caption_its_setting() -> None:
    captions = {key for key in i18n.catalogue(SOURCE) if key.startswith("setting.")}
    assert captions == {f"setting.{key}" for key in registry.ALL}


def test_every_default_is_a_value_its_setting_accepts() -> None:
    for setting in registry.ALL.values():
        assert setting.read(setting.show(setting.default)) == setting.default, setting.key


def test_every_kind_of_setting_says_what_it_expects() -> None:
    known = i18n.catalogue(SOURCE)
    for setting in registry.ALL.values():
        text = known[f"error.setting_{setting.kind.expects}"]
        assert i18n.placeholders(text) <= {"key", *setting.kind.params}, setting.key
