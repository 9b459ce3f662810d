"""The forms in which callers name a function, and what they resolve to.

Accepted, as on AWS: `name`, `name:qualifier`, `function:name`, `<account>:function:name[:qualifier]` and ARNs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lambent.core.arns import function_arn
from lambent.core.errors import AccessDenied
from lambent.core.operations import Scope
from lambent.lambda_.errors import FUNCTIONS_ONLY, InvalidParameterValue, ResourceNotFound, constraint
from lambent.lambda_.service import LATEST

_REGION = r"(?:eusc-)?[a-z]{2}(?:(?:-gov)|(?:-iso(?:[a-z]?)))?-[a-z]+-\d{1}"
_REFERENCE = re.compile(
    rf"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:(?P<region>{_REGION}):)?(?:(?P<account>\d{{12}}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_\.]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
# The service model's own text of the pattern, for the constraint error.
_PATTERN_TEXT = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_BARE_NAME = re.compile(r"[a-zA-Z0-9-_]+")
MAX_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReference:
    """A function of the caller's scope, with the qualifier that was asked for (None: unqualified)."""

    scope: Scope
    name: str
    qualifier: str | None = None

    @property
    def arn(self) -> str:
        """The unqualified ARN."""
        return function_arn(self.scope, self.name)

    @property
    def qualified_arn(self) -> str:
        """The ARN with the qualifier that was asked for, if any."""
        return function_arn(self.scope, self.name, self.qualifier)


def parse_function(scope: Scope, text: str, qualifier: str | None = None) -> FunctionReference:
    """Resolve a FunctionName parameter, and the Qualifier parameter beside it.

    Raises ValidationError (not a function name), ResourceNotFound (another region), AccessDenied (another
    account) and InvalidParameterValue (the two qualifiers differ).
    """
    if _BARE_NAME.fullmatch(text):  # the warm path: nothing to take apart
        return FunctionReference(scope=scope, name=text, qualifier=qualifier)
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise constraint(text, "functionName", f"Member must satisfy regular expression pattern: {_PATTERN_TEXT}")
    region, account = match["region"], match["account"]
    if region is not None and region != scope.region:
        raise ResourceNotFound(f"Functions from '{region}' are not reachable in this region ('{scope.region}')")
    if account is not None and account != scope.account:
        raise AccessDenied()
    derived: str | None = match["qualifier"]
    if derived is not None and qualifier is not None and derived != qualifier:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return FunctionReference(scope=scope, name=match["name"], qualifier=qualifier or derived)


def parse_unqualified(scope: Scope, text: str) -> FunctionReference:
    """Resolve a FunctionName of an operation on whole functions.

    `:$LATEST` means the function itself. Raises as `parse_function`, and InvalidParameterValue for a version or alias.
    """
    reference = parse_function(scope, text)
    if reference.qualifier not in (None, LATEST):
        raise InvalidParameterValue(FUNCTIONS_ONLY)
    return FunctionReference(scope=scope, name=reference.name)


def parse_new_name(scope: Scope, text: str) -> FunctionReference:
    """Resolve CreateFunction's FunctionName; only here may a name not be longer than 64 characters."""
    reference = parse_unqualified(scope, text)
    if len(reference.name) > MAX_NAME_LENGTH:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{reference.name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MAX_NAME_LENGTH}"
        )
    return reference


def is_version_number(qualifier: str) -> bool:
    """Whether a qualifier names a published version (aliases may not be all digits)."""
    return qualifier.isascii() and qualifier.isdigit()


def version_number(qualifier: str) -> int:
    """The number of the version that an all-digits qualifier names; -1 (which no version has) for `0`, `01`, 10^99."""
    number = int(qualifier) if len(qualifier) <= _MAX_DIGITS else 0
    return number if number > 0 and qualifier[0] != "0" else -1


_MAX_DIGITS = 18  # below 2^63, what a database column holds
