"""API keys: made here, shown once, recognised by a hash.

A key is `slmmux-ID-SECRET`. The secret has 256 random bits, so a fast hash keeps it as safe as a
slow one would: nobody guesses 2²⁵⁶ values at any speed, and a slow hash on every request would be
a way to keep the server busy. Slow hashes are for passwords, which people choose.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_FORM = re.compile(r"slmmux-([0-9a-f]{12})-([A-Za-z0-9_-]{43})")
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made.

    Attributes:
        text: the whole of it, for its owner; kept nowhere.
        id: names the key; no secret.
        digest: what recognises it.
    """

    text: str
    id: str
    digest: bytes


def new_key() -> NewKey:
    """A key that nobody has."""
    identity = secrets.token_hex(6)
    text = f"slmmux-{identity}-{secrets.token_urlsafe(32)}"
    return NewKey(text, identity, digest(text))


def digest(text: str) -> bytes:
    """32 bytes that stand for a key."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=32).digest()


def id_of(text: str) -> str | None:
    """The id in what may be a key; None where it cannot be one."""
    found = _FORM.fullmatch(text)
    return None if found is None else found[1]


def same(text: str, known: bytes | None) -> bool:
    """Whether this is the key with that digest; takes the same time whether it is or not.

    Args:
        text: what a client sent.
        known: of the key with its id; None where there is no such key.
    """
    right = hmac.compare_digest(digest(text), known or _NOBODY)
    return right and known is not None


def bearer(header: str) -> str | None:
    """The token of an `Authorization` header."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
