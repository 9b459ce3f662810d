"""Which library reads and writes JSON (docs/decisions/0002-json-library.md).

Two documents that the server handles all day: a GetFunction answer, and a queue's batch of ten events with bodies of
1 KiB. The libraries take turns in short runs; the best run of each counts, since nothing makes code faster than it is.
orjson is not one of our dependencies and is skipped where it is not installed.
"""

from __future__ import annotations

import importlib
import json
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

ROUNDS = 30


def function_configuration() -> dict[str, Any]:
    """What GetFunction answers."""
    return {
        "Configuration": {
            "FunctionName": "orders",
            "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:orders",
            "Runtime": "python3.13",
            "Role": "arn:aws:iam::000000000000:role/orders",
            "Handler": "app.handler",
            "CodeSize": 48213,
            "Timeout": 30,
            "MemorySize": 512,
            "LastModified": "2026-01-01T00:00:00.000+0000",
            "Environment": {"Variables": {f"NAME_{number}": "value" * 4 for number in range(12)}},
            "Architectures": ["x86_64"],
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/orders"},
        },
        "Code": {"RepositoryType": "S3", "Location": "http://localhost:4566/_lambent/code/" + "a" * 96},
        "Tags": {"team": "shop", "stage": "production"},
    }


def queue_batch() -> dict[str, Any]:
    """An event of ten queue messages."""
    record = {
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEB" + "w" * 96,
        "body": "x" * 1000 + 'a "quoted" word\nand é',
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1767225600000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record] * 10}


def libraries() -> dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]]:
    """Encoder and decoder by library."""
    import msgspec

    found: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
        "json": (lambda value: json.dumps(value, separators=(",", ":")).encode(), json.loads),
        "msgspec": (msgspec.json.Encoder().encode, msgspec.json.Decoder().decode),
    }
    try:
        orjson = importlib.import_module("orjson")
    except ImportError:
        print("  orjson is skipped: it is not installed")
    else:
        found["orjson"] = (orjson.dumps, orjson.loads)
    return found


def main() -> None:
    """Measure encoding and decoding of both documents with every library."""
    print("\nJSON libraries", flush=True)
    found = libraries()
    for title, document in (("GetFunction", function_configuration()), ("10 messages of 1 KiB", queue_batch())):
        data = found["json"][0](document)
        best: dict[tuple[str, str], float] = {}
        for _ in range(ROUNDS):
            for name, (encode, decode) in found.items():
                for what, call in (("encode", partial(encode, document)), ("decode", partial(decode, data))):
                    spent_us = timeit.timeit(call, number=200) / 200 * 1e6
                    best[what, name] = min(best.get((what, name), spent_us), spent_us)
        for (what, name), spent_us in sorted(best.items()):
            ratio = spent_us / best[what, "json"]
            print(f"  {title:<22} {what} {name:<8} {spent_us:8.2f} us   {ratio:.2f} of json's", flush=True)


if __name__ == "__main__":
    main()
