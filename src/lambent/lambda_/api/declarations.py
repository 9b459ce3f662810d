"""What becomes of each configuration parameter, in CreateFunction and UpdateFunctionConfiguration alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lambent.core.operations import Rejection


def _empty_vpc(value: Any) -> bool:
    return not value or not (value.get("SubnetIds") or value.get("SecurityGroupIds"))


def _no_target(value: Any) -> bool:
    return not value or not value.get("TargetArn")


ENFORCED = (
    "Description",
    "Environment",
    "Handler",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "Runtime",
    "SnapStart",
    "Timeout",
)

SIMULATED: Mapping[str, str] = MappingProxyType(
    {
        "Role": "environments get credentials of their own, but IAM policies are not evaluated",
        "EphemeralStorage": "bounds /tmp in the sandbox; with --isolation process it is stored only",
        "TracingConfig": "stored; no traces are recorded, the trace header is handed on",
    }
)

REJECTED: Mapping[str, Rejection] = MappingProxyType(
    {
        "VpcConfig": Rejection(reason="functions do not run in a VPC; leave it out", harmless=_empty_vpc),
        "DeadLetterConfig": Rejection(reason="dead-letter queues come with asynchronous invokes", harmless=_no_target),
        "KMSKeyArn": Rejection(reason="there are no KMS keys"),
        "FileSystemConfigs": Rejection(reason="there are no file systems (EFS, S3 Files) to mount"),
        "ImageConfig": Rejection(reason="container images do not run; use PackageType Zip"),
        "CapacityProviderConfig": Rejection(reason="there are no managed instances"),
        "DurableConfig": Rejection(reason="there are no durable functions"),
        "RuntimeConfig": Rejection(reason="there are no customer-managed runtimes; use provided.al2023"),
        "AcceleratorConfig": Rejection(reason="there are no managed instances with accelerators"),
    }
)

PUBLISH_TO = Rejection(reason="$LATEST.PUBLISHED exists for managed instances only")
CODE_SIGNING = Rejection(reason="signatures would not be checked")
TENANCY = Rejection(reason="environments are not kept apart by tenant")
SOURCE_KMS = Rejection(reason="there are no KMS keys")
STORAGE_MODE = Rejection(reason="packages are always copied", harmless=lambda value: value in (None, "COPY"))
IMAGE_URI = Rejection(reason="container images do not run; give ZipFile, or S3Bucket and S3Key")
PACKAGE_TYPE = Rejection(
    reason="container images do not run; use PackageType Zip", harmless=lambda value: value in (None, "Zip")
)
ARCHITECTURES = "stored and shown; code runs on this machine's own processor, whichever is named"
