"""The catalogue: a key, a locale and parameters become a text; English stands in for what is missing.

The files are flat JSON, shared with the browser: a text with `{name}` placeholders, or an object of CLDR plural forms
(`one`, `other`) chosen by the parameter `count`. No library: its locale data alone would weigh more than this house.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path

from core.kit.errors import Param

LOCALES = ("en", "zh-CN")
"""Every shipped locale; the first is the source and the last resort."""
FORMS: Mapping[str, tuple[str, ...]] = {"en": ("one", "other"), "zh-CN": ("other",)}
"""The plural forms each locale has; an object in its file has exactly these."""
FOLDER = Path(__file__).parent / "locales"

Text = str | Mapping[str, str]

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@functools.cache
def catalogue(locale: str) -> Mapping[str, Text]:
    """All texts of a shipped locale, by key, as they stand in its file."""
    if locale not in LOCALES:
        raise ValueError(f"no such locale: {locale}")
    texts: dict[str, Text] = json.loads((FOLDER / f"{locale}.json").read_text(encoding="utf-8"))
    return texts


def t(key: str, locale: str, /, **params: Param) -> str:
    """The text in the reader's language, in English where that language lacks it, the key itself where both do.

    `count` chooses the plural form. A placeholder without its parameter shows as an ellipsis.
    """
    chosen = locale if locale in LOCALES else match(locale)
    text = catalogue(chosen).get(key)
    if text is None:
        chosen = LOCALES[0]
        text = catalogue(chosen).get(key, key)
    if not isinstance(text, str):
        text = text.get(_form(chosen, params.get("count")), text["other"])
    return _PLACEHOLDER.sub(lambda found: str(params.get(found[1], "…")), text)


def has(key: str) -> bool:
    """Whether the source catalogue knows the key."""
    return key in catalogue(LOCALES[0])


def placeholders(text: Text) -> frozenset[str]:
    """The parameters that a text asks for; of plural forms, those of all of them together."""
    texts = [text] if isinstance(text, str) else list(text.values())
    return frozenset(name for one in texts for name in _PLACEHOLDER.findall(one))


def match(hint: str | None) -> str:
    """The shipped locale nearest to a tag (`zh-hans`, `en_GB`) or an Accept-Language list; else English."""
    for tag in _by_preference(hint or ""):
        for locale in LOCALES:
            if tag == locale.lower():
                return locale
        for locale in LOCALES:
            if tag.split("-")[0] == locale.split("-")[0]:
                return locale
    return LOCALES[0]


def _by_preference(hint: str) -> list[str]:
    weighted: list[tuple[float, str]] = []
    for item in hint[:200].split(","):
        tag, _, quality = item.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=")) if quality.strip() else 1.0
        except ValueError:
            weight = 0.0
        if weight > 0:
            weighted.append((weight, tag.strip().lower().replace("_", "-")))
    return [tag for _, tag in sorted(weighted, key=lambda pair: -pair[0])]


def _form(locale: str, count: Param | None) -> str:
    return "one" if "one" in FORMS[locale] and count in {1, "1"} else "other"
