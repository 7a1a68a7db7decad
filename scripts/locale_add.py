"""Adds texts to every locale at once: one key with its texts, or many as JSON on standard input.

    python scripts/locale_add.py chat.stop "Stop" "停止"
    python scripts/locale_add.py chat.hits '{"one": "{count} hit", "other": "{count} hits"}' '{"other": "{count} 条"}'
    echo '{"chat.stop": ["Stop", "停止"]}' | python scripts/locale_add.py -
Texts come in the order of `core.i18n.LOCALES`; one that begins with `{"` is an object of plural forms. A key that
stands with another text is refused unless `--replace` is given; `--remove KEY…` takes keys out. Keys stay sorted,
and several people may add at the same time.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.i18n.catalog import FOLDER, FORMS, LOCALES, Text, placeholders  # noqa: E402

_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


class Refused(Exception):
    """One sentence for the person at the keyboard."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder's own lock: no lock file is left behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def parse(text: str | dict[str, str]) -> Text:
    """A plain text, or plural forms."""
    if isinstance(text, str) and text.startswith('{"'):
        text = json.loads(text)
    return text


def check(key: str, texts: list[Text]) -> None:
    if not _KEY.fullmatch(key):
        raise Refused(f"{key!r} is no key: words of a-z, 0-9 and _ joined by dots")
    if len(texts) != len(LOCALES):
        raise Refused(f"{key}: give one text for each of {', '.join(LOCALES)}")
    for locale, text in zip(LOCALES, texts, strict=True):
        if isinstance(text, str):
            if not text.strip():
                raise Refused(f"{key}: the {locale} text is empty")
        elif tuple(sorted(text)) != tuple(sorted(FORMS[locale])):
            raise Refused(f"{key}: {locale} has the plural forms {', '.join(FORMS[locale])}")
    if len({isinstance(text, str) for text in texts}) > 1:
        raise Refused(f"{key}: plural in one locale and not in another")
    if len({placeholders(text) for text in texts}) > 1:
        raise Refused(f"{key}: the placeholders differ between the locales")


def add(entries: dict[str, list[Text]], *, replace: bool = False, remove: tuple[str, ...] = ()) -> None:
    """Writes all entries into all files, or none."""
    for key, texts in entries.items():
        check(key, texts)
    with locked(FOLDER):
        files = {locale: FOLDER / f"{locale}.json" for locale in LOCALES}
        held = {
            locale: json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            for locale, path in files.items()
        }
        for key, texts in entries.items():
            for locale, text in zip(LOCALES, texts, strict=True):
                if not replace and held[locale].get(key, text) != text:
                    raise Refused(f"{key} stands as {held[locale][key]!r} in {locale}; say --replace to change it")
                held[locale][key] = text
        for locale, path in files.items():
            for key in remove:
                held[locale].pop(key, None)
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(held[locale], ensure_ascii=False, indent=2, sort_keys=True) + "\n", "utf-8")
            fresh.replace(path)


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key", nargs="?")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--remove", nargs="+", default=(), metavar="KEY")
    given = parser.parse_args()
    entries: dict[str, list[str]] = {}
    if given.key == "-":
        entries = json.load(sys.stdin)
    elif given.key:
        entries = {given.key: given.texts}
    try:
        add(
            {key: [parse(text) for text in texts] for key, texts in entries.items()},
            replace=given.replace,
            remove=tuple(given.remove),
        )
    except Refused as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main()
