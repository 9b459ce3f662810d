from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lambent.lambda_.errors import InvalidParameterValue, PolicyLengthExceeded, ResourceConflict, ResourceNotFound
from lambent.lambda_.policy_documents import (
    Permission,
    add_statement,
    build_statement,
    check_document,
    encode,
    remove_statement,
    statements_of,
)

RESOURCE = "arn:aws:lambda:us-east-1:000000000000:function:f"


def grant(principal: str = "s3.amazonaws.com", action: str = "lambda:InvokeFunction", **members: Any) -> dict[str, Any]:
    return build_statement(Permission(statement_id="s", action=action, principal=principal, **members), RESOURCE)


def test_the_example_of_the_documentation_byte_for_byte() -> None:
    statement = build_statement(
        Permission(
            statement_id="s3",
            action="lambda:InvokeFunction",
            principal="s3.amazonaws.com",
            source_arn="arn:aws:s3:::bucket",
            source_account="000000000000",
        ),
        RESOURCE,
    )

    assert add_statement(None, statement) == (
        '{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"s3","Effect":"Allow","Principal":{"Service":'
        '"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:000000000000:'
        'function:f","Condition":{"StringEquals":{"AWS:SourceAccount":"000000000000"},"ArnLike":{"AWS:SourceArn":'
        '"arn:aws:s3:::bucket"}}}]}'
    )


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", "*"),
        ("s3.amazonaws.com", {"Service": "s3.amazonaws.com"}),
        ("alexa-appkit.amazon.com", {"Service": "alexa-appkit.amazon.com"}),
        ("111111111111", {"AWS": "arn:aws:iam::111111111111:root"}),
        ("arn:aws:iam::111111111111:role/path/r", {"AWS": "arn:aws:iam::111111111111:role/path/r"}),
        ("arn:aws:sts::111111111111:assumed-role/r/s", {"AWS": "arn:aws:sts::111111111111:assumed-role/r/s"}),
    ],
)
def test_kinds_of_principals(principal: str, expected: object) -> None:
    assert grant(principal)["Principal"] == expected


@pytest.mark.parametrize("principal", ["invalid.nonaws.com", "bob", "1234", "arn:aws:s3:::bucket", "**"])
def test_what_is_no_principal(principal: str) -> None:
    with pytest.raises(InvalidParameterValue, match=r"^The provided principal was invalid\. Please check"):
        grant(principal)


def test_an_account_of_another_partition_is_named_in_that_partition() -> None:
    permission = Permission(statement_id="s", action="lambda:InvokeFunction", principal="111111111111")

    assert build_statement(permission, RESOURCE, "aws-cn")["Principal"] == {"AWS": "arn:aws-cn:iam::111111111111:root"}


def test_conditions_have_the_capitalisation_of_aws() -> None:
    statement = grant(
        "*",
        "lambda:InvokeFunctionUrl",
        principal_org_id="o-1234567890",
        function_url_auth_type="NONE",
        source_account="000000000000",
    )

    assert statement["Condition"] == {
        "StringEquals": {
            "AWS:SourceAccount": "000000000000",
            "aws:PrincipalOrgID": "o-1234567890",
            "lambda:FunctionUrlAuthType": "NONE",
        }
    }


def test_a_grant_through_the_function_url_only() -> None:
    assert grant("*", invoked_via_function_url=True)["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    assert "Condition" not in grant("*", invoked_via_function_url=False)


@pytest.mark.parametrize(
    ("action", "members"),
    [
        ("lambda:InvokeFunction", {"function_url_auth_type": "NONE"}),
        ("lambda:InvokeFunctionUrl", {"invoked_via_function_url": True}),
        ("lambda:InvokeFunction", {"event_source_token": "t", "source_account": "000000000000"}),
        ("lambda:InvokeFunction", {"event_source_token": "t", "source_arn": "arn:aws:s3:::b"}),
    ],
)
def test_members_that_exclude_each_other(action: str, members: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterValue):
        grant("*", action, **members)


def test_a_policy_cannot_pass_twenty_kilobytes() -> None:
    document = add_statement(None, {"Sid": "a", "Text": "x" * 20_000})

    with pytest.raises(
        PolicyLengthExceeded, match=r"^The final policy size \(\d+\) is bigger than the limit \(20480\)"
    ):
        add_statement(document, {"Sid": "b", "Text": "x" * 1_000})


def test_removing_what_is_not_there() -> None:
    document = add_statement(None, {"Sid": "a"})

    with pytest.raises(ResourceNotFound, match=r"^Statement b is not found in resource policy\.$"):
        remove_statement(document, "b")


class Documents(RuleBasedStateMachine):
    """Adding and removing statements does to the document what it does to an ordered dict."""

    def __init__(self) -> None:
        super().__init__()
        self.document: str | None = None
        self.expected: dict[str, dict[str, Any]] = {}

    sids = st.text("ab", min_size=1, max_size=2)

    @rule(sid=sids, payload=st.text(max_size=20))
    def add(self, sid: str, payload: str) -> None:
        statement = {"Sid": sid, "Payload": payload}
        if sid in self.expected:
            with pytest.raises(ResourceConflict, match=rf"^The statement id \({sid}\) provided already exists\."):
                add_statement(self.document, statement)
        else:
            self.document = add_statement(self.document, statement)
            self.expected[sid] = statement

    @rule(sid=sids)
    def remove(self, sid: str) -> None:
        if self.document is None:
            return
        if sid in self.expected:
            del self.expected[sid]
            self.document = remove_statement(self.document, sid)
        else:
            with pytest.raises(ResourceNotFound):
                remove_statement(self.document, sid)

    @invariant()
    def same(self) -> None:
        assert (self.document is None) == (not self.expected)
        assert statements_of(self.document) == list(self.expected.values())
        if self.document is not None:
            assert list(json.loads(self.document)) == ["Version", "Id", "Statement"]


TestDocuments = Documents.TestCase


def policy(**changes: Any) -> str:
    statement = {"Sid": "s", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction"}
    statement |= {"Resource": RESOURCE}
    statement |= changes
    return encode({"Version": "2012-10-17", "Statement": [{k: v for k, v in statement.items() if v is not None}]})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Effect": "Deny", "Action": ["lambda:InvokeFunction", "lambda:Get*"]},
        {"Principal": {"AWS": ["111111111111", "arn:aws:iam::222222222222:root"], "Service": "sns.amazonaws.com"}},
        {"Principal": None, "NotPrincipal": {"AWS": "111111111111"}, "Effect": "Deny"},
        {"Resource": "*"},
        {"Resource": [RESOURCE]},
        {"Condition": {"Bool": {"aws:SecureTransport": True}, "StringLike": {"aws:PrincipalArn": ["a*", "b"]}}},
    ],
)
def test_documents_in_the_grammar(changes: dict[str, Any]) -> None:
    check_document(policy(**changes), RESOURCE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Effect": "allow"}, "Effect must be"),
        ({"Principal": None}, "exactly one of Principal and NotPrincipal"),
        ({"NotAction": "lambda:Get*"}, "exactly one of Action and NotAction"),
        ({"Principal": "bob"}, "Principal must be"),
        ({"Principal": {"Person": "bob"}}, "unknown kind of principal"),
        ({"Action": "s3:GetObject"}, "not an action of Lambda"),
        ({"Action": []}, "Action must be a string"),
        ({"Resource": f"{RESOURCE}:live"}, "Resource must be"),
        ({"Colour": "red"}, "unknown element Colour"),
        ({"Condition": {"Bool": "true"}}, "condition operator Bool"),
        ({"Sid": 7}, "Sid must be"),
    ],
)
def test_statements_outside_the_grammar(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidParameterValue, match=why):
        check_document(policy(**changes), RESOURCE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"Statement":[]}',
        '{"Statement":[1]}',
        '{"Version":"2020-01-01","Statement":[{}]}',
        '{"Id":1,"Statement":[{}]}',
        '{"Extra":1,"Statement":[{}]}',
        '{"Statement":[],"Statement":[]}',
    ],
)
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(InvalidParameterValue):
        check_document(text, RESOURCE)


def test_statement_ids_of_a_document_are_unique() -> None:
    statement = json.loads(policy())["Statement"][0]

    with pytest.raises(InvalidParameterValue, match="unique"):
        check_document(encode({"Statement": [statement, statement]}), RESOURCE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
ELEMENT = st.sampled_from(["Sid", "Effect", "Principal", "Action", "Resource", "Condition"])


@given(st.dictionaries(ELEMENT, JSON), JSON)
def test_no_document_breaks_the_check(changes: dict[str, Any], version: object) -> None:
    with contextlib.suppress(InvalidParameterValue):
        check_document(policy(**changes), RESOURCE)
    with contextlib.suppress(InvalidParameterValue):
        check_document(json.dumps({"Version": version, "Statement": version}), RESOURCE)


def test_a_document_nested_without_end_is_no_policy() -> None:
    with pytest.raises(InvalidParameterValue, match="not valid JSON"):
        check_document("[" * 20_000, RESOURCE)
