"""Streaming request bodies through the endpoint: plain, hashed, and in the aws-chunked encoding."""

from __future__ import annotations

import datetime
import http.client
import io
from collections.abc import Iterator
from urllib.parse import urlsplit

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum

from lambent.server import canonical
from lambent.testing import clients
from tests.api.endpoint_server import ServedEndpoint

UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


@pytest.fixture(scope="module", params=["any credentials", "verified"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedEndpoint]:
    folder = tmp_path_factory.mktemp("streams")
    keys = folder / "keys"
    keys.write_text("AKIAGOOD test 111122223333\n")
    keys.chmod(0o600)
    with ServedEndpoint(folder, auth_file=keys if request.param == "verified" else None) as running:
        yield running


class _Signer(botocore.auth.S3SigV4Auth):
    """Signs a head that declares how its body is framed."""

    declared = ""

    def payload(self, request: AWSRequest) -> str:
        return self.declared


def put(server: ServedEndpoint, declared: str, body: bytes, *, decoded: int, **headers: str) -> tuple[int, str, str]:
    """PUT with a signed head and `body` as it is: status, ETag, answer."""
    signer = _Signer(botocore.credentials.Credentials("AKIAGOOD", "test"), "s3", "us-east-1")
    signer.declared = declared
    lines = {"x-amz-decoded-content-length": str(decoded), "content-encoding": "aws-chunked"} | headers
    request = AWSRequest("PUT", f"{server.url}/bucket/key", headers=lines)
    signer.add_auth(request)
    return send(request, body)


def send(request: AWSRequest, body: bytes) -> tuple[int, str, str]:
    url = urlsplit(request.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    try:
        connection.request("PUT", url.path, body, dict(request.headers.items()))
        answer = connection.getresponse()
        return answer.status, answer.getheader("ETag", ""), answer.read().decode()
    finally:
        connection.close()


def test_boto3_put_object(server: ServedEndpoint) -> None:
    s3 = clients.client("s3", server.url, access_key="AKIAGOOD")
    data = b"abc" * 1_000_000
    assert s3.put_object(Bucket="bucket", Key="a b/c+d", Body=io.BytesIO(data))["ETag"] == '"3000000-abcabcab"'
    assert server.toys.params[-1]["Key"] == "a b/c+d"


def test_unsigned_chunks_with_a_trailer(server: ServedEndpoint) -> None:
    body = AwsChunkedWrapper(
        io.BytesIO(b"d" * 100_000), checksum_cls=Crc32Checksum, checksum_name="x-amz-checksum-crc32"
    )
    status, etag, _ = put(server, UNSIGNED_TRAILER, body.read(), decoded=100_000)
    assert (status, etag) == (200, '"100000-dddddddd"')


def test_a_body_that_is_cut_short(server: ServedEndpoint) -> None:
    status, _, answer = put(server, UNSIGNED_TRAILER, b"5\r\nabcde\r\n", decoded=5)
    assert (status, "<Code>IncompleteBody</Code>" in answer) == (400, True)


def signed_chunks(server: ServedEndpoint, chunks: list[bytes], *, wrong: bool = False) -> tuple[int, str, str]:
    """A PUT whose chunks are signed in a chain that starts at the head's signature."""
    signer = _Signer(botocore.credentials.Credentials("AKIAGOOD", "test"), "s3", "us-east-1")
    signer.declared = SIGNED
    request = AWSRequest("PUT", f"{server.url}/bucket/key")
    request.headers["x-amz-decoded-content-length"] = str(sum(map(len, chunks)))
    signer.add_auth(request)
    previous = request.headers["Authorization"].rpartition("Signature=")[2]
    timestamp = request.context["timestamp"]
    date = datetime.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    day = date.strftime("%Y%m%d")
    key = canonical.signing_key("test", day, "us-east-1", "s3")
    body = b""
    for chunk in [*chunks, b""]:
        digest = canonical.hashlib.sha256(chunk).hexdigest()
        scope = f"{day}/us-east-1/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{timestamp}\n{scope}\n{previous}\n{canonical.EMPTY_SHA256}\n{digest}"
        previous = canonical.sign(key, text)
        sent = chunk.swapcase() if wrong else chunk
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + sent + (b"\r\n" if chunk else b"")
    return send(request, body + b"\r\n")


def test_signed_chunks(server: ServedEndpoint) -> None:
    status, etag, _ = signed_chunks(server, [b"one ", b"two ", b"three"])
    assert (status, etag) == (200, '"13-one two "')


def test_chunks_that_were_changed_on_the_way(server: ServedEndpoint) -> None:
    status, etag, answer = signed_chunks(server, [b"one ", b"two "], wrong=True)
    if server.config.auth_file is None:
        assert (status, etag) == (200, '"8-ONE TWO "')
    else:
        assert (status, "<Code>SignatureDoesNotMatch</Code>" in answer) == (403, True)


def test_a_body_other_than_the_hashed_one(server: ServedEndpoint) -> None:
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("AKIAGOOD", "test"), "s3", "us-east-1")
    request = AWSRequest("PUT", f"{server.url}/bucket/key", data=b"original")
    signer.add_auth(request)
    status, _, answer = send(request, b"tampered")
    if server.config.auth_file is None:
        assert status == 200
    else:
        assert (status, "<Code>XAmzContentSHA256Mismatch</Code>" in answer) == (400, True)


def test_presigned_put_leaves_the_body_open(server: ServedEndpoint) -> None:
    s3 = clients.client("s3", server.url, access_key="AKIAGOOD", signature_version="s3v4")
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "b", "Key": "k"}))
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.request("PUT", f"{url.path}?{url.query}", b"whatever")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("ETag")) == (200, '"8-whatever"')
    answer.read()
    connection.request("PUT", f"{url.path}2?{url.query}", b"whatever")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == (200 if server.config.auth_file is None else 403)


def test_signature_version_2_is_refused_clearly(server: ServedEndpoint) -> None:
    """What boto3 presigns with when nobody asks for s3v4."""
    url = urlsplit(
        clients.client("s3", server.url).generate_presigned_url("put_object", Params={"Bucket": "b", "Key": "k"})
    )
    assert "AWSAccessKeyId=" in url.query
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.request("PUT", f"{url.path}?{url.query}", b"x")
    answer = connection.getresponse()
    assert (answer.status, "Please use AWS4-HMAC-SHA256." in answer.read().decode()) == (400, True)
    connection.close()


def test_unsigned_requests_are_denied_in_s3s_words(server: ServedEndpoint) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.endpoint.port, timeout=20)
    connection.request("GET", "/key", headers={"Host": "bucket.s3.us-east-1.localhost"})
    answer = connection.getresponse()
    assert (answer.status, "<Code>AccessDenied</Code>" in answer.read().decode()) == (403, True)
    connection.close()


def test_s3_not_implemented(server: ServedEndpoint) -> None:
    with pytest.raises(ClientError) as caught:
        clients.client("s3", server.url, access_key="AKIAGOOD").list_buckets()
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
