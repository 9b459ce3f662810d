"""Who may sign requests: the access keys of the `--auth` file, and those that Lambent mints for environments.

The file has one key a line, `#` starts a comment:

    # access key            secret                                    account       principal (optional)
    AKIAIOSFODNN7EXAMPLE    wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY  123456789012  arn:aws:iam::123456789012:user/ann

Only its owner (and group) may read it.
"""

from __future__ import annotations

import base64
import heapq
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from lambent.core.clock import Clock
from lambent.core.errors import UserFacingError

# How long a key is told that it has expired, before it becomes one that nobody knows.
EXPIRED_KEPT_S: Final = 3600.0
# Of keys that end by themselves. Beyond, those that would end first end now: memory is bounded, whoever asks for keys.
MAX_EXPIRING: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An access key and what it proves. `session_token` must come with every request where there is one."""

    access_key: str
    secret: str = field(repr=False)
    account: str
    principal_arn: str
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None  # epoch seconds


class CredentialStore(Protocol):
    """Knows secrets by access key."""

    def secret_for(self, access_key: str) -> Credential | None:
        """The credential of this access key, expired or not; None when there is no such key."""


class Credentials:
    """The keys of the `--auth` file (none without one) and the minted ones, which live in memory.

    Minted keys belong to environments, whose end revokes them, or end by themselves.
    """

    def __init__(
        self,
        configured: dict[str, Credential] | None = None,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
        max_expiring: int = MAX_EXPIRING,
    ) -> None:
        self._configured = configured or {}
        self._minted: dict[str, Credential] = {}
        self._expiring: list[tuple[float, str]] = []  # a heap of when to forget which key
        self._max_expiring = max_expiring
        self._clock = clock
        self._random_bytes = random_bytes

    def secret_for(self, access_key: str) -> Credential | None:
        return self._configured.get(access_key) or self._minted.get(access_key)

    def mint(self, *, account: str, principal_arn: str, lifetime_s: float | None = None) -> Credential:
        """New temporary keys for `principal_arn` in AWS's form (ASIA..., with a session token)."""
        now = self._clock.now()
        credential = Credential(
            access_key="ASIA" + base64.b32encode(self._random_bytes(10)).decode(),
            secret=base64.b64encode(self._random_bytes(30)).decode(),
            account=account,
            principal_arn=principal_arn,
            session_token=base64.b64encode(self._random_bytes(96)).decode(),
            expires_at=None if lifetime_s is None else now + lifetime_s,
        )
        self._minted[credential.access_key] = credential
        if credential.expires_at is not None:
            heapq.heappush(self._expiring, (credential.expires_at + EXPIRED_KEPT_S, credential.access_key))
            while self._expiring[0][0] <= now or len(self._expiring) > self._max_expiring:
                self.revoke(heapq.heappop(self._expiring)[1])
        return credential

    def revoke(self, access_key: str) -> None:
        """Forget a minted key; nothing happens when it is unknown."""
        self._minted.pop(access_key, None)


def read_auth_file(path: Path) -> dict[str, Credential]:
    """The credentials of an `--auth` file by access key. Raises UserFacingError with the line at fault."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise UserFacingError(f"The auth file {path} is not a regular file.")
        if mode & 0o007:
            raise UserFacingError(f"The auth file {path} is open to every user of this machine; run: chmod 600 {path}")
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserFacingError(f"Cannot read the auth file {path}: {error}") from error
    found: dict[str, Credential] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        credential = _credential(words, where=f"{path}, line {number}")
        if credential.access_key in found:
            raise UserFacingError(f"{path}, line {number}: the access key {credential.access_key} is there twice.")
        found[credential.access_key] = credential
    if not found:
        raise UserFacingError(
            f"The auth file {path} holds no keys; each line is: ACCESS_KEY SECRET ACCOUNT [PRINCIPAL]"
        )
    return found


def _credential(words: list[str], *, where: str) -> Credential:
    if len(words) not in (3, 4):
        raise UserFacingError(
            f"{where}: a line is ACCESS_KEY SECRET ACCOUNT [PRINCIPAL], this one has {len(words)} words."
        )
    access_key, secret, account = words[:3]
    if not (account.isascii() and account.isdigit() and len(account) == 12):
        raise UserFacingError(f"{where}: an account is 12 digits, not '{account}'.")
    if not all(character.isalnum() or character == "_" for character in access_key) or len(access_key) > 128:
        raise UserFacingError(f"{where}: an access key is at most 128 letters, digits and underscores.")
    principal = words[3] if len(words) == 4 else f"arn:aws:iam::{account}:root"
    if not principal.startswith("arn:"):
        raise UserFacingError(f"{where}: a principal is an ARN, not '{principal}'.")
    return Credential(access_key=access_key, secret=secret, account=account, principal_arn=principal)
