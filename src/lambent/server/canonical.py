"""Signature Version 4 arithmetic: canonical request, string to sign, derived key, signature. Pure.

Follows the pages "Create a signed AWS API request" (IAM user guide) and "Signature calculations for the
Authorization header" (S3 API reference).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def canonical_path(path: str, *, s3: bool) -> str:
    """The path as signed. S3 signs it as sent; every other service without dot segments and encoded once more."""
    if s3:
        # An encoded slash is part of a key and stays encoded.
        return "/".join([_encoded(segment) for segment in path.split("/")]) or "/"
    if "//" in path or "/." in path:
        path = _without_dot_segments(path)
    return quote(path, safe="/~") or "/"


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment and segment != ".":
            kept.append(segment)
    end = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + end


def canonical_query(query: str) -> str:
    """Parameters sorted by name, then value, encoded as AWS encodes; the signature itself is left out."""
    pairs = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if pair and name != "X-Amz-Signature":
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)])


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="~") if "%" in text else quote(text, safe="~")


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: Sequence[str], payload_hash: str
) -> str:
    """The text whose hash is signed; `path` and `query` are canonical, `signed` are lower case header names."""
    lines = "".join([f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed])
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(signed)}\n{payload_hash}"


def string_to_sign(timestamp: str, scope: str, request: str) -> str:
    """`timestamp` is `YYYYMMDDTHHMMSSZ`, `scope` is `date/region/service/aws4_request`."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = hmac.digest(b"AWS4" + secret.encode(), date.encode(), "sha256")
    key = hmac.digest(key, region.encode(), "sha256")
    key = hmac.digest(key, service.encode(), "sha256")
    return hmac.digest(key, b"aws4_request", "sha256")


def sign(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()
