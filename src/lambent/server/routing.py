"""Which service a request asks for.

An `X-Amz-Target` header names it, or the path of an RPC v2 request; else the credential scope does (by signing name,
which is not always botocore's name for the service); else the Host; else the query protocol's API version; else the
shape of the path. Which operation of the service is meant, its protocol says.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from lambent.server import hosts
from lambent.server.protocol import rpc_v2_cbor

# Signing names (and endpoint prefixes, as hosts have them) that are not botocore's name of the service.
SIGNING_NAMES: Mapping[str, str] = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "email": "ses",
    "aps": "amp",
    "s3express": "s3",
    "s3-object-lambda": "s3",
    "lambda-url": "lambda",
    "elasticmapreduce": "emr",
    "tagging": "resourcegroupstaggingapi",
    "elasticfilesystem": "efs",
    "streams.dynamodb": "dynamodbstreams",
}

# Prefixes of X-Amz-Target. One signing name may stand for several services (`dynamodb`); these never do.
TARGET_PREFIXES: Mapping[str, str] = {
    "AmazonSQS": "sqs",
    "AWSEvents": "events",
    "Logs_20140328": "logs",
    "DynamoDB_20120810": "dynamodb",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "Kinesis_20131202": "kinesis",
    "AWSStepFunctions": "stepfunctions",
    "AmazonSSM": "ssm",
    "secretsmanager": "secretsmanager",
    "TrentService": "kms",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "ResourceGroupsTaggingAPI_20170126": "resourcegroupstaggingapi",
    "CertificateManager": "acm",
    "AWSCognitoIdentityProviderService": "cognito-idp",
    "Firehose_20150804": "firehose",
}

API_VERSIONS: Mapping[str, str] = {
    "2012-11-05": "sqs",
    "2010-05-08": "iam",
    "2011-06-15": "sts",
    "2010-05-15": "cloudformation",
    "2010-08-01": "cloudwatch",
    "2010-03-31": "sns",
    "2016-11-15": "ec2",
}

# First words of Lambda's paths, after the version of the API.
_LAMBDA_PATHS = frozenset(
    {
        "account-settings",
        "capacity-providers",
        "code-signing-configs",
        "durable-executions",
        "event-source-mappings",
        "functions",
        "layers",
        "tags",
    }
)


def service_name(headers: Mapping[str, str], path: str, query: str, *, signing_name: str | None) -> str | None:
    """botocore's name of the service that a request asks for, None when nothing tells.

    `signing_name` is that of the credential scope.
    """
    target = headers.get("x-amz-target")
    if target is not None:
        named = TARGET_PREFIXES.get(target.rpartition(".")[0])
        if named is not None:
            return named
    elif path.startswith("/service/") and rpc_v2_cbor.spoken_in(headers):
        rpc_target = rpc_v2_cbor.target_of(path)
        named = None if rpc_target is None else TARGET_PREFIXES.get(rpc_target[0])
        if named is not None:
            return named
    if signing_name is not None:
        if signing_name == "apigateway" and path.startswith("/v2/"):
            return "apigatewayv2"
        return SIGNING_NAMES.get(signing_name, signing_name)
    host = hosts.split_host(headers.get("host", ""))
    if host is not None and (found := hosts.service_host(host)) is not None:
        return SIGNING_NAMES.get(found.service, found.service)
    if "Version=" in query:
        named = API_VERSIONS.get(dict(parse_qsl(query)).get("Version", ""))
        if named is not None:
            return named
    return _by_path(path)


def _by_path(path: str) -> str | None:
    parts = path.split("/", 3)
    if len(parts) > 2 and parts[2] in _LAMBDA_PATHS and len(parts[1]) == 10 and parts[1].replace("-", "").isdigit():
        return "lambda"
    return None
