"""The auth file, and keys that are minted."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambent.core.errors import UserFacingError
from lambent.server.credentials import EXPIRED_KEPT_S, Credentials, read_auth_file
from lambent.testing.clock import VirtualClock


def auth_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_reads_keys(tmp_path: Path) -> None:
    found = read_auth_file(
        auth_file(
            tmp_path,
            "# who\n\nAKIA1 s3cr/et+ 123456789012\nAKIA2\tother 000000000001 arn:aws:iam::000000000001:user/u # ann\n",
        )
    )
    assert {key: (value.secret, value.account, value.principal_arn) for key, value in found.items()} == {
        "AKIA1": ("s3cr/et+", "123456789012", "arn:aws:iam::123456789012:root"),
        "AKIA2": ("other", "000000000001", "arn:aws:iam::000000000001:user/u"),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no keys"),
        ("# only\n", "holds no keys"),
        ("AKIA1 secret\n", "line 1: a line is ACCESS_KEY SECRET ACCOUNT [PRINCIPAL], this one has 2 words"),
        ("A s 123456789012\nAKIA1 secret 12345\n", "line 2: an account is 12 digits, not '12345'"),
        ("A/B s 123456789012\n", "line 1: an access key is"),
        ("A s 123456789012\nA t 123456789012\n", "line 2: the access key A is there twice"),
        ("A s 123456789012 ann\n", "line 1: a principal is an ARN, not 'ann'"),
    ],
)
def test_says_which_line_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        read_auth_file(auth_file(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    path = auth_file(tmp_path, "A s 123456789012\n", 0o604)
    with pytest.raises(UserFacingError, match=f"chmod 600 {path}"):
        read_auth_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="Cannot read the auth file"):
        read_auth_file(tmp_path / "none")
    with pytest.raises(UserFacingError, match="is not a regular file"):
        read_auth_file(tmp_path)


def mint(credentials: Credentials, lifetime_s: float | None = None) -> str:
    return credentials.mint(account="0" * 12, principal_arn="arn:aws:iam::0:root", lifetime_s=lifetime_s).access_key


async def test_expired_keys_are_told_so_for_a_while_and_then_forgotten() -> None:
    clock = VirtualClock()
    credentials = Credentials(clock=clock)
    lasting, short, long = mint(credentials), mint(credentials, 900), mint(credentials, 43_200)
    await clock.advance(900)
    mint(credentials, 900)
    expired = credentials.secret_for(short)
    assert expired is not None
    assert expired.expires_at == clock.now()
    await clock.advance(EXPIRED_KEPT_S)
    mint(credentials, 900)
    assert credentials.secret_for(short) is None
    assert credentials.secret_for(long) is not None
    assert credentials.secret_for(lasting) is not None


def test_keys_that_expire_are_bounded_in_number() -> None:
    credentials = Credentials(clock=VirtualClock(), max_expiring=10)
    lasting = [mint(credentials) for _ in range(20)]
    first = mint(credentials, 900)
    others = [mint(credentials, 1000) for _ in range(10)]
    assert credentials.secret_for(first) is None
    assert all(map(credentials.secret_for, lasting + others))
