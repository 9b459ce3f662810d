"""What a request says about who signed it: the `Authorization` header or the presigned query, taken apart.

Nothing is verified here. Credential scopes repeat for a whole day, so the parsed ones are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from lambent.server import auth_errors
from lambent.server.canonical import ALGORITHM

_LOWER_DIGITS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialScope:
    """`access_key/date/region/service/aws4_request`."""

    access_key: str
    date: str
    region: str
    service: str

    @property
    def text(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature as presented. `presigned` holds the query's parameters where it came in the query."""

    credential: CredentialScope
    signed_headers: str
    signature: str
    authorization: str
    presigned: Mapping[str, str] | None = None


class ClaimReader:
    """Reads claims; remembers credential scopes."""

    def __init__(self) -> None:
        self._scopes: dict[str, CredentialScope] = {}

    def read(self, query: str, headers: Mapping[str, str]) -> Claim | None:
        """The request's claim, None when it has none.

        Raises IncompleteSignature, or for S3 its own errors, when there is one that cannot be read.
        """
        authorization = headers.get("authorization")
        if authorization is not None:
            return self._from_header(authorization)
        if "X-Amz-" in query:
            parameters = dict(parse_qsl(query, keep_blank_values=True))
            if "X-Amz-Signature" in parameters or "X-Amz-Credential" in parameters:
                return self._from_query(parameters)
        if "AWSAccessKeyId=" in query and "Signature=" in query:
            raise auth_errors.S3UnsupportedAuthorization
        return None

    def _from_header(self, text: str) -> Claim:
        algorithm, _, rest = text.partition(" ")
        if algorithm != ALGORITHM:
            if algorithm == "AWS":  # Signature Version 2: only S3 ever took it in this header
                raise auth_errors.S3UnsupportedAuthorization
            raise auth_errors.IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'. Use {ALGORITHM}.")
        credential = signed = signature = ""
        for part in rest.split(","):
            name, separator, value = part.partition("=")
            name = name.strip()
            if name == "Credential":
                credential = value.strip()
            elif name == "SignedHeaders":
                signed = value.strip()
            elif name == "Signature":
                signature = value.strip()
            elif not separator:
                raise auth_errors.IncompleteSignature(
                    f"'{part.strip()[:128]}' not a valid key=value pair (missing equal-sign) "
                    f"in Authorization header: '{text[:512]}'."
                )
        if not (credential and signed and signature):
            present = {"Credential": credential, "Signature": signature, "SignedHeaders": signed}
            missing = [f"Authorization header requires '{name}' parameter." for name in present if not present[name]]
            raise auth_errors.IncompleteSignature(f"{' '.join(missing)} Authorization={text[:512]}")
        return Claim(self._scope(credential), signed, signature, text)

    def _from_query(self, parameters: Mapping[str, str]) -> Claim:
        algorithm = parameters.get("X-Amz-Algorithm", "")
        if algorithm != ALGORITHM:
            raise auth_errors.IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'. Use {ALGORITHM}.")
        needed = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "X-Amz-SignedHeaders")
        missing = [f"AWS query-string parameters must include '{name}'." for name in needed if not parameters.get(name)]
        if missing:
            raise auth_errors.IncompleteSignature(f"{' '.join(missing)} Re-examine the query-string parameters.")
        return Claim(
            self._scope(parameters["X-Amz-Credential"]),
            parameters["X-Amz-SignedHeaders"],
            parameters["X-Amz-Signature"],
            "",
            parameters,
        )

    def _scope(self, text: str) -> CredentialScope:
        scope = self._scopes.get(text)
        if scope is None:
            scope = _parse_scope(text)
            if len(self._scopes) >= 1024:
                self._scopes.clear()
            self._scopes[text] = scope
        return scope


def _parse_scope(text: str) -> CredentialScope:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        raise auth_errors.IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{text[:256]}'"
        )
    access_key, date, region, service, term = parts
    if term != "aws4_request":
        raise auth_errors.InvalidSignature(
            f"Credential should be scoped with a valid terminator: 'aws4_request', not '{term[:64]}'."
        )
    if not region or len(region) > 32 or not set(region) <= _LOWER_DIGITS:
        # The region goes into ARNs and keys; nothing but a name of AWS's form may.
        raise auth_errors.InvalidSignature("Credential should be scoped to a valid region.")
    if not service or len(service) > 64 or not set(service) <= _LOWER_DIGITS:
        raise auth_errors.InvalidSignature("Credential should be scoped to correct service.")
    if len(access_key) > 128 or not access_key.isascii() or not access_key.isprintable():
        raise auth_errors.UnknownAccessKey
    return CredentialScope(access_key=access_key, date=date, region=region, service=service)
