"""GetFunction's Code.Location: a URL that serves the package for ten minutes to whoever holds it.

The token carries what it grants (package, expiry) and a signature over both; nothing is stored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PATH_PREFIX = "/_lambent/code/"
LIFETIME_S = 600


class InvalidToken(ValueError):
    """Forged, cut short, or expired."""


def mint(key: bytes, sha256: str, now: float) -> str:
    """A token that grants the package with hex SHA-256 `sha256` until ten minutes after `now` (epoch seconds)."""
    claim = bytes.fromhex(sha256) + (int(now) + LIFETIME_S).to_bytes(8, "big")
    return base64.urlsafe_b64encode(claim + _signature(key, claim)).rstrip(b"=").decode()


def verify(key: bytes, token: str, now: float) -> str:
    """The hex SHA-256 of the package that `token` grants. Raises InvalidToken."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidToken("malformed") from error
    if len(raw) != 72:
        raise InvalidToken("malformed")
    claim, signature = raw[:40], raw[40:]
    if not hmac.compare_digest(signature, _signature(key, claim)):
        raise InvalidToken("forged")
    if now >= int.from_bytes(claim[32:], "big"):
        raise InvalidToken("expired")
    return claim[:32].hex()


def url(endpoint: str, token: str) -> str:
    """Where `token` is redeemed, on the base URL that the caller uses."""
    return f"{endpoint.rstrip('/')}{PATH_PREFIX}{token}"


def _signature(key: bytes, claim: bytes) -> bytes:
    return hmac.new(key, b"lambent code location\0" + claim, hashlib.sha256).digest()
