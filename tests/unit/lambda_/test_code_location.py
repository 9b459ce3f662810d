from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.lambda_ import code_location

KEY = b"k" * 32
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(digests, st.floats(0, 4e9), st.floats(0, 599))
def test_a_token_grants_its_package_for_ten_minutes(sha256: str, now: float, later: float) -> None:
    token = code_location.mint(KEY, sha256, now)
    assert code_location.verify(KEY, token, int(now) + later) == sha256
    with pytest.raises(code_location.InvalidToken, match="expired"):
        code_location.verify(KEY, token, now + 600)


@given(digests, st.integers(0, 71), st.integers(1, 255))
def test_no_byte_of_a_token_can_be_changed(sha256: str, position: int, difference: int) -> None:
    import base64

    token = code_location.mint(KEY, sha256, 1000)
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[position] ^= difference
    with pytest.raises(code_location.InvalidToken):
        code_location.verify(KEY, base64.urlsafe_b64encode(raw).decode(), 1000)


@pytest.mark.parametrize("token", ["", "x", "%2e%2e", "ü", "A" * 96, "A" * 97, "A" * 400])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(code_location.InvalidToken):
        code_location.verify(KEY, token, 0)


def test_another_key_signs_other_tokens() -> None:
    with pytest.raises(code_location.InvalidToken, match="forged"):
        code_location.verify(b"other", code_location.mint(KEY, "00" * 32, 0), 0)


def test_the_url_is_on_the_callers_endpoint() -> None:
    assert code_location.url("http://localhost:4566/", "t") == "http://localhost:4566/_lambent/code/t"
