"""Finding roles, and the rules that hold for every change of one."""

from __future__ import annotations

from lambent.core.arns import Arn
from lambent.iam import store
from lambent.iam.errors import UnmodifiableEntity, no_such_role
from lambent.iam.model import Role, entity_name
from lambent.storage.database import Database, Transaction


def find_role(tx: Transaction, account: str, arn: str) -> Role | None:
    """The role with this ARN in this account, or None (also for what is no role's ARN)."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    if parsed.service != "iam" or parsed.account != account or not parsed.resource.startswith("role/"):
        return None
    role = store.get_role(tx, account, entity_name(arn))
    return role if role is not None and role.arn == arn else None


def require_role(tx: Transaction, account: str, name: str) -> Role:
    """The role, to be read. Raises NoSuchEntity."""
    role = store.get_role(tx, account, name)
    if role is None:
        raise no_such_role(name)
    return role


def require_modifiable(tx: Transaction, account: str, name: str) -> Role:
    """The role, to be changed. Raises NoSuchEntity, and UnmodifiableEntity for a service-linked role."""
    role = require_role(tx, account, name)
    if role.service_linked:
        raise UnmodifiableEntity(
            f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        )
    return role


class Roles:
    """Roles for other rooms, which hand it in without importing this one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def named(self, account: str, name: str) -> Role | None:
        """The role of exactly this name in the account."""
        return await self._database.read(lambda tx: store.get_role(tx, account, name))
