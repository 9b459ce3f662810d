"""Who sends a request, and for which account and region.

Without verification any well-formed claim is believed, and the access key only names the account.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping

from lambent.core.clock import Clock
from lambent.core.config import DEFAULT_ACCOUNT, DEFAULT_REGION
from lambent.core.operations import Scope
from lambent.server import signature
from lambent.server.asgi import Incoming
from lambent.server.aws_chunked import ChunkedBody, ChunkSigning, Decoder
from lambent.server.claims import Claim, ClaimReader
from lambent.server.credentials import CredentialStore
from lambent.server.signature import Signed, Verifier


class Authenticator:
    """Reads claims, verifies them when `verify` is set, and says what a request's body must prove."""

    def __init__(self, store: CredentialStore, clock: Clock, *, verify: bool) -> None:
        self._store = store
        self._verifier = Verifier(store, clock) if verify else None
        self._claims = ClaimReader()
        self._scopes: dict[tuple[str, str], Scope] = {}

    @property
    def verifies(self) -> bool:
        return self._verifier is not None

    def claim(self, incoming: Incoming) -> Claim | None:
        """What the request says about its sender, None when it says nothing. Raises an AuthError."""
        return self._claims.read(incoming.query, incoming.headers)

    def check_key(self, claim: Claim | None, incoming: Incoming, *, service: str) -> None:
        """Turn a stranger away before its body is read. Raises an AuthError. `service` is the signing name."""
        if self._verifier is not None and claim is not None:
            self._verifier.check_key(claim, incoming.headers, service=service)

    def verify(self, claim: Claim | None, incoming: Incoming, *, service: str, body: bytes | None) -> Signed | None:
        """None where any credentials are accepted. Raises an AuthError. `service` is the signing name."""
        if self._verifier is None or claim is None:
            return None
        return self._verifier.verify(
            claim, incoming.method, incoming.path, incoming.query, incoming.headers, service=service, body=body
        )

    def scope(self, claim: Claim | None) -> Scope:
        """Account and region: those of a known key, else an access key of 12 digits is the account."""
        if claim is None:
            return self._scope(DEFAULT_ACCOUNT, DEFAULT_REGION)
        access_key = claim.credential.access_key
        credential = self._store.secret_for(access_key)
        if credential is not None:
            account = credential.account
        elif len(access_key) == 12 and access_key.isascii() and access_key.isdigit():
            account = access_key
        else:
            account = DEFAULT_ACCOUNT
        return self._scope(account, claim.credential.region)

    def _scope(self, account: str, region: str) -> Scope:
        scope = self._scopes.get((account, region))
        if scope is None:
            if len(self._scopes) >= 1024:
                self._scopes.clear()
            scope = self._scopes[account, region] = Scope(account=account, region=region)
        return scope


def declares_payload(claim: Claim | None, headers: Mapping[str, str], *, s3: bool) -> bool:
    """Whether the signature can be checked before the body is here."""
    return "x-amz-content-sha256" in headers or (s3 and claim is not None and claim.presigned is not None)


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether the body is in the `aws-chunked` encoding."""
    declared = headers.get("x-amz-content-sha256")
    return declared is not None and declared in signature.STREAMING


def decoded(body: AsyncIterator[bytes], headers: Mapping[str, str], signed: Signed | None) -> ChunkedBody:
    """The payload of an `aws-chunked` body; its chunk signatures are verified where `signed` is there.

    Raises S3IncompleteBody when `x-amz-decoded-content-length` is not a number.
    """
    declared = headers["x-amz-content-sha256"]
    signing = None
    if signed is not None and declared in signature.STREAMING_SIGNED:
        signing = ChunkSigning(
            key=signed.key,
            timestamp=signed.timestamp,
            scope=signed.scope,
            seed=signed.signature,
            trailer=declared.endswith("-TRAILER"),
        )
    length = headers.get("x-amz-decoded-content-length", "")
    decoder = Decoder(signing=signing, decoded_length=int(length) if length.isascii() and length.isdigit() else None)
    return ChunkedBody(body, decoder)


async def proven(body: AsyncIterator[bytes], signed: Signed, *, s3: bool) -> AsyncIterator[bytes]:
    """The body as it comes; ends with an AuthError instead when it is not the one whose hash was signed."""
    computed = hashlib.sha256()
    async for chunk in body:
        computed.update(chunk)
        yield chunk
    signature.check_payload(signed.payload_hash, computed.hexdigest(), s3=s3)
