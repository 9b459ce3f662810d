"""Signature Version 4, verified against botocore's own signers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import botocore.auth
import botocore.config
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.errors import AwsError
from lambent.server import auth_errors
from lambent.server.claims import ClaimReader
from lambent.server.credentials import Credential, Credentials
from lambent.server.signature import Signed, Verifier

NOW = datetime.datetime(2026, 11, 23, 12, 0, 0, tzinfo=datetime.UTC)
KEY = Credential(
    access_key="AKIDEXAMPLE",
    secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    account="123456789012",
    principal_arn="arn:aws:iam::123456789012:root",
)


class Frozen:
    """A clock that stands still `offset_s` after the moment of signing."""

    def __init__(self, offset_s: float = 0) -> None:
        self.offset_s = offset_s

    def now(self) -> float:
        return NOW.timestamp() + self.offset_s


@pytest.fixture(autouse=True)
def signing_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW)


def sign(
    signer: Any,
    method: str = "POST",
    url: str = "http://localhost:4566/",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    credential: Credential = KEY,
    service: str = "sqs",
    **arguments: Any,
) -> AWSRequest:
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
    s3_settings = {"payload_signing_enabled": arguments.pop("payload_signing", True)}
    request.context["client_config"] = botocore.config.Config(s3=s3_settings)
    keys = botocore.credentials.Credentials(credential.access_key, credential.secret, credential.session_token)
    signer(keys, service, "us-east-1", **arguments).add_auth(request)
    return request


def verify(
    request: AWSRequest,
    *,
    service: str = "sqs",
    offset_s: float = 0,
    body: bytes | None = None,
    late_body: bool = False,
    credentials: Credentials | None = None,
) -> Signed:
    """Verify what `request` looks like on the wire."""
    clock = Frozen(offset_s)
    store = credentials or Credentials({KEY.access_key: KEY}, clock=clock)  # type: ignore[arg-type]
    url = urlsplit(request.url)
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    headers.setdefault("host", url.netloc)
    claim = ClaimReader().read(url.query, headers)
    assert claim is not None
    received = None if late_body else (request.data or b"") if body is None else body
    return Verifier(store, clock).verify(  # type: ignore[arg-type]
        claim, request.method, url.path, url.query, headers, service=service, body=received
    )


def refusal(request: AWSRequest, **arguments: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        verify(request, **arguments)
    return caught.value


URLS = [
    "http://localhost:4566/",
    "http://localhost:4566/?b=2&a=1&a=0&empty=&flag",
    "http://localhost:4566/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af/invocations",
    "http://localhost:4566/2017-03-31/tags/arn%3Aaws%3Alambda?tagKeys=a%20b&tagKeys=c%2Fd~e-f_g.h",
    "http://localhost:4566/a//b/./c/../d/",
    "http://localhost:4566/caf%C3%A9?k=%E2%82%AC",
]


@pytest.mark.parametrize("url", URLS)
def test_header_auth(url: str) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage", "X-A": " a   b "}
    signed = verify(sign(botocore.auth.SigV4Auth, url=url, body=b'{"a":1}', headers=headers))
    assert signed.credential is KEY


@pytest.mark.parametrize(
    "key",
    ["plain", "a%20b%2Bc", "x//y", "dots/./../z", "caf%C3%A9", "par%28en%29%27s", "til~de", "trailing/", "en%2Fcoded"],
)
def test_s3_header_auth_signs_the_path_as_sent(key: str) -> None:
    request = sign(botocore.auth.S3SigV4Auth, "PUT", f"http://b.s3.localhost:4566/{key}", b"data", service="s3")
    assert verify(request, service="s3").payload_hash == request.headers["X-Amz-Content-SHA256"]


def test_s3_unsigned_payload() -> None:
    url = "https://b.s3.localhost:4566/k"
    request = sign(botocore.auth.S3SigV4Auth, "PUT", url, b"data", service="s3", payload_signing=False)
    assert request.headers["X-Amz-Content-SHA256"] == "UNSIGNED-PAYLOAD"
    verify(request, service="s3", late_body=True)
    verify(request, service="s3", body=b"anything else")


def test_presigned_query() -> None:
    url = "http://localhost:4566/?Action=GetCallerIdentity&Version=2011-06-15"
    request = sign(botocore.auth.SigV4QueryAuth, "GET", url, service="sts", expires=60)
    verify(request, service="sts", offset_s=60)
    error = refusal(request, service="sts", offset_s=61)
    assert isinstance(error, auth_errors.InvalidSignature)
    assert error.message == (
        "Signature expired: 20261123T120000Z is now earlier than 20261123T120001Z (20261123T120101Z - 1 min.)"
    )


def test_s3_presigned_query() -> None:
    url = "http://b.s3.localhost:4566/k%20y?versionId=3"
    request = sign(botocore.auth.S3SigV4QueryAuth, "GET", url, service="s3", expires=600)
    verify(request, service="s3", offset_s=600)
    verify(request, service="s3", late_body=True)
    error = refusal(request, service="s3", offset_s=601)
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Request has expired")
    assert error.members == {
        "X-Amz-Expires": "600",
        "Expires": "2026-11-23T12:10:00Z",
        "ServerTime": "2026-11-23T12:10:01Z",
    }


def test_a_week_is_the_longest_that_a_presigned_url_lives() -> None:
    request = sign(botocore.auth.S3SigV4QueryAuth, "GET", "http://b.s3.localhost/k", service="s3", expires=604801)
    assert refusal(request, service="s3").code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize("service", ["sqs", "s3"])
def test_signature_that_does_not_match(service: str) -> None:
    signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    request = sign(signer, service=service, url="http://localhost:4566/a?b=1")
    request.url = "http://localhost:4566/a?b=2"
    error = refusal(request, service=service)
    assert error.status == 403
    assert (error.query_code or error.code) == "SignatureDoesNotMatch"
    assert error.message.startswith(
        "The request signature we calculated does not match the signature you provided. Check your "
    )


def test_the_mismatch_shows_what_should_have_been_signed() -> None:
    request = sign(botocore.auth.SigV4Auth, headers={"X-Custom": "1"})
    request.headers.replace_header("X-Custom", "2")
    error = refusal(request)
    assert error.code == "InvalidSignatureException"
    assert "The Canonical String for this request should have been\n'POST\n/\n\nhost:localhost:4566\n" in error.message
    assert "\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20261123T120000Z\n" in error.message
    assert KEY.secret not in error.message


@pytest.mark.parametrize("late", [False, True])
def test_another_body_than_the_signed_one(late: bool) -> None:
    request = sign(botocore.auth.S3SigV4Auth, "PUT", "http://localhost/b/k", b"data", service="s3")
    if late:
        assert verify(request, service="s3", late_body=True).payload_hash == request.headers["X-Amz-Content-SHA256"]
    else:
        assert refusal(request, service="s3", body=b"tampered").code == "XAmzContentSHA256Mismatch"
    plain = sign(botocore.auth.SigV4Auth, body=b"data")
    assert refusal(plain, body=b"tampered").query_code == "SignatureDoesNotMatch"


def test_unknown_key() -> None:
    other = Credential(access_key="AKIDOTHER", secret="x", account="1" * 12, principal_arn="arn:aws:iam::1:root")
    error = refusal(sign(botocore.auth.SigV4Auth, credential=other))
    assert (error.code, error.query_code, error.status) == ("UnrecognizedClientException", "InvalidClientTokenId", 403)
    assert error.message == "The security token included in the request is invalid."
    s3 = refusal(sign(botocore.auth.S3SigV4Auth, credential=other, service="s3"), service="s3")
    assert s3.code == "InvalidAccessKeyId"


@pytest.mark.parametrize(("offset_s", "passes"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_skew(offset_s: float, passes: bool) -> None:
    request = sign(botocore.auth.SigV4Auth)
    if passes:
        verify(request, offset_s=offset_s)
        return
    message = refusal(request, offset_s=offset_s).message
    assert message == (
        "Signature expired: 20261123T120000Z is now earlier than 20261123T120001Z (20261123T120501Z - 5 min.)"
        if offset_s > 0
        else "Signature not yet current: 20261123T120000Z is still later than 20261123T115959Z "
        "(20261123T115459Z + 5 min.)"
    )


@pytest.mark.parametrize(("offset_s", "passes"), [(900, True), (901, False), (-900, True), (-901, False)])
def test_s3_skew(offset_s: float, passes: bool) -> None:
    request = sign(botocore.auth.S3SigV4Auth, service="s3")
    if passes:
        verify(request, service="s3", offset_s=offset_s)
    else:
        assert refusal(request, service="s3", offset_s=offset_s).code == "RequestTimeTooSkewed"


def test_scope_of_another_service() -> None:
    error = refusal(sign(botocore.auth.SigV4Auth, service="lambda"), service="sqs")
    assert error.message == "Credential should be scoped to correct service: 'sqs'."


def test_host_must_be_signed() -> None:
    request = sign(botocore.auth.SigV4Auth)
    value = request.headers["Authorization"].replace("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date")
    request.headers.replace_header("Authorization", value)
    assert "'Host' or ':authority' must be a 'SignedHeader'" in refusal(request).message


def test_s3_headers_that_were_added_after_signing() -> None:
    request = sign(botocore.auth.S3SigV4Auth, service="s3")
    request.headers["X-Amz-Acl"] = "public-read"
    error = refusal(request, service="s3")
    assert error.code == "AccessDenied"
    assert error.message == "There were headers present in the request which were not signed: x-amz-acl"


def test_minted_credentials_prove_themselves_with_their_token() -> None:
    clock = Frozen()
    store = Credentials({KEY.access_key: KEY}, clock=clock)  # type: ignore[arg-type]
    minted = store.mint(
        account="123456789012", principal_arn="arn:aws:sts::123456789012:assumed-role/r/f", lifetime_s=60
    )
    request = sign(botocore.auth.SigV4Auth, credential=minted)
    assert verify(request, credentials=store).credential is minted
    assert verify(sign(botocore.auth.SigV4QueryAuth, "GET", credential=minted), credentials=store).credential is minted

    del request.headers["X-Amz-Security-Token"]
    assert refusal(request, credentials=store).query_code == "InvalidClientTokenId"
    request.headers["X-Amz-Security-Token"] = "forged"
    assert refusal(request, credentials=store).query_code == "InvalidClientTokenId"

    late = sign(botocore.auth.SigV4Auth, credential=minted)
    assert refusal(late, credentials=store, offset_s=60).query_code == "ExpiredToken"
    store.revoke(minted.access_key)
    assert refusal(late, credentials=store).query_code == "InvalidClientTokenId"
    assert minted.secret not in repr(minted)
    assert (minted.session_token or "") not in repr(minted)


def test_a_token_that_nobody_gave_is_refused() -> None:
    request = sign(botocore.auth.SigV4Auth)
    request.headers["X-Amz-Security-Token"] = "anything"
    assert refusal(request).query_code == "InvalidClientTokenId"


def test_the_day_of_the_scope_is_the_day_of_the_date() -> None:
    request = sign(botocore.auth.SigV4Auth)
    request.headers.replace_header("X-Amz-Date", "20261122T235959Z")
    assert refusal(request).message == (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20261123' != '20261122', from '20261122T235959Z'."
    )


CREDENTIAL = "Credential=AKID/20261123/us-east-1/sqs/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "code", "text"),
    [
        ("Basic dXNlcjpwYXNz", "IncompleteSignatureException", "Unsupported AWS 'algorithm': 'Basic'"),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", "IncompleteSignatureException", "AWS4-ECDSA-P256-SHA256"),
        ("AWS AKID:c2ln", "InvalidRequest", "not supported. Please use AWS4-HMAC-SHA256."),
        ("AWS4-HMAC-SHA256", "IncompleteSignatureException", "missing equal-sign"),
        ("AWS4-HMAC-SHA256 nonsense", "IncompleteSignatureException", "'nonsense' not a valid key=value pair"),
        (f"AWS4-HMAC-SHA256 {CREDENTIAL}", "IncompleteSignatureException", "requires 'Signature' parameter."),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0",
            "IncompleteSignatureException",
            "exactly 5 slash-delimited elements",
        ),
        (
            f"AWS4-HMAC-SHA256 {CREDENTIAL.replace('us-east-1', 'US EAST')}, SignedHeaders=host, Signature=0",
            "InvalidSignatureException",
            "Credential should be scoped to a valid region.",
        ),
    ],
)
def test_claims_that_cannot_be_read(authorization: str, code: str, text: str) -> None:
    with pytest.raises(AwsError) as caught:
        ClaimReader().read("", {"authorization": authorization})
    assert caught.value.code == code
    assert text in caught.value.message


@pytest.mark.parametrize("separator", [", ", ",", " , "])
def test_separators_of_the_authorization_header(separator: str) -> None:
    parts = [CREDENTIAL, "SignedHeaders=host;x-amz-date", "Signature=00ff"]
    claim = ClaimReader().read("", {"authorization": "AWS4-HMAC-SHA256 " + separator.join(parts)})
    assert claim is not None
    assert (claim.credential.access_key, claim.credential.service) == ("AKID", "sqs")
    assert (claim.signed_headers, claim.signature) == ("host;x-amz-date", "00ff")


def test_no_claim() -> None:
    assert ClaimReader().read("Action=ListQueues", {}) is None


SAFE = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FFF, exclude_categories=["Cs"]), max_size=12)


@given(
    path=st.lists(SAFE, max_size=4),
    query=st.lists(st.tuples(SAFE, SAFE), max_size=4),
    body=st.binary(max_size=64),
    s3=st.booleans(),
)
def test_whatever_botocore_signs_is_verified(
    path: list[str], query: list[tuple[str, str]], body: bytes, s3: bool
) -> None:
    from botocore.utils import percent_encode, percent_encode_sequence

    url = "http://localhost:4566/" + "/".join(percent_encode(segment) for segment in path)
    url += ("?" + percent_encode_sequence(query)) if query else ""
    signer = botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth
    service = "s3" if s3 else "lambda"
    request = sign(signer, "PUT", url, body, service=service)
    assert verify(request, service=service).credential is KEY
    request.headers.replace_header("X-Amz-Date", "20261123T120001Z")
    assert (refusal(request, service=service).query_code or "SignatureDoesNotMatch") == "SignatureDoesNotMatch"
