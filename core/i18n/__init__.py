"""Words: every text a person reads, by key and locale; the same files serve bots, web and API errors."""

from core.i18n.catalog import FORMS, LOCALES, Text, catalogue, has, match, placeholders, t
from core.i18n.explain import explain, explain_code

__all__ = ["FORMS", "LOCALES", "Text", "catalogue", "explain", "explain_code", "has", "match", "placeholders", "t"]
