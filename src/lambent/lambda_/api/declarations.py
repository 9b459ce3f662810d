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


def _snap_start_off(value: Any) -> bool:
    return not value or value.get("ApplyOn", "None") == "None"


ENFORCED = ("Description", "Environment", "Handler", "Layers", "LoggingConfig", "Runtime", "Timeout")

SIMULATED: Mapping[str, str] = MappingProxyType(
    {
        "Role": "environments get credentials of their own, but IAM policies are not evaluated",
        "MemorySize": "admission counts it and the function sees it; isolation by process does not end a function "
        "that uses more",
        "EphemeralStorage": "stored; isolation by process does not bound /tmp",
        "TracingConfig": "stored; no traces are recorded, the trace header is handed on",
    }
)

REJECTED: Mapping[str, Rejection] = MappingProxyType(
    {
        "VpcConfig": Rejection(reason="functions do not run in a VPC; leave it out", harmless=_empty_vpc),
        "DeadLetterConfig": Rejection(
            reason="dead-letter queues need asynchronous invokes, which are not available yet", harmless=_no_target
        ),
        "KMSKeyArn": Rejection(reason="encryption by a customer's KMS key is not available"),
        "FileSystemConfigs": Rejection(reason="file systems (EFS, S3 Files) are not available"),
        "ImageConfig": Rejection(reason="container images are not available; use PackageType Zip"),
        "SnapStart": Rejection(reason="SnapStart is not available; use ApplyOn None", harmless=_snap_start_off),
        "CapacityProviderConfig": Rejection(reason="managed instances are not available yet"),
        "DurableConfig": Rejection(reason="durable functions are not available yet"),
        "RuntimeConfig": Rejection(reason="customer-managed runtimes are not available; use provided.al2023"),
        "AcceleratorConfig": Rejection(reason="accelerators are not available yet"),
    }
)

PUBLISH_TO = Rejection(reason="$LATEST.PUBLISHED exists for managed instances only, which are not available yet")
CODE_SIGNING = Rejection(reason="code signing is not available: signatures would not be checked")
TENANCY = Rejection(reason="tenant isolation is not available yet")
SOURCE_KMS = Rejection(reason="decrypting packages by a KMS key is not available")
STORAGE_MODE = Rejection(
    reason="packages are always copied; REFERENCE is not available", harmless=lambda value: value in (None, "COPY")
)
IMAGE_URI = Rejection(reason="container images are not available; give ZipFile, or S3Bucket and S3Key")
PACKAGE_TYPE = Rejection(
    reason="container images are not available; use PackageType Zip", harmless=lambda value: value in (None, "Zip")
)
ARCHITECTURES = "stored and shown; code runs on this machine's own processor, whichever is named"
