"""boto3 against the endpoint, over a real socket."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.testing import clients
from tests.api.endpoint_server import ServedEndpoint


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedEndpoint]:
    with ServedEndpoint(tmp_path_factory.mktemp("endpoint")) as running:
        yield running


def client(server: ServedEndpoint, service: str, **options: Any) -> Any:
    return clients.client(service, server.url, **options)


def refused(call: Any, **arguments: Any) -> tuple[str, str, int, dict[str, str]]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error, metadata = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    return error["Code"], error["Message"], metadata["HTTPStatusCode"], metadata["HTTPHeaders"]


def test_query_protocol(server: ServedEndpoint) -> None:
    answer = client(server, "sts", access_key="123456789012", region="eu-west-3").get_caller_identity()
    assert answer["Account"] == "123456789012"
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36
    context = server.toys.contexts[-1]
    assert (context.service, context.operation) == ("sts", "GetCallerIdentity")
    assert (context.scope.account, context.scope.region) == ("123456789012", "eu-west-3")
    assert (context.access_key, context.endpoint) == ("123456789012", server.url)


def test_any_other_key_means_the_default_account(server: ServedEndpoint) -> None:
    assert client(server, "sts", access_key="AKIAEXAMPLE").get_caller_identity()["Account"] == "000000000000"


def test_rest_json_protocol(server: ServedEndpoint) -> None:
    answer = client(server, "lambda").list_functions(MaxItems=7)
    assert answer["Functions"] == [{"FunctionName": "f", "MemorySize": 128}]
    assert server.toys.params[-1] == {"MaxItems": 7}
    assert "date" in answer["ResponseMetadata"]["HTTPHeaders"]


def test_json_protocol(server: ServedEndpoint) -> None:
    sqs = client(server, "sqs")
    assert sqs.send_message(QueueUrl=server.url + "/1/q", MessageBody="b" * 100_000)["MessageId"] == "m"
    assert server.toys.params[-1]["MessageBody"] == "b" * 100_000


def test_payload_and_headers_of_a_reply(server: ServedEndpoint) -> None:
    answer = client(server, "lambda").invoke(FunctionName="echo", Payload=b'{"a": 1}')
    assert answer["Payload"].read() == b'{"a": 1}'
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-extra"] == "1"


def test_error_of_a_handler(server: ServedEndpoint) -> None:
    code, message, status, headers = refused(client(server, "lambda").get_function, FunctionName="nope")
    assert (code, message, status) == ("ResourceNotFoundException", "Function not found: nope", 404)
    assert headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert len(headers["x-amzn-requestid"]) == 36


def test_fault_of_ours_is_logged_and_not_told(server: ServedEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="lambent"):
        code, message, status, headers = refused(client(server, "lambda").get_function, FunctionName="broken")
    assert (code, status) == ("ServiceException", 500)
    assert "secret" not in message
    (record,) = [record for record in caplog.records if record.name == "lambent.dispatch"]
    assert headers["x-amzn-requestid"] in record.getMessage()
    assert "secret detail" in (record.exc_text or "")


def test_a_cancelled_wait_inside_a_handler_is_a_fault_of_ours(server: ServedEndpoint) -> None:
    code, _, status, _ = refused(client(server, "lambda").get_function, FunctionName="abandoned")
    assert (code, status) == ("ServiceException", 500)


def create(server: ServedEndpoint, **more: Any) -> dict[str, Any]:
    return {
        "FunctionName": "f",
        "Role": "arn:aws:iam::000000000000:role/r",
        "Code": {"ZipFile": b"zip"},
        "Runtime": "python3.12",
        "Handler": "m.h",
    } | more


def test_simulated_parameters_are_named_in_the_answer(server: ServedEndpoint) -> None:
    answer = client(server, "lambda").create_function(**create(server, Architectures=["arm64"]))
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-lambent-simulated"] == "Architectures"
    plain = client(server, "lambda").create_function(**create(server, VpcConfig={}))
    assert "x-lambent-simulated" not in plain["ResponseMetadata"]["HTTPHeaders"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "Lambent does not support VpcConfig yet: there is no VPC"),
        ({"Code": {"S3Bucket": "bucket"}}, "Lambent does not support Code.S3Bucket yet: it is not implemented"),
        ({"Description": "d"}, "Lambent does not support Description yet: it is not implemented"),
    ],
)
def test_rejected_parameters(server: ServedEndpoint, more: dict[str, Any], says: str) -> None:
    code, message, status, _ = refused(client(server, "lambda").create_function, **create(server, **more))
    assert (code, message, status) == ("InvalidParameterValueException", says, 400)


def test_constraints_of_the_model(server: ServedEndpoint) -> None:
    code, message, status, _ = refused(client(server, "lambda").create_function, **create(server, Runtime="cobol"))
    assert (code, status) == ("ValidationException", 400)
    assert message.startswith("1 validation error detected: Value 'cobol' at 'runtime' failed to satisfy constraint: ")


def test_body_over_the_limit(server: ServedEndpoint) -> None:
    big = create(server, Code={"ZipFile": b"z" * 5_000_000})
    code, message, status, _ = refused(client(server, "lambda").create_function, **big)
    assert (code, status) == ("RequestEntityTooLargeException", 413)
    assert message == "Request must be smaller than 200000 bytes for the CreateFunction operation"
    assert client(server, "lambda").list_functions()["Functions"]


@pytest.mark.parametrize(
    ("service", "method", "arguments", "code", "status"),
    [
        ("lambda", "list_layers", {}, "NotImplementedException", 501),
        ("sts", "get_session_token", {}, "NotImplementedException", 501),
        ("sqs", "list_queues", {}, "NotImplementedException", 501),
        ("dynamodb", "list_tables", {}, "NotImplementedException", 501),
        ("sns", "list_topics", {}, "NotImplementedException", 501),
    ],
)
def test_what_is_not_implemented_says_so(
    server: ServedEndpoint, service: str, method: str, arguments: dict[str, Any], code: str, status: int
) -> None:
    found, message, answered, _ = refused(getattr(client(server, service), method), **arguments)
    assert answered == status
    assert found == code
    assert service in message


def test_external_host_goes_into_answers(tmp_path: Path) -> None:
    with ServedEndpoint(tmp_path, external_host="https://aws.example:8443") as server:
        assert server.endpoint.url == "https://aws.example:8443"
        client(server, "sts").get_caller_identity()
        assert server.toys.contexts[-1].endpoint == "https://aws.example:8443"


def test_verified_signatures(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("AKIAGOOD test 111122223333 arn:aws:iam::111122223333:user/ann\n")
    keys.chmod(0o600)
    with ServedEndpoint(tmp_path, auth_file=keys) as server:
        assert client(server, "sts", access_key="AKIAGOOD").get_caller_identity()["Account"] == "111122223333"
        good = client(server, "lambda", access_key="AKIAGOOD")
        assert good.invoke(FunctionName="arn:aws:lambda:us-east-1:111122223333:function:e", Payload=b"{}")["StatusCode"]
        assert client(server, "sqs", access_key="AKIAGOOD").send_message(QueueUrl=server.url, MessageBody="m")

        stranger = refused(client(server, "sts", access_key="AKIAOTHER").get_caller_identity)
        assert stranger[:3] == ("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        assert (
            refused(client(server, "lambda", access_key="AKIAOTHER").list_functions)[0] == "UnrecognizedClientException"
        )

        forged = clients.client("lambda", server.url, access_key="AKIAGOOD")
        forged._request_signer._credentials.secret_key = "wrong"
        code, message, status, _ = refused(forged.list_functions)
        assert (code, status) == ("InvalidSignatureException", 403)
        assert message.startswith("The request signature we calculated does not match the signature you provided.")

        minted = server.credentials.mint(
            account="444455556666", principal_arn="arn:aws:sts::444455556666:assumed-role/r/f"
        )
        environment = clients.client("sts", server.url, access_key=minted.access_key)
        environment._request_signer._credentials.secret_key = minted.secret
        assert refused(environment.get_caller_identity)[0] == "InvalidClientTokenId"
        environment._request_signer._credentials.token = minted.session_token
        assert environment.get_caller_identity()["Account"] == "444455556666"
