from __future__ import annotations

from typing import Any

import pytest

from lambent.core.errors import ValidationError
from lambent.lambda_.configuration import (
    changed_configuration,
    check_layer_arns,
    check_unzipped_size,
    new_configuration,
)
from lambent.lambda_.errors import InvalidParameterValue
from lambent.lambda_.layer_resolver import ResolvedLayer
from lambent.lambda_.model import Configuration, Logging, Package

LEAST = {"Role": "arn:aws:iam::000000000000:role/r", "Runtime": "python3.13", "Handler": "h.h"}


def configured(**params: Any) -> Configuration:
    return new_configuration("f", {**LEAST, **params})


def test_the_defaults_are_those_of_aws() -> None:
    assert configured() == Configuration(
        role="arn:aws:iam::000000000000:role/r",
        runtime="python3.13",
        handler="h.h",
        logging=Logging(log_group="/aws/lambda/f"),
        description="",
        timeout_s=3,
        memory_mb=128,
        environment=None,
        layers=(),
        ephemeral_storage_mb=512,
        tracing_mode="PassThrough",
        architecture="x86_64",
    )


@pytest.mark.parametrize("missing", ["Runtime", "Handler"])
def test_packages_need_runtime_and_handler(missing: str) -> None:
    params = {name: value for name, value in LEAST.items() if name != missing}
    with pytest.raises(InvalidParameterValue, match="Runtime and Handler are mandatory parameters"):
        new_configuration("f", params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"Timeout": 901},
            "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900",
        ),
        ({"MemorySize": 10241}, "Value '10241' at 'memorySize' failed"),
        ({"EphemeralStorage": {"Size": 10241}}, "Value '10241' at 'ephemeralStorage.size' failed"),
    ],
)
def test_limits_below_those_of_the_service_model(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        configured(**params)


def test_an_empty_environment_is_not_no_environment() -> None:
    assert configured(Environment={}).environment == {}
    assert configured(Environment={"Variables": {"A": "1"}}).environment == {"A": "1"}


def test_an_update_changes_only_what_it_names() -> None:
    before = configured(Timeout=5, Environment={"Variables": {"A": "1"}}, Description="d")
    after = changed_configuration(before, {"Timeout": 7})
    assert (before.timeout_s, after.timeout_s) == (5, 7)
    assert changed_configuration(after, {"Timeout": 5}) == before
    assert changed_configuration(before, {}) == before


def test_json_logging_brings_levels() -> None:
    json_logging = configured(LoggingConfig={"LogFormat": "JSON"})
    assert json_logging.logging == Logging(
        log_group="/aws/lambda/f", log_format="JSON", application_log_level="INFO", system_log_level="INFO"
    )
    debug = changed_configuration(json_logging, {"LoggingConfig": {"ApplicationLogLevel": "DEBUG", "LogGroup": "g"}})
    assert debug.logging == Logging(
        log_group="g", log_format="JSON", application_log_level="DEBUG", system_log_level="INFO"
    )
    assert changed_configuration(debug, {"LoggingConfig": {"LogFormat": "Text"}}).logging == Logging(log_group="g")


def test_text_logging_has_no_levels() -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        configured(LoggingConfig={"SystemLogLevel": "DEBUG"})
    assert caught.value.message == (
        'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the '
        "LogFormat to JSON and try again."
    )


def layer_arn(name: str, version: int) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:layer:{name}:{version}"


def test_at_most_five_layers() -> None:
    check_layer_arns([layer_arn(name, 1) for name in "abcde"])
    with pytest.raises(InvalidParameterValue, match=r"^Cannot reference more than 5 layers\.$"):
        check_layer_arns([layer_arn(name, 1) for name in "abcdef"])


def test_one_version_of_a_layer() -> None:
    one, two = layer_arn("a", 1), layer_arn("a", 2)
    with pytest.raises(InvalidParameterValue) as caught:
        check_layer_arns([one, layer_arn("b", 1), two])
    assert caught.value.message == (
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{one} and {two} are versions of the same layer."
    )


def test_code_and_layers_together_are_limited() -> None:
    package = Package(sha256="00" * 32, zip_bytes=1, unzipped_bytes=262_144_000 - 10)

    def layer(unzipped_bytes: int) -> ResolvedLayer:
        return ResolvedLayer(arn=layer_arn("a", 1), code_size=1, sha256="11" * 32, unzipped_bytes=unzipped_bytes)

    check_unzipped_size(package, [layer(10)])
    with pytest.raises(InvalidParameterValue, match=r"^Unzipped size must be smaller than 262144000 bytes$"):
        check_unzipped_size(package, [layer(11)])
