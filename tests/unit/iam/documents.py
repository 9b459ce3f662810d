from __future__ import annotations

import json
from typing import Any


def document(*statements: Any, version: str | None = "2012-10-17") -> str:
    head = {} if version is None else {"Version": version}
    return json.dumps(head | {"Statement": list(statements)})


TRUST = document({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
READ = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"})
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
