"""How many events may run at a time: the account's limit, what functions reserve of it, and the rest that all share.

Pure accounting without waiting and without time. Account limits are per account and region. A function with reserved
concurrency draws on its reservation alone; every other function draws on what the reservations leave. The account's
limit binds all of them, also in the moments after a limit or a reservation was changed under running events: those
run on, and nothing more is admitted until the counts have come down.
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
    """The counts of one account and region. `unreserved_limit` is what reservations leave to everyone else."""

    scope: Scope
    limit: int
    reserved: int
    in_flight: int
    unreserved_limit: int
    unreserved_in_flight: int


class Admission:
    """One event's place. It counts until `release`, which may be called any number of times."""

    __slots__ = ("_function",)

    def __init__(self, function: _Function) -> None:
        self._function: _Function | None = function

    def release(self) -> None:
        function = self._function
        if function is None:
            return
        self._function = None
        function.in_flight -= 1
        account = function.account
        account.in_flight -= 1
        if function.reserved is None:
            account.unreserved_in_flight -= 1


class _Account:
    __slots__ = ("in_flight", "limit", "reserved", "scope", "unreserved_in_flight")

    def __init__(self, scope: Scope, limit: int) -> None:
        self.scope = scope
        self.limit = limit
        self.reserved = 0
        self.in_flight = 0
        self.unreserved_in_flight = 0


class _Function:
    __slots__ = ("account", "in_flight", "reserved")

    def __init__(self, account: _Account) -> None:
        self.account = account
        self.in_flight = 0
        self.reserved: int | None = None


class Concurrency:
    """Admits events and counts them. `default_limit` is the limit of accounts that nobody set another for."""

    def __init__(self, *, default_limit: int = LAMBDA_ACCOUNT_CONCURRENCY) -> None:
        self._default_limit = default_limit
        self._accounts: dict[Scope, _Account] = {}
        self._functions: dict[str, _Function] = {}

    def try_admit(self, function_arn: str) -> Admission | Refusal:
        """A place for one event of the function (unqualified ARN), or why there is none. O(1), never waits."""
        function = self._functions.get(function_arn) or self._function(function_arn)
        account = function.account
        reserved = function.reserved
        if reserved is None:
            if account.unreserved_in_flight >= account.limit - account.reserved:
                return _unreserved_refusal(account)
        elif function.in_flight >= reserved:
            return _reserved_refusal(reserved)
        if account.in_flight >= account.limit:
            return _account_refusal(account)
        function.in_flight += 1
        account.in_flight += 1
        if reserved is None:
            account.unreserved_in_flight += 1
        return Admission(function)

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
            account.unreserved_in_flight -= function.in_flight
        elif before is not None and limit is None:
            account.unreserved_in_flight += function.in_flight
        function.reserved = limit

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
        return max(0, function.account.limit - function.account.reserved)

    def scopes(self) -> Iterator[ScopeUse]:
        """The counts of every account and region seen so far."""
        for account in self._accounts.values():
            yield ScopeUse(
                scope=account.scope,
                limit=account.limit,
                reserved=account.reserved,
                in_flight=account.in_flight,
                unreserved_limit=max(0, account.limit - account.reserved),
                unreserved_in_flight=account.unreserved_in_flight,
            )

    def prune(self) -> None:
        """Forget functions that run nothing and reserve nothing: deleted ones would pile up otherwise."""
        self._functions = {
            arn: function
            for arn, function in self._functions.items()
            if function.in_flight or function.reserved is not None
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


def _reserved_refusal(reserved: int) -> Refusal:
    if reserved == 0:
        return Refusal(reason=RESERVED_EXCEEDED, detail="the function's reserved concurrency is 0, which blocks it")
    return Refusal(reason=RESERVED_EXCEEDED, detail=f"all {reserved} reserved concurrent executions are in use")


def _unreserved_refusal(account: _Account) -> Refusal:
    left = max(0, account.limit - account.reserved)
    return Refusal(
        reason=CONCURRENCY_EXCEEDED,
        detail=f"all {left} unreserved concurrent executions are in use"
        f" (account limit {account.limit}, of which {account.reserved} are reserved by functions)",
    )


def _account_refusal(account: _Account) -> Refusal:
    return Refusal(
        reason=CONCURRENCY_EXCEEDED,
        detail=f"all {account.limit} concurrent executions of the account are in use",
    )
