"""Queues' names, URLs and ARNs, in every form that clients send."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from lambent.core.arns import Arn, arn
from lambent.core.operations import Scope
from lambent.sqs.errors import InvalidAddress, InvalidParameterValue
from lambent.sqs.model import QueueKey

_STANDARD = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FIFO = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]{1,75}\.fifo")
_ANY = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z0-9-]{1,32}")


def check_new_name(name: str, *, fifo: bool) -> None:
    """Raise InvalidParameterValue unless a queue of this type may be called so (CreateQueue)."""
    if fifo:
        if not _FIFO.fullmatch(name):
            raise InvalidParameterValue(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
                "must end with .fifo suffix and be 1 to 80 in length"
            )
    elif not _STANDARD.fullmatch(name):
        raise InvalidParameterValue(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )


def key_of_url(url: str, scope: Scope) -> QueueKey:
    """The queue that a URL, the path of one, or a bare name means to a caller in `scope`.

    The host says nothing: only the last two segments (account, name) count, or those of `/queue/region/account/name`.
    Raises InvalidAddress.
    """
    path = urlsplit(url).path if "://" in url else url
    if "%" in path:
        path = unquote(path)
    parts = [part for part in path.split("/") if part]
    if not parts or not _ANY.fullmatch(parts[-1]):
        raise InvalidAddress(url)
    if len(parts) == 1:
        if "://" in url:
            raise InvalidAddress(url)
        return QueueKey(account=scope.account, region=scope.region, name=parts[0])
    account, name, region = parts[-2], parts[-1], scope.region
    if not _ACCOUNT.fullmatch(account):
        raise InvalidAddress(url)
    if len(parts) >= 4 and parts[-4] == "queue" and _REGION.fullmatch(parts[-3]):
        region = parts[-3]
    return QueueKey(account=account, region=region, name=name)


def url_of(endpoint: str, key: QueueKey, scope: Scope) -> str:
    """The queue's URL for a caller in `scope`; it names the region where that is not the caller's own."""
    if key.region == scope.region:
        return f"{endpoint}/{key.account}/{key.name}"
    return f"{endpoint}/queue/{key.region}/{key.account}/{key.name}"


def arn_of(key: QueueKey) -> str:
    """`arn:aws:sqs:region:account:name`."""
    return arn("sqs", Scope(account=key.account, region=key.region), key.name)


def key_of_arn(text: str) -> QueueKey | None:
    """The queue that an ARN names; None for what is no ARN of a queue."""
    try:
        parsed = Arn.parse(text)
    except ValueError:
        return None
    if parsed.service != "sqs" or not _ACCOUNT.fullmatch(parsed.account) or not _REGION.fullmatch(parsed.region):
        return None
    if not _ANY.fullmatch(parsed.resource):
        return None
    return QueueKey(account=parsed.account, region=parsed.region, name=parsed.resource)


def require_key(text: str, parameter: str) -> QueueKey:
    """The queue that the ARN in a parameter names. Raises InvalidParameterValue."""
    key = key_of_arn(text)
    if key is None:
        raise InvalidParameterValue(
            f"You must use this format to specify the {parameter}: "
            "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
        )
    return key
