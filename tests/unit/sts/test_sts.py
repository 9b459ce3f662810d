from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest

from lambent.core.errors import AwsError
from lambent.core.operations import RequestContext, Scope
from lambent.server.credentials import Credential, Credentials
from lambent.sts import api
from lambent.testing.clock import VirtualClock

ROLE = "arn:aws:iam::000000000000:role/path/r"


@dataclass(frozen=True, kw_only=True)
class FakeRole:
    arn: str = ROLE
    role_id: str = "AROAEXAMPLEEXAMPLE777"
    max_session_s: int = 7200


class FakeRoles:
    async def named(self, account: str, name: str) -> FakeRole | None:
        return FakeRole() if (account, name) == ("000000000000", "r") else None


class Sts:
    def __init__(self) -> None:
        self.clock = VirtualClock(start_s=1000.0)
        ann = Credential(
            access_key="AKIAANN",
            secret="s",
            account="111111111111",
            principal_arn="arn:aws:iam::111111111111:user/ann",
        )
        self.credentials = Credentials({"AKIAANN": ann}, clock=self.clock)
        found = api.operations(self.credentials, FakeRoles())
        self.operations = {operation.name: operation for operation in found}

    async def __call__(self, name: str, *, key: str = "any", **params: Any) -> dict[str, Any]:
        context = RequestContext(
            service="sts",
            operation=name,
            scope=Scope(account="000000000000", region="us-east-1"),
            request_id="r",
            endpoint="http://localhost:4566",
            access_key=key,
        )
        output = await self.operations[name].handler(context, params)
        assert isinstance(output, dict)
        return output

    async def refused(self, name: str, **params: Any) -> tuple[str, str]:
        with pytest.raises(AwsError) as caught:
            await self(name, **params)
        return caught.value.code, caught.value.message


@pytest.fixture
def sts() -> Sts:
    return Sts()


async def test_any_credentials_are_the_root_of_their_account(sts: Sts) -> None:
    assert await sts("GetCallerIdentity") == {
        "UserId": "000000000000",
        "Account": "000000000000",
        "Arn": "arn:aws:iam::000000000000:root",
    }


async def test_a_configured_key_is_its_user(sts: Sts) -> None:
    identity = await sts("GetCallerIdentity", key="AKIAANN")
    assert identity["Arn"] == "arn:aws:iam::111111111111:user/ann"
    assert identity["Account"] == "111111111111"
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", identity["UserId"])


async def test_assumed_credentials_are_the_role_session(sts: Sts) -> None:
    answer = await sts("AssumeRole", RoleArn=ROLE, RoleSessionName="s", SourceIdentity="me")
    session_arn = "arn:aws:sts::000000000000:assumed-role/r/s"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": "AROAEXAMPLEEXAMPLE777:s", "Arn": session_arn}
    assert answer["SourceIdentity"] == "me"
    credentials = answer["Credentials"]
    assert credentials["Expiration"] == 1000.0 + 3600
    assert credentials["SessionToken"]
    assert await sts("GetCallerIdentity", key=credentials["AccessKeyId"]) == {
        "UserId": "AROAEXAMPLEEXAMPLE777:s",
        "Account": "000000000000",
        "Arn": session_arn,
    }


async def test_a_functions_role_that_was_never_created_still_has_a_stable_id(sts: Sts) -> None:
    minted = sts.credentials.mint(
        account="000000000000", principal_arn="arn:aws:sts::000000000000:assumed-role/unknown/f"
    )
    identity = await sts("GetCallerIdentity", key=minted.access_key)
    assert re.fullmatch(r"AROA[A-Z2-7]{17}:f", identity["UserId"])
    assert identity == await sts("GetCallerIdentity", key=minted.access_key)


@pytest.mark.parametrize(
    "arn", ["arn:aws:iam::000000000000:role/none", "arn:aws:iam::000000000000:role/r", ROLE.replace("00:", "01:")]
)
async def test_a_role_that_does_not_exist_cannot_be_assumed(sts: Sts, arn: str) -> None:
    assert await sts.refused("AssumeRole", RoleArn=arn, RoleSessionName="s") == (
        "AccessDenied",
        f"User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: {arn}",
    )


async def test_what_is_no_role_cannot_be_assumed(sts: Sts) -> None:
    assert await sts.refused("AssumeRole", RoleArn="not-an-arn-but-long-enough", RoleSessionName="s") == (
        "ValidationError",
        "not-an-arn-but-long-enough is invalid",
    )
    for arn in ("arn:aws:iam::000000000000:user/r", "arn:aws:lambda:us-east-1:000000000000:role/r"):
        answer = await sts.refused("AssumeRole", RoleArn=arn, RoleSessionName="s")
        assert answer == ("ValidationError", "Request ARN is invalid")


async def test_a_session_is_no_longer_than_its_role_allows(sts: Sts) -> None:
    answer = await sts("AssumeRole", RoleArn=ROLE, RoleSessionName="s", DurationSeconds=7200)
    assert answer["Credentials"]["Expiration"] == 1000.0 + 7200
    assert await sts.refused("AssumeRole", RoleArn=ROLE, RoleSessionName="s", DurationSeconds=7201) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )
    key = answer["Credentials"]["AccessKeyId"]
    code, message = await sts.refused(
        "AssumeRole", key=key, RoleArn=ROLE, RoleSessionName="s", DurationSeconds=3601
    )  # fmt: skip
    assert code == "ValidationError"
    assert "role chaining" in message
    await sts("AssumeRole", key=key, RoleArn=ROLE, RoleSessionName="s")


async def test_session_tokens_speak_for_their_caller(sts: Sts) -> None:
    credentials = (await sts("GetSessionToken", key="AKIAANN"))["Credentials"]
    assert credentials["Expiration"] == 1000.0 + 43_200
    key = credentials["AccessKeyId"]
    assert (await sts("GetCallerIdentity", key=key))["Arn"] == "arn:aws:iam::111111111111:user/ann"
    assert await sts.refused("GetSessionToken", key=key) == (
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )


async def test_a_root_session_ends_after_an_hour(sts: Sts) -> None:
    credentials = (await sts("GetSessionToken", DurationSeconds=36_000))["Credentials"]
    assert credentials["Expiration"] == 1000.0 + 3600


async def test_access_keys_tell_their_account(sts: Sts) -> None:
    assert await sts("GetAccessKeyInfo", AccessKeyId="AKIAANN") == {"Account": "111111111111"}
    assert await sts("GetAccessKeyInfo", AccessKeyId="AKIAIOSFODNN7EXAMPLE") == {"Account": "000000000000"}


def test_no_parameter_is_left_out_of_the_tables(sts: Sts) -> None:
    model = botocore.session.get_session().get_service_model("sts")
    for operation in sts.operations.values():
        listed = {*operation.enforced, *operation.simulated, *operation.rejected}
        assert listed == set(model.operation_model(operation.name).input_shape.members), operation.name
