"""Queue URLs in every form that clients send."""

from __future__ import annotations

import pytest

from lambent.core.operations import Scope
from lambent.sqs import names
from lambent.sqs.errors import InvalidAddress, InvalidParameterValue
from lambent.sqs.model import QueueKey

SCOPE = Scope(account="000000000000", region="us-east-1")


@pytest.mark.parametrize(
    ("url", "account", "region", "name"),
    [
        ("http://127.0.0.1:4566/123456789012/q", "123456789012", "us-east-1", "q"),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo", "123456789012", "us-east-1", "q.fifo"),
        ("https://queue.amazonaws.com/123456789012/q/", "123456789012", "us-east-1", "q"),
        ("https://proxy.example/some/prefix/123456789012/q", "123456789012", "us-east-1", "q"),
        ("http://localhost/queue/eu-west-1/123456789012/q", "123456789012", "eu-west-1", "q"),
        ("/123456789012/q", "123456789012", "us-east-1", "q"),
        ("/queue/eu-west-1/123456789012/q", "123456789012", "eu-west-1", "q"),
        ("q", "000000000000", "us-east-1", "q"),
    ],
)
def test_what_a_url_names(url: str, account: str, region: str, name: str) -> None:
    assert names.key_of_url(url, SCOPE) == QueueKey(account=account, region=region, name=name)


@pytest.mark.parametrize(
    "url", ["", "/", "http://localhost/", "http://localhost/q", "http://l/12/q", "/1/q name", "a/b"]
)
def test_what_is_no_url_of_a_queue(url: str) -> None:
    with pytest.raises(InvalidAddress):
        names.key_of_url(url, SCOPE)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_the_url_that_is_answered_leads_back(region: str) -> None:
    key = QueueKey(account="123456789012", region=region, name="q.fifo")
    assert names.key_of_url(names.url_of("http://localhost:4566", key, SCOPE), SCOPE) == key
    assert names.key_of_arn(names.arn_of(key)) == key


@pytest.mark.parametrize(
    ("name", "fifo", "allowed"),
    [
        ("a" * 80, False, True),
        ("a" * 81, False, False),
        ("q.fifo", False, False),
        ("", False, False),
        ("a b", False, False),
        ("a" * 75 + ".fifo", True, True),
        ("a" * 76 + ".fifo", True, False),
        ("q", True, False),
        (".fifo", True, False),
    ],
)
def test_new_names(name: str, fifo: bool, allowed: bool) -> None:
    if allowed:
        names.check_new_name(name, fifo=fifo)
    else:
        with pytest.raises(InvalidParameterValue):
            names.check_new_name(name, fifo=fifo)
