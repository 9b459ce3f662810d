"""Validation errors in AWS's words: the recorded examples, and each rule."""

from __future__ import annotations

from typing import Any

import pytest

from lambent.core.errors import ValidationError
from lambent.server.protocol import ServiceModels
from lambent.server.protocol.constraints import Constraints, violations_error
from lambent.server.protocol.java_text import java_double
from lambent.server.protocol.shapes import Shape, ShapeRef, from_description

MODELS = ServiceModels()


def message(service: str, operation: str, params: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        MODELS.service(service).operation(operation).validate(params)
    return caught.value.message


def test_map_value_out_of_range_prints_the_map_and_all_rules() -> None:
    assert message("lambda", "UpdateAlias", _alias({"2": 2.0})) == (
        "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        "constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must "
        "have value greater than or equal to 0.0, Member must not be null]"
    )


def test_map_key_against_its_pattern() -> None:
    assert message("lambda", "UpdateAlias", _alias({"$LATEST": 0.5})) == (
        "1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to "
        "satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
        "Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, "
        "Member must not be null]"
    )


def _alias(weights: dict[str, float]) -> dict[str, Any]:
    return {"FunctionName": "f", "Name": "a", "RoutingConfig": {"AdditionalVersionWeights": weights}}


def _function(**members: Any) -> dict[str, Any]:
    role = "arn:aws:iam::000000000000:role/r"
    return {"FunctionName": "f", "Code": {}, "Role": role, **members}


def test_list_too_long_prints_the_list() -> None:
    assert message("lambda", "CreateFunction", _function(Architectures=["x86_64", "arm64"])) == (
        "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member "
        "must have length less than or equal to 1"
    )


def test_list_element_outside_its_enum_is_wrapped() -> None:
    assert message("lambda", "CreateFunction", _function(Architectures=["riscv"])) == (
        "1 validation error detected: Value '[riscv]' at 'architectures' failed to satisfy constraint: Member must "
        "satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
    )


def test_absent_required_member() -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert message("lambda", "UntagResource", {"Resource": arn}) == (
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"
    )


def test_absent_nested_member_has_its_path() -> None:
    text = message("lambda", "CreateFunction", _function(CapacityProviderConfig={}))
    assert text == (
        "1 validation error detected: Value null at "
        "'capacityProviderConfig.lambdaManagedInstancesCapacityProviderConfig' failed to satisfy constraint: Member "
        "must not be null"
    )


def test_number_out_of_range() -> None:
    params = {"FunctionName": "f", "ScalingConfig": {"MaximumConcurrency": 1}}
    assert message("lambda", "CreateEventSourceMapping", params) == (
        "1 validation error detected: Value '1' at 'scalingConfig.maximumConcurrency' failed to satisfy constraint: "
        "Member must have value greater than or equal to 2"
    )


def test_several_errors_are_counted_and_joined() -> None:
    text = message("lambda", "CreateFunction", _function(Architectures=["riscv"], Handler="a b"))
    assert text.startswith("2 validation errors detected: Value 'a b' at 'handler' failed to satisfy constraint: ")
    assert "; Value '[riscv]' at 'architectures' failed" in text


def test_two_rules_broken_by_one_value_are_two_errors_and_lists_of_structures_have_indices() -> None:
    identifier = "a b" * 30
    params = {"Rule": "r", "Targets": [{"Id": "ok", "Arn": "arn"}, {"Id": identifier, "Arn": "arn"}]}
    assert message("events", "PutTargets", params) == (
        f"2 validation errors detected: Value '{identifier}' at 'targets.2.member.id' failed to satisfy constraint: "
        f"Member must have length less than or equal to 64; Value '{identifier}' at 'targets.2.member.id' failed to "
        r"satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"
    )


def test_structures_are_printed_as_java_prints_them() -> None:
    entry = {"Source": "s", "Time": 0.0, "Resources": ["a", "b"]}
    printed = (
        "PutEventsRequestEntry(time=Thu Jan 01 00:00:00 UTC 1970, source=s, resources=[a, b], detailType=null, "
        "detail=null, eventBusName=null, traceHeader=null)"
    )
    text = message("events", "PutEvents", {"Entries": [entry] * 11})
    assert text == (
        f"1 validation error detected: Value '[{', '.join([printed] * 11)}]' at 'entries' failed to satisfy "
        "constraint: Member must have length less than or equal to 10"
    )


def test_secret_values_are_not_printed() -> None:
    text = message("lambda", "CreateFunction", _function(Environment={"Variables": {"1": "hunter2"}}))
    assert text.startswith(
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint:"
    )
    assert "hunter2" not in text


def test_members_that_the_service_words_itself_are_left_to_it() -> None:
    operation = MODELS.service("lambda").operation("CreateFunction")
    operation.validate(_function(Runtime="cobol"), except_paths={"runtime"})
    with pytest.raises(ValidationError, match="1 validation error detected: Value 'a b' at 'handler'"):
        operation.validate(_function(Runtime="cobol", Handler="a b"), except_paths={"runtime"})


def test_what_is_right_passes() -> None:
    MODELS.service("lambda").operation("CreateFunction").validate(_function(Architectures=["arm64"], Timeout=3))
    MODELS.service("iam").operation("CreateRole").validate({"RoleName": "a", "AssumeRolePolicyDocument": "{}"})
    MODELS.service("sts").operation("GetCallerIdentity").validate({})


def check(shapes: dict[str, Any], value: Any) -> str | None:
    model = from_description({"metadata": {"protocol": "json"}, "shapes": {"String": {"type": "string"}, **shapes}})
    found = Constraints().check(Shape(model, ShapeRef(shape="Root")))
    assert found is not None
    violations = found(value)
    return None if violations is None else violations_error(violations).message.partition("detected: ")[2]


def test_length_is_counted_in_utf16_units_and_bytes() -> None:
    short = {"Root": {"type": "structure", "members": {"A": {"shape": "Short"}}}, "Short": {"type": "string", "max": 2}}
    assert check(short, {"A": "éé"}) is None
    assert check(short, {"A": "😹"}) is None
    assert check(short, {"A": "😹a"}) is not None
    blob = {**short, "Short": {"type": "blob", "max": 2}}
    assert check(blob, {"A": b"ab"}) is None
    assert check(blob, {"A": b"abc"}) == (
        "Value 'java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]' at 'a' failed to satisfy constraint: Member must have "
        "length less than or equal to 2"
    )


def test_nulls_in_collections() -> None:
    shapes: dict[str, Any] = {
        "Root": {"type": "structure", "members": {"Items": {"shape": "Items"}, "Map": {"shape": "Map"}}},
        "Items": {"type": "list", "member": {"shape": "Item"}},
        "Item": {"type": "structure", "members": {}},
        "Map": {"type": "map", "key": {"shape": "String"}, "value": {"shape": "String"}},
    }
    assert check(shapes, {"Items": [{}, None]}) == (
        "Value null at 'items.2.member' failed to satisfy constraint: Member must not be null"
    )
    assert check(shapes, {"Map": {"a": None}}) == (
        "Value '{a=null}' at 'map' failed to satisfy constraint: Map value must satisfy constraint: [Member must not "
        "be null]"
    )
    shapes["Map"]["sparse"] = True
    assert check(shapes, {"Map": {"a": None}}) is None


def test_structures_that_hold_themselves() -> None:
    shapes = {
        "Root": {"type": "structure", "members": {"Child": {"shape": "Root"}, "N": {"shape": "N"}}},
        "N": {"type": "integer", "min": 1},
    }
    assert check(shapes, {"Child": {"Child": {"N": 0}}}) == (
        "Value '0' at 'child.child.n' failed to satisfy constraint: Member must have value greater than or equal to 1"
    )
    assert check(shapes, {"Child": {"Child": {"N": 1}}}) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2.0"),
        (0.0, "0.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (1e7, "1.0E7"),
        (123456789.5, "1.234567895E8"),
        (-1.5e-9, "-1.5E-9"),
        (float("inf"), "Infinity"),
        (1e22, "1.0E22"),
    ],
)
def test_doubles_print_as_in_java(value: float, text: str) -> None:
    assert java_double(value) == text


@pytest.mark.parametrize("service", ["lambda", "iam", "sts", "events", "sqs", "logs", "s3"])
def test_every_pattern_of_the_services_that_we_serve_is_checked(service: str) -> None:
    assert MODELS.service(service).untranslatable_patterns() == {}
