"""What a Host name says: whose it is, and which service, region and bucket it names.

The forms are AWS's own endpoints, under AWS's domains (an SDK that comes through a proxy) and under
`localhost` (which resolves to this machine and nowhere else).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

AWS_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".on.aws")
LOCAL_SUFFIX = ".localhost"

# First labels of hosts under AWS's domains that belong to its customers, not to a service endpoint of AWS.
_CUSTOMER_LABELS = frozenset({"elb", "compute", "compute-1", "rds", "cache", "redshift", "es", "compute-internal"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTarget:
    """What a service host names: `prefix` is what stands before the service (bucket, API id, function URL id)."""

    service: str
    region: str | None
    prefix: str | None


def split_host(value: str) -> str | None:
    """The host name of a Host header (or of an origin's authority), lower case, without port and final dot.

    IPv6 literals keep their brackets. None when the value is not a host at all.
    """
    value = value.strip().lower()
    if value.startswith("["):
        name, bracket, rest = value.partition("]")
        if not bracket or (rest and not (rest[0] == ":" and _is_port(rest[1:]))):
            return None
        return name + "]"
    name, colon, port = value.partition(":")
    if colon and not _is_port(port):
        return None
    name = name.removesuffix(".")
    # What no host name holds would let a value pass for a name that it is not.
    return name if name and not set(name) & set("@/\\?# ,;<>\"'") else None


def is_loopback(name: str) -> bool:
    """Whether the name can only mean this machine: localhost, *.localhost, 127.0.0.0/8, [::1]."""
    if name == "localhost" or name.endswith(LOCAL_SUFFIX):
        return True
    address = literal(name)
    return address is not None and address.is_loopback


def literal(name: str) -> IPv4Address | IPv6Address | None:
    """The address that a host name spells, None for a name."""
    try:
        if name.startswith("["):
            return IPv6Address(name[1:-1])
        return IPv4Address(name)
    except (AddressValueError, ValueError):
        return None


def service_host(name: str) -> HostTarget | None:
    """Which service a host name asks for.

    `sqs.eu-west-1.amazonaws.com`, `sqs.eu-west-1.localhost`, `bucket.s3.eu-west-1.amazonaws.com`, `sts.amazonaws.com`,
    `abc.lambda-url.us-east-1.on.aws`, `s3-us-west-2.amazonaws.com`, `lambda.us-east-1.api.aws`.
    """
    for suffix in (*AWS_SUFFIXES, LOCAL_SUFFIX):
        if name.endswith(suffix):
            labels = name[: -len(suffix)].split(".")
            break
    else:
        return None
    if not all(labels):
        return None
    labels = [label for label in labels if label != "dualstack"] or labels
    if (found := _s3(labels)) is not None:
        return found
    if _is_region(labels[-1]):
        if len(labels) < 2 or labels[-2] in _CUSTOMER_LABELS:
            return None
        service, region, before = labels[-2], labels[-1], labels[:-2]
    else:
        if len(labels) != 1 or labels[0] in _CUSTOMER_LABELS:
            return None
        service, region, before = labels[0], None, []
    return HostTarget(service=service.removesuffix("-fips"), region=region, prefix=".".join(before) or None)


def _s3(labels: list[str]) -> HostTarget | None:
    """The host forms of S3; a bucket's name may hold dots, so its end is where `s3` begins."""
    for index in range(len(labels) - 1, -1, -1):
        label, after = labels[index], labels[index + 1 :]
        bucket = ".".join(labels[:index]) or None
        if label in {"s3", "s3-fips"} and (not after or (len(after) == 1 and _is_region(after[0]))):
            return HostTarget(service="s3", region=after[0] if after else None, prefix=bucket)
        if label.startswith("s3-") and not after and _is_region(label[3:]):
            return HostTarget(service="s3", region=label[3:], prefix=bucket)
    return None


def _is_region(label: str) -> bool:
    parts = label.split("-")
    return len(parts) >= 3 and len(parts[0]) == 2 and parts[0].isalpha() and parts[-1].isdigit()


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5
