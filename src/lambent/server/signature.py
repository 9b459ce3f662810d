"""Whether a request was signed by whom it says: Signature Version 4, verified as AWS verifies it.

Without an auth file any well-formed claim is believed (the gate keeps strangers out). With one, everything
is checked: the key, the session token, the day, the skew, the expiry, the signature, the payload's hash.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from lambent.core.clock import Clock
from lambent.server import auth_errors, canonical
from lambent.server.claims import Claim
from lambent.server.credentials import Credential, CredentialStore

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
STREAMING_SIGNED = frozenset({"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"})
STREAMING = STREAMING_SIGNED | {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
MAX_EXPIRES_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A verified request: whose it is, and what a chunked body's signatures continue from."""

    credential: Credential
    key: bytes
    timestamp: str
    scope: str
    signature: str
    payload_hash: str


class Verifier:
    """Verifies claims against a credential store. Derived signing keys (one a day, region and service) are kept."""

    def __init__(self, store: CredentialStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[tuple[str, str, str, str, str], bytes] = {}

    def check_key(self, claim: Claim, headers: Mapping[str, str], *, service: str) -> None:
        """Raise the AuthError for a key that nobody knows or that has expired: before the body is here."""
        self._credential(claim, headers, s3=service == "s3")

    def verify(
        self,
        claim: Claim,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        *,
        service: str,
        body: bytes | None,
    ) -> Signed:
        """Raise the AuthError that AWS would answer, or return what was verified.

        `path` and `query` are still percent-encoded. `service` is the signing name of the service that was
        asked. `body` None means that it is not here yet; the caller then checks it against `payload_hash`
        (which the request declares in that case).
        """
        s3 = service == "s3"
        scope = claim.credential
        credential = self._credential(claim, headers, s3=s3)
        timestamp = self._timestamp(claim, headers, s3=s3)
        if scope.service != service:
            raise auth_errors.InvalidSignature(f"Credential should be scoped to correct service: '{service}'.")
        self._check_time(claim, timestamp, s3=s3)
        payload_hash = _payload_hash(claim, headers, body, s3=s3)
        signed_headers = claim.signed_headers.split(";")
        _check_coverage(claim, signed_headers, headers, s3=s3)
        request = canonical.canonical_request(
            method,
            canonical.canonical_path(path, s3=s3),
            canonical.canonical_query(query),
            headers,
            signed_headers,
            payload_hash,
        )
        to_sign = canonical.string_to_sign(timestamp, scope.text, request)
        key = self._key(credential.secret, scope.access_key, scope.date, scope.region, scope.service)
        if not hmac.compare_digest(canonical.sign(key, to_sign).encode(), claim.signature.encode()):
            if s3:
                raise auth_errors.S3SignatureDoesNotMatch
            raise auth_errors.InvalidSignature(_MISMATCH.format(request=request, to_sign=to_sign))
        if body is not None:
            check_payload(payload_hash, hashlib.sha256(body).hexdigest(), s3=s3)
        return Signed(
            credential=credential,
            key=key,
            timestamp=timestamp,
            scope=scope.text,
            signature=claim.signature,
            payload_hash=payload_hash,
        )

    def _credential(self, claim: Claim, headers: Mapping[str, str], *, s3: bool) -> Credential:
        access_key = claim.credential.access_key
        credential = self._store.secret_for(access_key)
        if credential is None:
            raise auth_errors.S3UnknownAccessKey(access_key) if s3 else auth_errors.UnknownAccessKey()
        if claim.presigned is not None:
            token = claim.presigned.get("X-Amz-Security-Token")
        else:
            token = headers.get("x-amz-security-token")
        wanted = credential.session_token
        if (wanted is None) != (token is None) or not hmac.compare_digest(
            (wanted or "").encode(), (token or "").encode()
        ):
            raise auth_errors.S3InvalidToken() if s3 else auth_errors.UnknownAccessKey()
        if credential.expires_at is not None and self._clock.now() >= credential.expires_at:
            raise auth_errors.S3ExpiredToken() if s3 else auth_errors.ExpiredToken()
        return credential

    def _timestamp(self, claim: Claim, headers: Mapping[str, str], *, s3: bool) -> str:
        if claim.presigned is not None:
            timestamp = claim.presigned["X-Amz-Date"]
        else:
            timestamp = headers.get("x-amz-date") or _from_date_header(headers.get("date", ""))
        if not timestamp:
            if s3:
                raise auth_errors.S3AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
            raise auth_errors.IncompleteSignature(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
                f"Authorization={claim.authorization[:512]}"
            )
        if _epoch(timestamp) is None:
            raise auth_errors.IncompleteSignature(
                f"Date must be in ISO-8601 'basic format'. Got '{timestamp[:64]}'. See http://en.wikipedia.org/wiki/ISO_8601"
            )
        date = claim.credential.date
        if timestamp[:8] != date:
            if s3:
                raise auth_errors.S3AuthorizationHeaderMalformed(
                    "The authorization header is malformed; Invalid credential date "
                    f'"{date[:64]}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
                )
            raise auth_errors.InvalidSignature(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{date[:64]}' != '{timestamp[:8]}', from '{timestamp}'."
            )
        return timestamp

    def _check_time(self, claim: Claim, timestamp: str, *, s3: bool) -> None:
        now, signed_at = self._clock.now(), _epoch(timestamp) or 0
        window_s = 900 if s3 else 300
        valid_s = window_s if claim.presigned is None else _expires(claim.presigned, s3=s3)
        if now > signed_at + valid_s:
            if not s3:
                raise auth_errors.InvalidSignature(
                    f"Signature expired: {timestamp} is now earlier than {_basic(now - valid_s)} "
                    f"({_basic(now)} - {_span(valid_s)})"
                )
            if claim.presigned is None:
                raise auth_errors.S3RequestTimeTooSkewed(request_time=timestamp, server_time=_extended(now))
            raise _s3_expired(claim.presigned["X-Amz-Expires"], signed_at + valid_s, now)
        if signed_at > now + window_s:
            if not s3:
                raise auth_errors.InvalidSignature(
                    f"Signature not yet current: {timestamp} is still later than {_basic(now + window_s)} "
                    f"({_basic(now)} + {_span(window_s)})"
                )
            if claim.presigned is None:
                raise auth_errors.S3RequestTimeTooSkewed(request_time=timestamp, server_time=_extended(now))
            raise auth_errors.S3AccessDenied("Request is not valid yet")

    def _key(self, secret: str, access_key: str, date: str, region: str, service: str) -> bytes:
        identity = (access_key, secret, date, region, service)
        key = self._keys.get(identity)
        if key is None:
            key = canonical.signing_key(secret, date, region, service)
            if len(self._keys) >= 256:
                self._keys.clear()
            self._keys[identity] = key
        return key


def check_payload(declared: str, computed: str, *, s3: bool) -> None:
    """Raise what AWS answers when the body is not the one whose hash was signed."""
    if (
        declared in STREAMING
        or declared == UNSIGNED_PAYLOAD
        or hmac.compare_digest(declared.encode(), computed.encode())
    ):
        return
    if s3:
        raise auth_errors.S3ContentHashMismatch
    raise auth_errors.InvalidSignature(_PAYLOAD)


def _payload_hash(claim: Claim, headers: Mapping[str, str], body: bytes | None, *, s3: bool) -> str:
    declared = headers.get("x-amz-content-sha256")
    if claim.presigned is not None and s3:
        # The hash may be presigned too; without it a presigned URL leaves the body open.
        return claim.presigned.get("X-Amz-Content-Sha256") or declared or UNSIGNED_PAYLOAD
    if declared is not None:
        return declared
    if s3:
        raise auth_errors.S3InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    if body is None:
        raise ValueError("the body is needed: the request does not declare its hash")
    return hashlib.sha256(body).hexdigest() if body else canonical.EMPTY_SHA256


def _check_coverage(claim: Claim, signed: list[str], headers: Mapping[str, str], *, s3: bool) -> None:
    """Host must be signed always, and for S3 every x-amz-* header that is there."""
    if "host" not in signed:
        raise auth_errors.InvalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if s3 and claim.presigned is None:
        left_out = [name for name in headers if name.startswith("x-amz-") and name not in signed]
        if left_out:
            raise auth_errors.S3AccessDenied(
                f"There were headers present in the request which were not signed: {', '.join(left_out)}"
            )


def _expires(parameters: Mapping[str, str], *, s3: bool) -> int:
    text = parameters.get("X-Amz-Expires", "")
    if not (text.isascii() and text.isdigit()):
        message = "X-Amz-Expires should be a number"
    elif int(text[:12]) > MAX_EXPIRES_S:
        message = (
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {MAX_EXPIRES_S} seconds"
        )
    else:
        return int(text)
    raise auth_errors.S3AuthorizationQueryParametersError(message) if s3 else auth_errors.IncompleteSignature(message)


def _s3_expired(expires: str, ended_at: float, now: float) -> auth_errors.S3AccessDenied:
    members = {"X-Amz-Expires": expires, "Expires": _extended(ended_at), "ServerTime": _extended(now)}
    return auth_errors.S3AccessDenied("Request has expired", members=members)


def _epoch(timestamp: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def _from_date_header(text: str) -> str:
    try:
        return _basic(calendar.timegm(parsedate_to_datetime(text).utctimetuple())) if text else ""
    except ValueError:
        return text


def _basic(epoch_s: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_s))


def _extended(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))


def _span(seconds: int) -> str:
    return f"{seconds // 60} min." if seconds % 60 == 0 else f"{seconds} sec."


_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details.\n\n"
    "The Canonical String for this request should have been\n'{request}'\n\n"
    "The String-to-Sign should have been\n'{to_sign}'\n"
)
_PAYLOAD = (
    "The value of the 'x-amz-content-sha256' header does not match the hash of the request body that was received."
)
