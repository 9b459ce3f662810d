"""How many events may run at a time: the account's limit, what functions reserve of it, and the rest that all share.

Pure accounting without waiting and without time. Account limits are per account and region. A function with reserved
concurrency draws on its reservation alone; every other function draws on what the reservations leave. The account's
limit binds all of them, also in the moments after a limit or a reservation was changed under running events: those
run on, and nothing more is admitted until the counts have come down.

Provisioned concurrency sets places aside for one version, out of what its function has reserved or else out of what all
share: that version's events take these places first, and nobody else may. What it runs beyond them draws on the rest
like any other version. So where all that is reserved is provisioned, other versions are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lambent.core.arns import Arn
from lambent.core.limits import LAMBDA_ACCOUNT_CONCURRENCY
from lambent.core.operations import Scope

# Members of AWS's ThrottleReason (Lambda API reference, "TooManyRequestsException").
CONCURRENCY_EXCEEDED: Final = "ConcurrentInvocationLimitExceeded"
RESERVED_EXCEEDED: Final = "ReservedFunctionConcurrentInvocationLimitExceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an event may not run now: one of AWS's ThrottleReasons, and the limit that binds in words."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeUse:
    """The counts of one account and region. `unreserved_limit` is what everyone shares.

    `provisioned` counts what is set aside for versions of functions without a reservation.
    """

    scope: Scope
    limit: int
    reserved: int
    provisioned: int
    in_flight: int
    unreserved_limit: int
    unreserved_in_flight: int


class Admission:
    """One event's place. It counts until `release`, which may be called any number of times."""

    __slots__ = ("_function", "_provision")

    def __init__(self, function: _Function, provision: _Provision | None) -> None:
        self._function: _Function | None = function
        self._provision = provision

    def release(self) -> None:
        function = self._function
        if function is None:
            return
        self._function = None
        function.in_flight -= 1
        function.account.in_flight -= 1
        provision = self._provision
        if provision is not None:
            provision.in_flight -= 1
            if provision.in_flight < provision.places:
                return
        function.shared -= 1
        if function.reserved is None:
            function.account.unreserved_in_flight -= 1


class _Account:
    __slots__ = ("in_flight", "limit", "provisioned", "reserved", "scope", "unreserved_in_flight")

    def __init__(self, scope: Scope, limit: int) -> None:
        self.scope = scope
        self.limit = limit
        self.reserved = 0
        self.provisioned = 0  # of functions without a reservation
        self.in_flight = 0
        self.unreserved_in_flight = 0

    @property
    def unreserved(self) -> int:
        """What all share."""
        return max(0, self.limit - self.reserved - self.provisioned)


class _Provision:
    """Places of one version. Its events beyond `places` are shared ones, whichever came first."""

    __slots__ = ("in_flight", "places")

    def __init__(self) -> None:
        self.places = 0
        self.in_flight = 0

    @property
    def beyond(self) -> int:
        return max(0, self.in_flight - self.places)


class _Function:
    __slots__ = ("account", "in_flight", "provisioned", "provisions", "reserved", "shared")

    def __init__(self, account: _Account) -> None:
        self.account = account
        self.in_flight = 0
        self.shared = 0  # those of `in_flight` that have no provisioned place
        self.reserved: int | None = None
        self.provisioned = 0  # places of all versions
        self.provisions: dict[str, _Provision] = {}  # by version


class Concurrency:
    """Admits events and counts them. `default_limit` is the limit of accounts that nobody set another for."""

    def __init__(self, *, default_limit: int = LAMBDA_ACCOUNT_CONCURRENCY) -> None:
        self._default_limit = default_limit
        self._accounts: dict[Scope, _Account] = {}
        self._functions: dict[str, _Function] = {}

    def try_admit(self, function_arn: str, version: str = "$LATEST") -> Admission | Refusal:
        """A place for one event of a version of the function (unqualified ARN), or why there is none.

        O(1), never waits.
        """
        function = self._functions.get(function_arn) or self._function(function_arn)
        account = function.account
        reserved = function.reserved
        provision = function.provisions.get(version) if function.provisions else None
        own = provision is not None and provision.in_flight < provision.places
        if reserved is not None:
            if function.in_flight >= reserved or (not own and function.shared >= reserved - function.provisioned):
                return _reserved_refusal(function, reserved)
        elif not own and account.unreserved_in_flight >= account.limit - account.reserved - account.provisioned:
            return _unreserved_refusal(account)
        if account.in_flight >= account.limit:
            return _account_refusal(account)
        function.in_flight += 1
        account.in_flight += 1
        if provision is not None:
            provision.in_flight += 1
        if not own:
            function.shared += 1
            if reserved is None:
                account.unreserved_in_flight += 1
        return Admission(function, provision)

    def set_reserved(self, function_arn: str, limit: int | None) -> None:
        """Reserve `limit` for the function, 0 to block it, None to let it share the rest again."""
        if limit is not None and limit < 0:
            raise ValueError("a reservation is not negative")
        function = self._function(function_arn)
        account = function.account
        before = function.reserved
        account.reserved += (limit or 0) - (before or 0)
        # Events under way move with their function between the reservation and the shared rest.
        if before is None and limit is not None:
            account.unreserved_in_flight -= function.shared
            account.provisioned -= function.provisioned
        elif before is not None and limit is None:
            account.unreserved_in_flight += function.shared
            account.provisioned += function.provisioned
        function.reserved = limit

    def set_provisioned(self, function_arn: str, version: str, places: int) -> None:
        """Set `places` aside for one version of the function, 0 for none."""
        if places < 0:
            raise ValueError("provisioned places are not negative")
        function = self._function(function_arn)
        provision = function.provisions.get(version)
        if provision is None:
            if not places:
                return
            provision = function.provisions[version] = _Provision()
        change, beyond = places - provision.places, provision.beyond
        provision.places = places
        function.provisioned += change
        if function.reserved is None:
            function.account.provisioned += change
        function.shared += provision.beyond - beyond
        if function.reserved is None:
            function.account.unreserved_in_flight += provision.beyond - beyond
        if not places:
            del function.provisions[version]

    def set_account_limit(self, scope: Scope, limit: int) -> None:
        if limit < 0:
            raise ValueError("a concurrency limit is not negative")
        self._account(scope).limit = limit

    def in_flight(self, function_arn: str) -> int:
        function = self._functions.get(function_arn)
        return function.in_flight if function else 0

    def reserved(self, function_arn: str) -> int | None:
        function = self._functions.get(function_arn)
        return function.reserved if function else None

    def limit(self, function_arn: str) -> int:
        """How many events of this function could run if nothing else did: its reservation or the shared rest."""
        function = self._functions.get(function_arn) or self._function(function_arn)
        if function.reserved is not None:
            return min(function.reserved, function.account.limit)
        return function.account.unreserved + function.provisioned

    def scopes(self) -> Iterator[ScopeUse]:
        """The counts of every account and region seen so far."""
        for account in self._accounts.values():
            yield ScopeUse(
                scope=account.scope,
                limit=account.limit,
                reserved=account.reserved,
                provisioned=account.provisioned,
                in_flight=account.in_flight,
                unreserved_limit=account.unreserved,
                unreserved_in_flight=account.unreserved_in_flight,
            )

    def prune(self) -> None:
        """Forget functions that run nothing and set nothing aside: deleted ones would pile up otherwise."""
        self._functions = {
            arn: function
            for arn, function in self._functions.items()
            if function.in_flight or function.reserved is not None or function.provisions
        }

    def _function(self, function_arn: str) -> _Function:
        function = self._functions.get(function_arn)
        if function is None:
            arn = Arn.parse(function_arn)
            account = self._account(Scope(account=arn.account, region=arn.region))
            function = self._functions[function_arn] = _Function(account)
        return function

    def _account(self, scope: Scope) -> _Account:
        account = self._accounts.get(scope)
        if account is None:
            account = self._accounts[scope] = _Account(scope, self._default_limit)
        return account


def _reserved_refusal(function: _Function, reserved: int) -> Refusal:
    if reserved == 0:
        return Refusal(reason=RESERVED_EXCEEDED, detail="the function's reserved concurrency is 0, which blocks it")
    detail = f"all {reserved} reserved concurrent executions are in use"
    if function.in_flight < reserved:
        detail += f" or provisioned for versions ({function.provisioned})"
    return Refusal(reason=RESERVED_EXCEEDED, detail=detail)


def _unreserved_refusal(account: _Account) -> Refusal:
    provisioned = f", {account.provisioned} provisioned for versions" if account.provisioned else ""
    return Refusal(
        reason=CONCURRENCY_EXCEEDED,
        detail=f"all {account.unreserved} unreserved concurrent executions are in use"
        f" (account limit {account.limit}, of which {account.reserved} are reserved by functions{provisioned})",
    )


def _account_refusal(account: _Account) -> Refusal:
    return Refusal(
        reason=CONCURRENCY_EXCEEDED,
        detail=f"all {account.limit} concurrent executions of the account are in use",
    )
