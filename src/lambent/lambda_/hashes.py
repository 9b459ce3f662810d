"""SHA-256 digests in the two spellings: hex in stores and tokens, base64 in AWS's answers."""

from __future__ import annotations

import base64


def base64_of(hex_digest: str) -> str:
    """AWS's CodeSha256 of a zip whose hex SHA-256 is `hex_digest`."""
    return base64.b64encode(bytes.fromhex(hex_digest)).decode()
