from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.core.arns import function_arn
from lambent.core.errors import AccessDenied, ValidationError
from lambent.core.operations import Scope
from lambent.lambda_.errors import InvalidParameterValue, ResourceNotFound
from lambent.lambda_.names import (
    FunctionReference,
    is_version_number,
    parse_function,
    parse_new_name,
    parse_unqualified,
    version_number,
)

SCOPE = Scope(account="000000000000", region="us-east-1")

names = st.from_regex(r"[a-zA-Z0-9-_]{1,64}", fullmatch=True)
qualifiers = st.one_of(
    st.none(),
    st.just("$LATEST"),
    st.from_regex(r"[0-9]{1,5}", fullmatch=True),
    st.from_regex(r"[a-z-_]+", fullmatch=True),
)


@given(name=names, qualifier=qualifiers)
def test_every_form_of_a_name_means_the_same_function(name: str, qualifier: str | None) -> None:
    suffix = "" if qualifier is None else f":{qualifier}"
    expected = FunctionReference(scope=SCOPE, name=name, qualifier=qualifier)
    forms = [
        f"function:{name}{suffix}",
        f"000000000000:function:{name}{suffix}",
        f"us-east-1:000000000000:function:{name}{suffix}",
        function_arn(SCOPE, name, qualifier),
    ]
    for form in forms:
        assert parse_function(SCOPE, form) == expected
    assert parse_function(SCOPE, name, qualifier) == expected
    assert parse_function(SCOPE, function_arn(SCOPE, name), qualifier) == expected
    assert expected.qualified_arn == function_arn(SCOPE, name) + suffix


def test_a_bare_name_may_carry_a_qualifier() -> None:
    assert parse_function(SCOPE, "f:live") == FunctionReference(scope=SCOPE, name="f", qualifier="live")


@pytest.mark.parametrize("text", ["", "f f", "f:", "arn:aws:sqs:us-east-1:000000000000:q", "f:a:b", "ü", "f\n"])
def test_what_is_no_function_name(text: str) -> None:
    with pytest.raises(ValidationError, match=r"(?s)Value '.*' at 'functionName' failed to satisfy constraint"):
        parse_function(SCOPE, text)


def test_functions_of_another_region_are_not_reachable() -> None:
    with pytest.raises(ResourceNotFound) as caught:
        parse_function(SCOPE, "arn:aws:lambda:eu-west-1:000000000000:function:f")
    assert caught.value.message == "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"


def test_functions_of_another_account_are_denied() -> None:
    with pytest.raises(AccessDenied) as caught:
        parse_function(SCOPE, "111111111111:function:f")
    assert caught.value.status == 403


def test_the_qualifier_must_not_be_given_twice_and_differ() -> None:
    assert parse_function(SCOPE, "f:1", "1").qualifier == "1"
    with pytest.raises(InvalidParameterValue) as caught:
        parse_function(SCOPE, "f:1", "2")
    assert caught.value.message == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )


def test_operations_on_functions_refuse_versions_and_aliases() -> None:
    assert parse_unqualified(SCOPE, "f:$LATEST") == FunctionReference(scope=SCOPE, name="f")
    for text in ("f:1", "f:live"):
        with pytest.raises(InvalidParameterValue, match=r"^This operation is permitted on Lambda functions only\."):
            parse_unqualified(SCOPE, text)


def test_only_new_names_are_limited_to_64_characters() -> None:
    assert parse_new_name(SCOPE, "n" * 64).name == "n" * 64
    assert parse_function(SCOPE, "n" * 65).name == "n" * 65
    with pytest.raises(InvalidParameterValue) as caught:
        parse_new_name(SCOPE, "n" * 65)
    assert caught.value.message == (
        f"1 validation error detected: Value '{'n' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64"
    )


@given(st.integers(min_value=1, max_value=10**18 - 1))
def test_version_numbers(number: int) -> None:
    assert is_version_number(str(number))
    assert version_number(str(number)) == number


@pytest.mark.parametrize("text", ["0", "00", "01", "9" * 30])
def test_numbers_that_no_version_has(text: str) -> None:
    assert is_version_number(text)
    assert version_number(text) == -1
