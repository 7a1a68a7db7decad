"""Secrets: sealing what is kept at rest, making tokens, hashing them, comparing them.

Passwords are not handled here: they are short and guessable and need a slow hash (`core.accounts`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = "s1"
"""Names the scheme at the head of every sealed text: AES-256-GCM, key = HMAC-SHA256(secret, label), 96-bit nonce."""
_LABEL = b"parley seal 1"
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed text is damaged, sealed for another place, or sealed with a key we were not given."""


class Sealer:
    """Seals texts for the database. Several secrets allow a change of key: the first one seals, every one opens.

    `context` says what the text belongs to (`channel_key:chk_…`): a sealed text copied to another row does not open.
    """

    def __init__(self, secret: str | Sequence[str]) -> None:
        given = (secret,) if isinstance(secret, str) else tuple(secret)
        if not given or not all(given):
            raise ValueError("a sealer needs a secret")
        self._ciphers = [AESGCM(hmac.digest(each.encode(), _LABEL, "sha256")) for each in given]

    def seal(self, text: str, context: str = "") -> str:
        """Opaque text; the same input gives another one each time."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, text.encode(), context.encode())
        return f"{VERSION}.{base64.urlsafe_b64encode(nonce + sealed).decode().rstrip('=')}"

    def open(self, sealed: str, context: str = "") -> str:
        """The text again. Raises SealBroken."""
        version, _, body = sealed.partition(".")
        if version != VERSION:
            raise SealBroken
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error) as error:
            raise SealBroken from error
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
            except (InvalidTag, ValueError):
                continue
        raise SealBroken


def new_token(prefix: str = "", size_bytes: int = 32) -> str:
    """A fresh random token, safe in URLs, cookies and headers."""
    return prefix + secrets.token_urlsafe(size_bytes)


def token_hash(token: str) -> str:
    """What is stored in place of a token: 64 hexadecimal digits. Only for tokens with at least 128 random bits."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode(errors="surrogateescape"))
