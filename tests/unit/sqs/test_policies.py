"""Queue policies: who gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambent.core.errors import AwsError
from lambent.sqs import policies

ARN = "arn:aws:sqs:us-east-1:000000000000:q"


def attempt(action: str = "SendMessage", **changes: Any) -> policies.Attempt:
    defaults: dict[str, Any] = {
        "account": "111111111111",
        "arn": "arn:aws:iam::111111111111:user/ann",
        "action": action,
        "resource": ARN,
        "keys": {},
    }
    return policies.Attempt(**{**defaults, **changes})


def document(*statements: dict[str, Any]) -> policies.Document:
    basis = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": ARN}
    filled = []
    for statement in statements:
        merged = {**basis, **statement}
        for name in ("Principal", "Action", "Resource"):
            if f"Not{name}" in statement:
                del merged[name]
        filled.append(merged)
    return policies.parse(json.dumps({"Version": "2012-10-17", "Statement": filled}))


@pytest.mark.parametrize(
    ("principal", "decision"),
    [
        ("*", "allow"),
        ({"AWS": "*"}, "allow"),
        ({"AWS": "111111111111"}, "allow"),
        ({"AWS": "arn:aws:iam::111111111111:root"}, "allow"),
        ({"AWS": ["arn:aws:iam::222222222222:root", "arn:aws:iam::111111111111:user/ann"]}, "allow"),
        ({"AWS": "arn:aws:iam::111111111111:user/bob"}, "none"),
        ({"Service": "sns.amazonaws.com"}, "none"),
    ],
)
def test_principals(principal: Any, decision: str) -> None:
    assert policies.decide(document({"Principal": principal}), attempt()) == decision


def test_a_session_is_its_role() -> None:
    role = document({"Principal": {"AWS": "arn:aws:iam::111111111111:role/path/worker"}})
    assert policies.decide(role, attempt(arn="arn:aws:sts::111111111111:assumed-role/worker/one")) == "allow"
    assert policies.decide(role, attempt(arn="arn:aws:sts::111111111111:assumed-role/other/one")) == "none"


def test_services() -> None:
    topic = "arn:aws:sns:us-east-1:000000000000:t"
    policy = document(
        {"Principal": {"Service": "sns.amazonaws.com"}, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    )
    sns = attempt(service="sns.amazonaws.com", keys={"aws:sourcearn": [topic]})
    assert policies.decide(policy, sns) == "allow"
    assert policies.decide(policy, attempt(service="sns.amazonaws.com", keys={"aws:sourcearn": ["x"]})) == "none"
    assert policies.decide(policy, attempt(service="events.amazonaws.com")) == "none"


def test_a_denial_outweighs() -> None:
    both = document({}, {"Effect": "Deny", "Action": "sqs:*", "Principal": {"AWS": "111111111111"}})
    assert policies.decide(both, attempt()) == "deny"
    assert policies.decide(both, attempt(account="222222222222", arn="arn:aws:iam::222222222222:root")) == "allow"


def test_actions_and_resources() -> None:
    assert policies.decide(document({"Action": "SQS:Send*"}), attempt()) == "allow"
    assert policies.decide(document({"Action": "*", "Resource": "*"}), attempt("PurgeQueue")) == "allow"
    assert policies.decide(document({"NotAction": "sqs:SendMessage"}), attempt()) == "none"
    assert policies.decide(document({"Resource": ARN + "2"}), attempt()) == "none"
    assert policies.decide(document({"NotPrincipal": {"AWS": "111111111111"}, "Effect": "Deny"}), attempt()) == "none"


@pytest.mark.parametrize(
    ("condition", "decision"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": "111111111111"}}, "allow"),
        ({"StringNotEquals": {"aws:PrincipalAccount": ["111111111111", "222222222222"]}}, "none"),
        ({"StringNotEquals": {"aws:SourceVpc": "x"}}, "allow"),
        ({"StringEqualsIfExists": {"aws:SourceVpc": "x"}}, "allow"),
        ({"StringLike": {"aws:PrincipalAccount": "1111*"}}, "allow"),
        ({"Bool": {"aws:SecureTransport": "true"}}, "allow"),
        ({"Bool": {"aws:SecureTransport": False}}, "none"),
        ({"Null": {"aws:SourceVpc": "true"}}, "allow"),
        ({"Null": {"aws:PrincipalAccount": "true"}}, "none"),
        ({"NumericLessThan": {"aws:EpochTime": 4}}, "allow"),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}, "allow"),
        ({"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}, "none"),
        ({"ForAllValues:StringEquals": {"aws:SourceVpc": "x"}}, "allow"),
        ({"ForAnyValue:StringLike": {"aws:PrincipalAccount": ["2*", "1*"]}}, "allow"),
    ],
)
def test_conditions(condition: dict[str, Any], decision: str) -> None:
    keys = {
        "aws:principalaccount": ["111111111111"],
        "aws:securetransport": ["true"],
        "aws:epochtime": ["3"],
        "aws:currenttime": ["2026-02-03T04:05:06Z"],
    }
    assert policies.decide(document({"Condition": condition}), attempt(keys=keys)) == decision


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"Statement": []}',
        '{"Statement": [{"Effect": "Maybe", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sns:*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "ann", "Action": "sqs:*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "${aws:x}"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*", '
        '"Condition": {"Sometimes": {"aws:SourceArn": "c"}}}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*", '
        '"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}',
    ],
)
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(AwsError) as refused:
        policies.parse(text)
    assert refused.value.code == "InvalidAttributeValue"


def test_permissions_come_and_go() -> None:
    def add(policy: str | None, label: str, accounts: list[str], actions: list[str]) -> str:
        return policies.add_permission(
            policy, arn=ARN, partition="aws", label=label, accounts=accounts, actions=actions
        )

    one = add(None, "one", ["111111111111"], ["SendMessage"])
    assert json.loads(one) == {
        "Version": "2008-10-17",
        "Id": f"{ARN}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "one",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                "Action": "SQS:SendMessage",
                "Resource": ARN,
            }
        ],
    }
    assert policies.decide(policies.parse(one), attempt()) == "allow"
    two = add(one, "two", ["111111111111", "222222222222"], ["ReceiveMessage", "DeleteMessage"])
    assert json.loads(two)["Statement"][1]["Action"] == ["SQS:ReceiveMessage", "SQS:DeleteMessage"]
    with pytest.raises(AwsError, match="Already exists"):
        add(two, "one", ["111111111111"], ["SendMessage"])
    with pytest.raises(AwsError, match="Please refer to the appropriate WSDL"):
        add(two, "three", ["111111111111"], ["Nonsense"])
    with pytest.raises(AwsError, match="8 Actions were found, maximum allowed is 7"):
        add(two, "three", ["111111111111"], list(policies.GRANTABLE[1:]))
    assert json.loads(policies.remove_permission(two, "one") or "")["Statement"][0]["Sid"] == "two"
    assert policies.remove_permission(one, "one") is None
    for policy in (None, one):
        with pytest.raises(AwsError, match="Reason: can't find label"):
            policies.remove_permission(policy, "two")
