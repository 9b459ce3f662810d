"""Which messages an invoke deletes: AWS's success and failure conditions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.event_sources.results import Invoked, Verdict, judge

IDS = ("a", "b", "c")


def answer(*identifiers: object) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": one} for one in identifiers]}).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"{}",
        b'""',
        b'"done"',
        b"[]",
        b"7",
        b'{"other": 1}',
        b'{"batchItemFailures": []}',
        b'{"batchItemFailures": null}',
    ],
)
def test_complete_success(text: bytes) -> None:
    result = judge(IDS, Invoked.ANSWERED, text, reports_failures=True)
    assert (result.verdict, result.succeeded) == (Verdict.SUCCEEDED, (True,) * 3)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"\xff",
        b"not json",
        b'{"batchItemFailures": "a"}',
        b'{"batchItemFailures": ["a"]}',
        b'{"batchItemFailures": [{"foo": "notvalid"}]}',
        b'{"batchItemFailures": [null]}',
        answer(None),
        answer(""),
        answer(5),
        answer("unknown"),
        answer("a", "unknown"),
    ],
)
def test_a_malformed_answer_keeps_everything(text: bytes) -> None:
    result = judge(IDS, Invoked.ANSWERED, text, reports_failures=True)
    assert (result.verdict, result.succeeded, result.failed) == (Verdict.MALFORMED, (False,) * 3, 3)
    assert result.reason


def test_a_message_that_is_twice_in_a_batch_fails_twice() -> None:
    result = judge(("a", "b", "a"), Invoked.ANSWERED, answer("a"), reports_failures=True)
    assert result.succeeded == (False, True, False)


@pytest.mark.parametrize("invoked", [Invoked.FUNCTION_ERROR, Invoked.REFUSED])
@pytest.mark.parametrize("reports_failures", [True, False])
def test_a_failed_invoke_keeps_everything(invoked: Invoked, reports_failures: bool) -> None:
    result = judge(IDS, invoked, b'{"batchItemFailures": []}', reports_failures=reports_failures)
    assert (result.verdict, result.succeeded) == (Verdict.FAILED, (False,) * 3)


@given(st.sampled_from([b"{", b"null", answer("a"), answer("unknown")]) | st.binary())
def test_answers_are_not_looked_at_unless_they_are_reports(text: bytes) -> None:
    assert judge(IDS, Invoked.ANSWERED, text, reports_failures=False).succeeded == (True,) * 3


@given(st.lists(st.uuids().map(str), min_size=1, max_size=20, unique=True), st.data())
def test_exactly_the_named_ones_come_back(ids: list[str], data: st.DataObject) -> None:
    failed = data.draw(st.lists(st.sampled_from(ids), max_size=len(ids) * 2))
    result = judge(ids, Invoked.ANSWERED, answer(*failed), reports_failures=True)
    assert {one for one, succeeded in zip(ids, result.succeeded, strict=True) if not succeeded} == set(failed)
    assert result.verdict is (Verdict.PARTLY_FAILED if failed else Verdict.SUCCEEDED)


@given(
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_any_answer_has_a_result(text: bytes) -> None:
    result = judge(IDS, Invoked.ANSWERED, text, reports_failures=True)
    assert len(result.succeeded) == 3
    assert all(result.succeeded) or result.reason
