"""What a web page that the user has open can make the browser send, and that each defence is what stops it.

Every attack is tried twice: against the endpoint as it is, and against one with the single defence in question
switched off, where it must get through; otherwise the test would pass for another reason.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.endpoint_server import ServedEndpoint

FORM = "application/x-www-form-urlencoded"
CREATE = "Action=GetCallerIdentity&Version=2011-06-15"
INVOKE = "/2015-03-31/functions/f/invocations"
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=" + "0" * 64
)
PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20260101%2Fus-east-1%2F{service}%2Faws4_request"
    "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedEndpoint]:
    with ServedEndpoint(tmp_path_factory.mktemp("defended")) as running:
        yield running


@pytest.fixture
def without(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedEndpoint]:
    """The endpoint with the defence that the test's parameter names switched off."""
    with ServedEndpoint(tmp_path, switches={request.param: False}) as running:
        yield running


def send(server: ServedEndpoint, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, Any]:
    client = http.client.HTTPConnection("127.0.0.1", server.endpoint.port, timeout=20)
    try:
        client.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": f"localhost:{server.endpoint.port}", "Content-Length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in sent.items():
            client.putheader(name, value)
        client.endheaders(body.encode())
        answer = client.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        client.close()


@pytest.mark.parametrize("without", ["require_signature"], indirect=True)
@pytest.mark.parametrize("content_type", ["text/plain", FORM, "multipart/form-data; boundary=x"])
def test_simple_post_without_preflight(server: ServedEndpoint, without: ServedEndpoint, content_type: str) -> None:
    """`fetch(url, {method: "POST", mode: "no-cors", body})`: no Authorization can be set on it.

    An old browser leaves out Origin and Sec-Fetch-Site, so the missing signature alone must do.
    """
    status, body, headers = send(server, "POST", INVOKE, '{"a":1}', Content_Type=content_type)
    assert (status, headers["x-amzn-ErrorType"]) == (403, "MissingAuthenticationTokenException")
    assert "Missing Authentication Token" in body
    assert not server.toys.params
    assert send(without, "POST", INVOKE, '{"a":1}', Content_Type=content_type)[:2] == (200, '{"a":1}')


@pytest.mark.parametrize("without", ["require_signature"], indirect=True)
def test_form_post(server: ServedEndpoint, without: ServedEndpoint) -> None:
    """`<form method=post>` speaks the query protocol fluently."""
    status, body, _ = send(server, "POST", "/", CREATE, Content_Type=FORM)
    assert status == 403
    assert "<Code>MissingAuthenticationToken" in body
    status, body, _ = send(without, "POST", "/?Version=2011-06-15", CREATE, Content_Type=FORM)
    assert (status, "<Account>000000000000</Account>" in body) == (200, True)


@pytest.mark.parametrize("without", ["check_origin"], indirect=True)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:4566"])
def test_foreign_origin(server: ServedEndpoint, without: ServedEndpoint, origin: str) -> None:
    """Even with something that looks like a signature."""
    headers = {"Origin": origin, "Authorization": SIGNED}
    status, body, _ = send(server, "POST", INVOKE, "1", **headers)
    assert (status, "LambentRefusedException" in body) == (403, True)
    assert send(without, "POST", INVOKE, "1", **headers)[0] == 200


@pytest.mark.parametrize("without", ["check_host"], indirect=True)
@pytest.mark.parametrize("host", ["rebound.evil.example", "rebound.evil.example:4566", "0.0.0.0:4566"])
def test_rebound_host(server: ServedEndpoint, without: ServedEndpoint, host: str) -> None:
    """The attacker's name resolves to 127.0.0.1 now: to the browser it is one origin, and nothing is cross-site."""
    headers = {"Host": host, "Origin": f"http://{host}", "Authorization": SIGNED, "Sec_Fetch_Site": "same-origin"}
    status, body, _ = send(server, "POST", INVOKE, "1", **headers)
    assert (status, f"does not answer to the host name '{host}'" in body) == (403, True)
    assert send(without, "POST", INVOKE, "1", **headers)[0] == 200
    # What needs no signature is no exception.
    assert send(server, "GET", "/_lambent/health", Host=host)[0] == 403
    assert send(without, "GET", "/_lambent/health", Host=host)[0] == 200


@pytest.mark.parametrize("without", ["check_origin"], indirect=True)
def test_link_or_image_with_a_made_up_presigned_query(server: ServedEndpoint, without: ServedEndpoint) -> None:
    """A plain GET carries no Origin; the browser says that another site started it."""
    path = f"/2015-03-31/functions?{PRESIGNED.format(service='lambda')}"
    for site in ("cross-site", "same-site"):
        assert send(server, "GET", path, Sec_Fetch_Site=site)[0] == 403
        assert send(without, "GET", path, Sec_Fetch_Site=site)[0] == 200
    assert send(server, "GET", path, Sec_Fetch_Site="none")[0] == 200


def test_presigned_query_that_changes_something_is_not_believed(server: ServedEndpoint) -> None:
    """For browsers that do not say who started a GET."""
    query = PRESIGNED.format(service="sqs")
    before = len(server.toys.params)
    status, body, _ = send(server, "GET", f"/1/q?Action=SendMessage&MessageBody=m&Version=2012-11-05&{query}")
    assert (status, "A presigned SendMessage changes something" in body) == (403, True)
    assert len(server.toys.params) == before
    query = PRESIGNED.format(service="sts")
    assert send(server, "GET", f"/?Action=GetCallerIdentity&Version=2011-06-15&{query}")[0] == 200


def test_form_whose_action_is_a_presigned_query_is_not_believed(server: ServedEndpoint) -> None:
    """`<form method=post action="...?X-Amz-Signature=...">`, from a browser that sends no Origin with it."""
    before = len(server.toys.params)
    path = f"{INVOKE}?{PRESIGNED.format(service='lambda')}"
    status, body, _ = send(server, "POST", path, "{}", Content_Type="text/plain")
    assert (status, "A presigned Invoke changes something" in body) == (403, True)
    assert len(server.toys.params) == before


def test_preflight(server: ServedEndpoint) -> None:
    status, _, headers = send(
        server,
        "OPTIONS",
        INVOKE,
        Origin="https://evil.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization",
    )
    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("content_type", ["text/plain", FORM])
def test_own_routes_that_change_something_need_proof(server: ServedEndpoint, content_type: str) -> None:
    status, body, _ = send(server, "POST", "/_lambent/change", "x=1", Content_Type=content_type)
    assert (status, "x-lambent: 1" in body) == (403, True)
    query = PRESIGNED.format(service="lambent")
    assert send(server, "POST", f"/_lambent/change?{query}", "x=1", Content_Type=content_type)[0] == 403
    assert send(server, "POST", "/_lambent/change", "x=1", X_Lambent="1")[0] == 200
    assert send(server, "POST", "/_lambent/change", "x=1", X_Lambent="1", Origin="https://evil.example")[0] == 403


def test_two_hosts_are_no_host(server: ServedEndpoint) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.endpoint.port, timeout=20)
    client.putrequest("GET", "/_lambent/health", skip_host=True)
    client.putheader("Host", "evil.example")
    client.putheader("Host", "localhost")
    client.endheaders()
    assert client.getresponse().status == 403
    client.close()


def test_only_gets_may_be_anonymous(server: ServedEndpoint) -> None:
    with pytest.raises(ValueError, match="must be a GET"):
        server.endpoint.add_route("POST", "/_lambent/other", server.toys.health, anonymous=True)


def test_verifying_server_wants_its_own_routes_signed(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("AKIA secret 123456789012\n")
    keys.chmod(0o600)
    with ServedEndpoint(tmp_path, auth_file=keys) as server:
        assert send(server, "GET", "/_lambent/health")[0] == 200
        assert send(server, "POST", "/_lambent/change", X_Lambent="1")[0] == 403
        assert send(server, "POST", "/_lambent/change", Authorization=SIGNED)[0] == 403
        assert send(server, "POST", INVOKE, "1", Authorization=SIGNED)[0] == 403
