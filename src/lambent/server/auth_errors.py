"""What AWS answers to a request that it cannot trust.

The same failure has one code for the query protocol (`query_code`), one for the JSON protocols (`code`), and often
another for S3, as AWS's pages "Common Error Types" and "S3 Error Responses" list them.
"""

from __future__ import annotations

from lambent.core.errors import AwsError


class AuthError(AwsError):
    """The request's signature is missing, incomplete, unknown, wrong or too old."""

    status = 403


class MissingAuthenticationToken(AuthError):
    code = "MissingAuthenticationTokenException"
    query_code = "MissingAuthenticationToken"

    def __init__(self) -> None:
        super().__init__("Missing Authentication Token")


class QueryMissingAuthenticationToken(AuthError):
    code = "MissingAuthenticationToken"

    def __init__(self) -> None:
        super().__init__("Request is missing Authentication Token")


class MissingProof(AuthError):
    """A request to one of our own routes that a web page could have sent."""

    code = "MissingAuthenticationTokenException"

    def __init__(self, header: str) -> None:
        super().__init__(f"Send the header '{header}: 1' or sign the request.")


class IncompleteSignature(AuthError):
    """The `Authorization` header or the presigned query lacks a part or cannot be read."""

    code = "IncompleteSignatureException"
    query_code = "IncompleteSignature"


class UnknownAccessKey(AuthError):
    code = "UnrecognizedClientException"
    query_code = "InvalidClientTokenId"

    def __init__(self) -> None:
        super().__init__("The security token included in the request is invalid.")


class ExpiredToken(AuthError):
    code = "ExpiredTokenException"
    query_code = "ExpiredToken"

    def __init__(self) -> None:
        super().__init__("The security token included in the request is expired")


class InvalidSignature(AuthError):
    """A signature that does not match, is too old, or is scoped to another day or service."""

    code = "InvalidSignatureException"
    query_code = "SignatureDoesNotMatch"


class S3AccessDenied(AuthError):
    code = "AccessDenied"


class S3UnknownAccessKey(AuthError):
    code = "InvalidAccessKeyId"

    def __init__(self, access_key: str) -> None:
        super().__init__(
            "The AWS Access Key Id you provided does not exist in our records.", members={"AWSAccessKeyId": access_key}
        )


class S3InvalidToken(AuthError):
    code = "InvalidToken"
    status = 400

    def __init__(self) -> None:
        super().__init__("The provided token is malformed or otherwise invalid.")


class S3ExpiredToken(AuthError):
    code = "ExpiredToken"
    status = 400

    def __init__(self) -> None:
        super().__init__("The provided token has expired.")


class S3SignatureDoesNotMatch(AuthError):
    code = "SignatureDoesNotMatch"

    def __init__(self) -> None:
        super().__init__(
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )


class S3RequestTimeTooSkewed(AuthError):
    code = "RequestTimeTooSkewed"

    def __init__(self, *, request_time: str, server_time: str) -> None:
        super().__init__(
            "The difference between the request time and the current time is too large.",
            members={
                "RequestTime": request_time,
                "ServerTime": server_time,
                "MaxAllowedSkewMilliseconds": "900000",
            },
        )


class S3AuthorizationHeaderMalformed(AuthError):
    code = "AuthorizationHeaderMalformed"
    status = 400


class S3AuthorizationQueryParametersError(AuthError):
    code = "AuthorizationQueryParametersError"
    status = 400


class S3InvalidRequest(AuthError):
    code = "InvalidRequest"
    status = 400


class S3UnsupportedAuthorization(S3InvalidRequest):
    def __init__(self) -> None:
        super().__init__("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")


class S3ContentHashMismatch(AuthError):
    code = "XAmzContentSHA256Mismatch"
    status = 400

    def __init__(self) -> None:
        super().__init__("The provided 'x-amz-content-sha256' header does not match what was computed.")


class S3IncompleteBody(AuthError):
    code = "IncompleteBody"
    status = 400

    def __init__(self) -> None:
        super().__init__("The request body terminated unexpectedly")


def as_answered(error: AwsError, *, service: str, protocol: str) -> AwsError:
    """The error in the words of the service that was asked: what is found before that is known has the common ones."""
    if service == "s3":
        if isinstance(error, MissingAuthenticationToken):
            return S3AccessDenied("Access Denied")
        if isinstance(error, IncompleteSignature | InvalidSignature):
            return S3AuthorizationHeaderMalformed(f"The authorization header is malformed; {error.message}")
        if isinstance(error, UnknownAccessKey):
            return S3InvalidToken()
    elif protocol == "query" and isinstance(error, MissingAuthenticationToken):
        return QueryMissingAuthenticationToken()
    return error
