from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.lambda_.environment_variables import RESERVED_KEYS, check_environment, measured
from lambent.lambda_.errors import InvalidParameterValue


def test_compact_json_is_measured() -> None:
    assert measured({"A": "b", "C": 'ü"'}) == '{"A":"b","C":"ü\\""}'


@given(st.integers(4000, 4200), st.sampled_from(["x", "ü", '"']))
def test_the_limit_is_4096_bytes_of_it(length: int, character: str) -> None:
    variables = {"KEY": character * (length // len(character.encode()))}
    text = measured(variables)
    if len(text.encode()) <= 4096:
        check_environment(variables)
        return
    with pytest.raises(InvalidParameterValue) as caught:
        check_environment(variables)
    assert caught.value.message == (
        "Lambda was unable to configure your environment variables because the environment variables you have "
        f"provided exceeded the 4KB limit. String measured: {text}"
    )


@pytest.mark.parametrize("key", [*sorted(RESERVED_KEYS), "AWS_LAMBDA_METADATA_TOKEN"])
def test_reserved_keys(key: str) -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        check_environment({"FINE": "1", key: "1"})
    assert caught.value.message == (
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        f"contains reserved keys that are currently not supported for modification. Reserved keys used in this "
        f"request: {key}"
    )


def test_keys_that_functions_may_override() -> None:
    check_environment(dict.fromkeys(("LANG", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "TZ", "AWS_XRAY_DAEMON"), "1"))
