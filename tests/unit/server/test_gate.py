"""Which requests may talk at all."""

from __future__ import annotations

import pytest

from lambent.server import hosts
from lambent.server.gate import Gate

GATE = Gate(allowed_hosts=("https://lambda.example.com:8443/", "build-box"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:4566",
        "LOCALHOST:4566",
        "localhost.",
        "127.0.0.1:4566",
        "127.0.0.7",
        "[::1]:4566",
        "sqs.us-east-1.localhost:4566",
        "abc123.lambda-url.us-east-1.localhost",
        "lambda.us-east-1.amazonaws.com",
        "sts.amazonaws.com",
        "bucket.with.dots.s3.eu-west-1.amazonaws.com",
        "s3-us-west-2.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        "lambda.us-east-1.api.aws",
        "abc.lambda-url.us-east-1.on.aws",
        "lambda.example.com",
        "build-box:4566",
    ],
)
def test_knows_its_own_names(host: str) -> None:
    assert GATE.refuse("POST", {"host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.com",
        "localhost.evil.com",
        "notlocalhost",
        "127.0.0.1.nip.io",
        "0.0.0.0:4566",
        "[::]:4566",
        "192.168.1.5",
        "8.8.8.8",
        "evil.amazonaws.com.evil.com",
        "name-1.us-east-1.elb.amazonaws.com",
        "name.elb.us-east-1.amazonaws.com",
        "ec2-1-2-3-4.us-west-2.compute.amazonaws.com",
        "localhost@evil.com",
        "localhost:4566@evil.com",
        "localhost:evil",
        "evil.com:80,localhost",
        "[::1].evil.com",
        ".localhost.evil",
    ],
)
def test_refuses_every_other_name(host: str) -> None:
    refusal = GATE.refuse("POST", {"host": host})
    assert refusal is not None
    assert refusal.reason == "host"
    assert Gate(check_host=False).refuse("POST", {"host": host}) is None


def test_address_literals_are_names_only_where_the_server_says_so() -> None:
    open_gate = Gate(address_literals=True)
    assert open_gate.refuse("GET", {"host": "192.168.1.5:4566"}) is None
    assert open_gate.refuse("GET", {"host": "0.0.0.0:4566"}) is not None
    assert open_gate.refuse("GET", {"host": "evil.com"}) is not None


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost:4566", True),
        ("https://localhost:4566", True),
        ("http://localhost:3000", False),
        ("http://localhost", False),
        ("http://127.0.0.1:4566", False),
        ("null", False),
        ("", False),
        ("https://evil.com", False),
        ("file://", False),
        ("chrome-extension://abc", False),
        ("http://localhost:4566.evil.com", False),
        ("http://evil.com@localhost:4566", False),
    ],
)
def test_origin_must_be_our_own_or_allowed(origin: str, passes: bool) -> None:
    refusal = GATE.refuse("POST", {"host": "localhost:4566", "origin": origin})
    assert (refusal is None) == passes
    if refusal is not None:
        assert refusal.reason == "origin"


@pytest.mark.parametrize(
    ("site", "passes"), [("same-origin", True), ("none", True), ("cross-site", False), ("same-site", False)]
)
def test_fetches_that_other_sites_start_are_refused(site: str, passes: bool) -> None:
    refusal = GATE.refuse("GET", {"host": "localhost:4566", "sec-fetch-site": site})
    assert (refusal is None) == passes


def test_preflights_are_refused() -> None:
    headers = {"host": "localhost:4566", "access-control-request-method": "POST"}
    refusal = GATE.refuse("OPTIONS", headers)
    assert refusal is not None
    assert refusal.reason == "preflight"
    assert GATE.refuse("OPTIONS", {"host": "localhost:4566"}) is None


def test_memory_of_hosts_is_bounded_and_never_forgets_to_check() -> None:
    gate = Gate()
    for number in range(3000):
        assert gate.refuse("GET", {"host": f"b{number}.localhost"}) is None
    assert gate.refuse("GET", {"host": "evil.com"}) is not None
    assert gate.refuse("GET", {"host": "evil.com"}) is not None


@pytest.mark.parametrize(
    ("name", "service", "region", "prefix"),
    [
        ("sqs.eu-west-1.amazonaws.com", "sqs", "eu-west-1", None),
        ("sqs.eu-west-1.localhost", "sqs", "eu-west-1", None),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "sqs", "us-gov-west-1", None),
        ("sts.amazonaws.com", "sts", None, None),
        ("s3.amazonaws.com", "s3", None, None),
        ("s3.localhost", "s3", None, None),
        ("a.b.s3.localhost", "s3", None, "a.b"),
        ("s3.s3.us-east-1.amazonaws.com", "s3", "us-east-1", "s3"),
        ("bucket.s3.dualstack.us-east-1.amazonaws.com", "s3", "us-east-1", "bucket"),
        ("bucket.s3-us-west-2.amazonaws.com", "s3", "us-west-2", "bucket"),
        ("abc.lambda-url.us-east-1.on.aws", "lambda-url", "us-east-1", "abc"),
        ("q1w2.execute-api.us-east-1.localhost", "execute-api", "us-east-1", "q1w2"),
    ],
)
def test_service_hosts(name: str, service: str, region: str | None, prefix: str | None) -> None:
    target = hosts.service_host(name)
    assert target is not None
    assert (target.service, target.region, target.prefix) == (service, region, prefix)


@pytest.mark.parametrize("name", ["localhost", "evil.com", "amazonaws.com", "x..amazonaws.com", "a.b.amazonaws.com"])
def test_other_names_are_no_service(name: str) -> None:
    assert hosts.service_host(name) is None
