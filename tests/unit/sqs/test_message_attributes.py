"""Message attributes: digests against AWS's own, and every refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.sqs import message_attributes
from lambent.sqs.errors import InvalidParameterValue, UnsupportedOperation


def text(value: str, data_type: str = "String") -> dict[str, Any]:
    return {"DataType": data_type, "StringValue": value}


@pytest.mark.parametrize(
    ("attributes", "md5"),
    [
        (
            {
                "attr1": {
                    "DataType": "Binary",
                    "BinaryValue": b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01",
                }
            },
            "8cbe4db156db8a94db8b801b7addb984",
        ),
        ({"MyAttribute": text("foobar")}, "adb59cd4678ea5a855436b949cd07ab6"),
        ({"Foo": text("Bar")}, "ae7155c6026991b6d54b11589678bf9c"),
        (
            {"WeeksOn": text("6", "Number"), "Author": text("John Grisham"), "Title": text("The Whistler")},
            "d25a6aea97eb8f585bfa92d314504a92",
        ),
    ],
)
def test_digests_are_those_that_aws_answered(attributes: dict[str, Any], md5: str) -> None:
    assert message_attributes.digest(message_attributes.read_attributes(attributes)) == md5


@pytest.mark.parametrize(
    ("attributes", "part"),
    [
        ({"a" * 257: text("x")}, "must be shorter than 256 Bytes"),
        ({"sp ace": text("x")}, "can only contain upper and lower score characters"),
        ({"aws.x": text("x")}, "beginning with 'AWS.' or 'Amazon.'"),
        ({"AMAZON.x": text("x")}, "beginning with 'AWS.' or 'Amazon.'"),
        ({".x": text("x")}, "cannot start or end with '.'"),
        ({"x.": text("x")}, "cannot start or end with '.'"),
        ({"x..y": text("x")}, "cannot start or end with '.'"),
        ({"x": text("")}, "Message (user) attribute 'x' must contain a non-empty value of type 'String'."),
        ({"x": {"DataType": "Binary", "BinaryValue": b""}}, "non-empty value of type 'Binary'"),
        ({"x": {"DataType": "String", "BinaryValue": b"x"}}, "non-empty value of type 'String'"),
        ({"x": {"DataType": "String", "BinaryValue": b"x", "StringValue": "x"}}, "one value only"),
        ({"x": text("x", "Boolean")}, "supported type prefixes: Binary, Number, String"),
        ({"x": {"StringValue": "x"}}, "non-empty message attribute type"),
        ({"x": text("six", "Number")}, "to a number"),
        ({"x": text("x", "String." + "a" * 250)}, "shorter than 256 Bytes"),
        ({"x": text("\x00")}, "Invalid characters found"),
        ({f"a{number}": text("x") for number in range(11)}, "Number of message attributes [11]"),
    ],
)
def test_what_is_refused(attributes: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidParameterValue) as refused:
        message_attributes.read_attributes(attributes)
    assert part in refused.value.message


def test_lists_are_refused() -> None:
    with pytest.raises(UnsupportedOperation):
        message_attributes.read_attributes({"x": {"DataType": "String", "StringListValues": ["a"]}})


def test_custom_types_and_names_that_look_reserved_pass() -> None:
    read = message_attributes.read_attributes(
        {"awsome": text("1e-3", "Number.float"), "a.b-c_D": text("x", "String.x")}
    )
    assert [attribute.name for attribute in read] == ["a.b-c_D", "awsome"]


def test_only_the_trace_header_is_a_system_attribute() -> None:
    assert message_attributes.read_system_attributes({"AWSTraceHeader": text("Root=1")})[0].value == "Root=1"
    for wrong in ({"Other": text("x")}, {"AWSTraceHeader": text("1", "Number")}):
        with pytest.raises(InvalidParameterValue):
            message_attributes.read_system_attributes(wrong)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["All"], {"foo", "foo.bar", "baz"}),
        ([".*"], {"foo", "foo.bar", "baz"}),
        (["foo.*"], {"foo", "foo.bar"}),
        (["foo.bar", "nothing"], {"foo.bar"}),
        ([], set()),
    ],
)
def test_which_attributes_a_receiver_gets(names: list[str], chosen: set[str]) -> None:
    wanted = message_attributes.chooser(names)
    assert {name for name in ("foo", "foo.bar", "baz") if wanted(name)} == chosen


@given(st.text())
def test_valid_text_is_what_xml_has(body: str) -> None:
    raw = message_attributes.encoded(body)
    expected = all(
        character in "\t\n\r"
        or " " <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character > "\uffff"
        for character in body
    )
    assert (raw is not None and message_attributes.is_valid_text(raw, body)) == expected


@given(
    st.dictionaries(
        st.from_regex(r"\A[b-z][A-Za-z0-9_-]{0,20}\Z"),
        st.one_of(
            st.text(min_size=1, alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(text),
            st.binary(min_size=1).map(lambda raw: {"DataType": "Binary", "BinaryValue": raw}),
        ),
        max_size=10,
    )
)
def test_what_is_packed_comes_back(attributes: dict[str, Any]) -> None:
    read = message_attributes.read_attributes(attributes)
    assert message_attributes.unpack(message_attributes.pack(read)) == read
    assert {attribute.name: attribute.as_output() for attribute in read} == attributes
