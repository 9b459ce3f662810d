"""Attributes: ranges, conditional presence, encryption that excludes itself."""

from __future__ import annotations

import pytest

from lambent.core.errors import AwsError
from lambent.sqs import attributes
from lambent.sqs.model import QueueSettings

PLAIN = attributes.initial({}, fifo=False)
FIFO = attributes.initial({}, fifo=True)


def test_a_plain_queue_shows_its_defaults_and_no_more() -> None:
    assert attributes.shown(PLAIN) == {
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }


def test_a_fifo_queue_shows_four_more() -> None:
    assert attributes.shown(FIFO).items() - attributes.shown(PLAIN).items() == {
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "false"),
        ("DeduplicationScope", "queue"),
        ("FifoThroughputLimit", "perQueue"),
    }


@pytest.mark.parametrize(
    ("name", "least", "greatest"),
    [
        ("DelaySeconds", 0, 900),
        ("MaximumMessageSize", 1024, 1048576),
        ("MessageRetentionPeriod", 60, 1209600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43200),
        ("KmsDataKeyReusePeriodSeconds", 60, 86400),
    ],
)
def test_ranges(name: str, least: int, greatest: int) -> None:
    for value in (least, greatest):
        assert attributes.shown(attributes.changed(PLAIN, {name: str(value)}))[name] == str(value)
    for wrong in (least - 1, greatest + 1, "x", "", "1.5"):
        with pytest.raises(AwsError, match=f"Invalid value for the parameter {name}.") as refused:
            attributes.changed(PLAIN, {name: str(wrong)})
        assert refused.value.code == "InvalidAttributeValue"


@pytest.mark.parametrize(
    ("settings", "given", "code", "message"),
    [
        (PLAIN, {"Nonsense": "1"}, "InvalidAttributeName", "Unknown Attribute Nonsense."),
        (PLAIN, {"QueueArn": "x"}, "InvalidAttributeName", "Unknown Attribute QueueArn."),
        (PLAIN, {"FifoQueue": "true"}, "InvalidAttributeName", "Unknown Attribute FifoQueue."),
        (
            FIFO,
            {"FifoQueue": "false"},
            "InvalidAttributeValue",
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
        ),
        (
            PLAIN,
            {"ContentBasedDeduplication": "true"},
            "InvalidAttributeName",
            "Unknown Attribute ContentBasedDeduplication.",
        ),
        (
            PLAIN,
            {"DeduplicationScope": "queue"},
            "InvalidAttributeName",
            "You can specify the DeduplicationScope only when FifoQueue is set to true.",
        ),
        (
            FIFO,
            {"FifoThroughputLimit": "perMessageGroupId"},
            "InvalidAttributeValue",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        ),
        (
            PLAIN,
            {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"},
            "InvalidAttributeName",
            "You can use one type of server-side encryption (SSE) at one time. "
            "You can either enable KMS SSE or SQS SSE.",
        ),
        (PLAIN, {"DelaySeconds": None}, "InvalidAttributeValue", "Invalid value for the parameter DelaySeconds."),
        (PLAIN, {"Policy": "{"}, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
    ],
)
def test_refusals(settings: QueueSettings, given: dict[str, str | None], code: str, message: str) -> None:
    with pytest.raises(AwsError) as refused:
        attributes.changed(settings, given)
    assert (refused.value.code, refused.value.message) == (code, message)


def test_a_kms_key_switches_sqs_encryption_off_for_good() -> None:
    keyed = attributes.changed(PLAIN, {"KmsMasterKeyId": "alias/a"})
    assert attributes.shown(keyed)["SqsManagedSseEnabled"] == "false"
    cleared = attributes.shown(attributes.changed(keyed, {"KmsMasterKeyId": ""}))
    assert cleared["SqsManagedSseEnabled"] == "false"
    assert "KmsMasterKeyId" not in cleared
    with pytest.raises(AwsError):
        attributes.changed(keyed, {"SqsManagedSseEnabled": "true"})


def test_creating_again_compares_only_what_is_given() -> None:
    have = attributes.changed(PLAIN, {"DelaySeconds": "5"})
    assert attributes.different(have, {}) is None
    assert attributes.different(have, {"DelaySeconds": "5", "VisibilityTimeout": "30"}) is None
    assert attributes.different(have, {"VisibilityTimeout": "30", "DelaySeconds": "6"}) == "DelaySeconds"


@pytest.mark.parametrize(
    "policy",
    [
        "not json",
        "[]",
        '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:d"}',
        '{"maxReceiveCount": 3}',
        '{"deadLetterTargetArn": "d", "maxReceiveCount": 3}',
        '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:d", "maxReceiveCount": 0}',
        '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:d", "maxReceiveCount": 1001}',
        '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:d", "maxReceiveCount": true}',
        '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:d", "maxReceiveCount": 3, "x": 1}',
    ],
)
def test_redrive_policies_that_are_none(policy: str) -> None:
    with pytest.raises(AwsError) as refused:
        attributes.changed(PLAIN, {"RedrivePolicy": policy})
    assert refused.value.query_code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ('{"redrivePermission": "allowAll"}', True),
        ('{"redrivePermission": "byQueue", "sourceQueueArns": ["arn:aws:sqs:us-east-1:000000000000:s"]}', True),
        ('{"redrivePermission": "byQueue"}', False),
        ('{"redrivePermission": "byQueue", "sourceQueueArns": ["s"]}', False),
        ('{"redrivePermission": "denyAll", "sourceQueueArns": ["arn:aws:sqs:us-east-1:000000000000:s"]}', False),
        ('{"redrivePermission": "maybe"}', False),
        ("{}", False),
    ],
)
def test_redrive_allow_policies(policy: str, allowed: bool) -> None:
    if allowed:
        assert attributes.changed(PLAIN, {"RedriveAllowPolicy": policy}).redrive_allow_policy == policy
    else:
        with pytest.raises(AwsError):
            attributes.changed(PLAIN, {"RedriveAllowPolicy": policy})
