"""Amazon Resource Names: taking them apart and putting them together."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.core.operations import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """`arn:partition:service:region:account:resource`; `resource` keeps its own colons and slashes."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Raises ValueError when `text` has no ARN's six parts."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
            raise ValueError(f"not an ARN: {text}")
        return cls(partition=parts[1], service=parts[2], region=parts[3], account=parts[4], resource=parts[5])

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def arn(service: str, scope: Scope, resource: str) -> str:
    """The ARN of a regional resource, e.g. `arn("lambda", scope, "function:f")`."""
    return f"arn:{scope.partition}:{service}:{scope.region}:{scope.account}:{resource}"


def function_arn(scope: Scope, name: str, qualifier: str | None = None) -> str:
    """A Lambda function's ARN, qualified by a version or alias where one is given."""
    return arn("lambda", scope, f"function:{name}" + (f":{qualifier}" if qualifier else ""))


def assumed_role_arn(role_arn: str, session: str) -> str:
    """The ARN of whoever has assumed the role (an IAM role ARN) under a session name. Raises ValueError."""
    role = Arn.parse(role_arn)
    name = role.resource.rpartition("/")[2]
    return f"arn:{role.partition}:sts::{role.account}:assumed-role/{name}/{session}"
