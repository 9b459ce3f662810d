"""AWS clients that talk to a Lambent server."""

from __future__ import annotations

from typing import Any

from lambent.core.config import DEFAULT_REGION


def client(
    service: str, endpoint: str, *, region: str = DEFAULT_REGION, access_key: str = "test", **config: Any
) -> Any:
    """A client of `service` (boto3's where that is installed, botocore's otherwise).

    An `access_key` of twelve digits is the account that the requests belong to. `config` are settings of
    `botocore.config.Config`. Failed requests are not retried, so that a test sees the first answer.
    """
    import botocore.session
    from botocore.config import Config

    settings: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "read_timeout": 60, "connect_timeout": 5}
    parameters: dict[str, Any] = {
        "region_name": region,
        "endpoint_url": endpoint,
        "aws_access_key_id": access_key,
        "aws_secret_access_key": "test",
        "config": Config(**(settings | config)),
    }
    try:
        import boto3
    except ImportError:
        return botocore.session.Session().create_client(service, **parameters)
    return boto3.session.Session().client(service, **parameters)
