from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.iam.errors import MalformedPolicyDocument
from lambent.iam.policy_document import check_identity_policy, check_trust_policy, compact_size
from tests.unit.iam.documents import READ, TRUST, document

SYNTAX = "Syntax errors in policy."


def allow(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | members


def without(statement: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in statement.items() if name not in names}


def trust(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}} | members


GOOD = [
    READ,
    document(allow(), allow(Sid="b", Effect="Deny")),
    json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": allow()}),
    document(without(allow(NotAction=["iam:*"], NotResource=["*"]), "Action", "Resource")),
    document(allow(Action="*", Resource=["arn:aws:s3:::b", "arn:aws:sqs:us-east-1:123456789012:q:with:colons"])),
    document(allow(Resource="arn:aws:s3:::home/${aws:username}/*")),
    document(allow(Resource="arn:aws:sqs")),
    document(allow(Condition={"ForAnyValue:StringLikeIfExists": {"aws:x": ["a"]}, "Bool": {"aws:y": False}})),
    document(allow(Condition={"Null": {"aws:x": "true"}, "NumericLessThanEquals": {"s3:max-keys": 10}})),
    document(allow(Condition={"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}})),
    document(allow(Condition={"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}})),
]  # fmt: skip

BAD = [
    ("", SYNTAX),
    ("{", SYNTAX),
    ("[]", SYNTAX),
    ("[" * 100_000, SYNTAX),
    (json.dumps({"Version": "2012-10-17"}), SYNTAX),
    (document(), SYNTAX),
    (document("x"), SYNTAX),
    (json.dumps({"Version": "2012-10-17", "Statement": allow(), "Extra": 1}), SYNTAX),
    (document(allow(), version="2020-01-01"), SYNTAX),
    (document(allow(), version="2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
    (document(allow(), version=None), "Policy document must be version 2012-10-17 or greater."),
    (document(allow(Effect="allow")), SYNTAX),
    (document(without(allow(), "Effect")), SYNTAX),
    (document(allow(Extra=1)), SYNTAX),
    (document(allow(NotAction="s3:*")), SYNTAX),
    (document(allow(Action=[1])), SYNTAX),
    (document(allow(Sid=1)), SYNTAX),
    (document(allow(Principal="*")), "Policy document should not specify a principal."),
    (document(without(allow(), "Action")), "Policy statement must contain actions."),
    (document(allow(Action=[])), "Policy statement must contain actions."),
    (document(without(allow(), "Resource")), "Policy statement must contain resources."),
    (document(allow(Action="GetObject")), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
    (document(allow(Action="s 3:x")), "Vendor s 3 is not valid"),
    (document(allow(Action="s3:a:b")), "Actions/Condition can contain only one colon."),
    (document(allow(Resource="bucket")), 'Resource bucket must be in ARN format or "*".'),
    (document(allow(Resource="arn:cloud:s3:::b")), 'Partition "cloud" is not valid for resource "arn:cloud:s3:::b".'),
    (
        document(allow(Resource="arn:aws:iam:us-east-1:1:role/x")),
        "IAM resource arn:aws:iam:us-east-1:1:role/x cannot contain region information.",
    ),
    (document(allow(Condition={"StringIs": {"aws:x": "y"}})), SYNTAX),
    (document(allow(Condition={"StringEquals": "y"})), SYNTAX),
    (document(allow(Condition={"StringEquals": {"aws:x": {}}})), SYNTAX),
    (document(allow(Condition=[])), SYNTAX),
    (document(allow(Sid="a"), allow(Sid="a")), "Statement IDs (SID) in a single policy must be unique."),
    (
        document(allow(Sid="a-b")),
        "Statement IDs (SID) must be alpha-numeric. "
        "Check that your input satisfies the regular expression [A-Za-z0-9]*",
    ),
]

GOOD_TRUST = [
    TRUST,
    document(trust(), version="2008-10-17"),
    document(trust(), version=None),
    document(trust(Principal="*")),
    document(trust(Principal={"AWS": ["*", "123456789012", "arn:aws:iam::123456789012:root"]})),
    document(trust(Principal={"AWS": "arn:aws:iam::123456789012:role/path/x", "Service": ["events.amazonaws.com"]})),
    document(trust(Action=["sts:AssumeRole", "sts:TagSession"])),
    document(trust(Action="sts:*")),
    document(
        trust(
            Action="sts:AssumeRoleWithWebIdentity",
            Principal={"Federated": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"},
            Condition={"StringLike": {"token.actions.githubusercontent.com:sub": "repo:a/b:*"}},
        )
    ),
]

BAD_TRUST = [
    ("not json", "This policy contains invalid Json"),
    (json.dumps({"Version": "2012-10-17"}), "Missing required field Statement"),
    (json.dumps({"Statement": trust(), "Foo": 1}), "Unknown field Foo"),
    (document(trust(Foo=1)), "Unknown field Foo"),
    (document(trust(Resource="*")), "Has prohibited field Resource"),
    (document(without(trust(), "Principal")), "Missing required field Principal"),
    (document(without(trust(), "Action")), "Missing required field Action"),
    (document(without(trust(), "Effect")), "Missing required field Effect"),
    (document(trust(Effect="Maybe")), SYNTAX),
    (document(trust(Action="s3:GetObject")), "AssumeRole policy may only specify STS AssumeRole actions."),
    (document(trust(Action="*")), "AssumeRole policy may only specify STS AssumeRole actions."),
    (document(trust(Principal={"Service": "lambda"})), 'Invalid principal in policy: "SERVICE":"lambda"'),
    (document(trust(Principal={"AWS": "me"})), 'Invalid principal in policy: "AWS":"me"'),
    (
        document(trust(Principal={"AWS": "arn:aws:iam::123456789012:role/*"})),
        'Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/*"',
    ),
    (document(trust(Principal={"Person": "x"})), 'Invalid principal in policy: "Person":"x"'),
]


@pytest.mark.parametrize("text", GOOD)
def test_identity_policies_that_pass(text: str) -> None:
    check_identity_policy(text, managed=True)


@pytest.mark.parametrize(("text", "message"), BAD)
def test_identity_policies_that_do_not(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicyDocument) as caught:
        check_identity_policy(text, managed=True)
    assert caught.value.message == message


@pytest.mark.parametrize("version", [None, "2008-10-17"])
def test_an_inline_policy_may_be_of_the_older_version(version: str | None) -> None:
    check_identity_policy(document(allow(), version=version), managed=False)


@pytest.mark.parametrize("text", GOOD_TRUST)
def test_trust_policies_that_pass(text: str) -> None:
    check_trust_policy(text)


@pytest.mark.parametrize(("text", "message"), BAD_TRUST)
def test_trust_policies_that_do_not(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicyDocument) as caught:
        check_trust_policy(text)
    assert caught.value.message == message


def test_white_space_is_free() -> None:
    assert compact_size(' {"a":\n\t1 }\r\n') == 7


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    member=st.sampled_from(["Sid", "Effect", "Principal", "Action", "Resource", "Condition", "NotAction", "Other"]),
    value=_JSON,
    is_trust=st.booleans(),
)
def test_whatever_is_in_a_member_the_answer_is_a_verdict(member: str, value: object, is_trust: bool) -> None:
    text = document((trust() if is_trust else allow()) | {member: value})
    with contextlib.suppress(MalformedPolicyDocument):
        if is_trust:
            check_trust_policy(text)
        else:
            check_identity_policy(text, managed=True)
