"""The errors of CloudWatch, by the codes of its query protocol."""

from __future__ import annotations

from lambent.core.errors import AwsError


class InvalidParameterValue(AwsError):
    code = "InvalidParameterValue"


class InvalidParameterCombination(AwsError):
    code = "InvalidParameterCombination"


class MissingParameter(AwsError):
    code = "MissingParameter"


class InvalidNextToken(AwsError):
    code = "InvalidNextToken"


class LimitExceeded(AwsError):
    """More metrics than this server keeps."""

    code = "LimitExceeded"


class MetricsValidationError(AwsError):
    """What CloudWatch finds wrong with a query of GetMetricData."""

    code = "ValidationError"
