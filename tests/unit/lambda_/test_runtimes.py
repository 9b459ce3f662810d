from __future__ import annotations

import botocore.session
import pytest

from lambent.core.operations import Scope
from lambent.lambda_.errors import InvalidParameterValue
from lambent.lambda_.runtimes import DEPRECATED, RUNNABLE, check_runtime, runtime_version_arn


def known_to_aws() -> list[str]:
    model = botocore.session.Session().get_service_model("lambda")
    return list(model.shape_for("Runtime").enum)


@pytest.mark.parametrize("runtime", known_to_aws())
def test_every_runtime_of_aws_runs_or_says_why_not(runtime: str) -> None:
    if runtime in RUNNABLE:
        check_runtime(runtime)
        return
    with pytest.raises(InvalidParameterValue) as caught:
        check_runtime(runtime)
    if runtime in DEPRECATED:
        assert caught.value.message == (
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
    else:
        assert f"cannot run {runtime}: " in caught.value.message
        assert "python3.9, python3.10, " in caught.value.message


def test_what_aws_does_not_know() -> None:
    with pytest.raises(InvalidParameterValue) as caught:
        check_runtime("cobol85")
    assert caught.value.message.startswith(
        "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, "
    )
    assert caught.value.message.endswith(", java8.al2] or be a valid ARN")


def test_runtime_versions_look_like_those_of_aws() -> None:
    scope = Scope(account="000000000000", region="eu-west-1")
    assert runtime_version_arn(scope, "python3.13") != runtime_version_arn(scope, "python3.12")
    prefix, _, digest = runtime_version_arn(scope, "python3.13").rpartition(":")
    assert prefix == "arn:aws:lambda:eu-west-1::runtime"
    assert len(bytes.fromhex(digest)) == 32
