"""AWS's own runtime client, unmodified, as a custom runtime: it runs here, and our Python runtime answers alike."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import msgspec
import pytest

from tests.unit.sandbox.support import Bench, ask, invoke

if importlib.util.find_spec("awslambdaric") is None:
    pytest.skip("needs awslambdaric", allow_module_level=True)

SITE = next(path for path in sys.path if (Path(path) / "awslambdaric").is_dir())
RUNTIME = f"python3.{sys.version_info[1]}"
BOOTSTRAP = f"""#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_{RUNTIME} PYTHONPATH={SITE} PYTHONDONTWRITEBYTECODE=1
exec {sys.executable} -m awslambdaric "$_HANDLER"
"""

SOURCE = """
import collections, datetime, decimal, enum, logging, math, os, sys, uuid

Point = collections.namedtuple("Point", "x y")

class Colour(enum.IntEnum):
    RED = 1

class Text(str):
    pass

class Mapping(dict):
    pass

class Broken(Exception):
    def __str__(self):
        return "bröken \\u2028"

def deep(n):
    return [deep(n - 1)] if n else []

def circular():
    a = {}
    a["a"] = a
    return a

VALUES = {
    "none": lambda: None,
    "text": lambda: "ü\\u2028 \\U0001f600 \\x00 \\" \\\\",
    "surrogate": lambda: "\\ud800",
    "numbers": lambda: [1, -1, 10 ** 30, 1.5, 1e300, 1e-9, 0.1, -0.0, True, False],
    "odd floats": lambda: [math.nan, math.inf, -math.inf],
    "decimals": lambda: {"d": [decimal.Decimal("1.10"), decimal.Decimal("1E+3"), decimal.Decimal("NaN")]},
    "signalling": lambda: decimal.Decimal("-NaN"),
    "infinite decimal": lambda: decimal.Decimal("Infinity"),
    "decimal and text": lambda: [decimal.Decimal("2"), "ü", Text("t")],
    "tuple": lambda: (1, (2,)),
    "named tuple": lambda: {"p": [Point(1, Point(2, b"3"))]},
    "bytes inside": lambda: {"b": b"text", "l": [b"\\xc3\\xbc"]},
    "bad bytes inside": lambda: [b"\\xff"],
    "bytes": lambda: b"\\x00\\xff",
    "bytearray": lambda: bytearray(b"x"),
    "subclasses": lambda: [Colour.RED, Text("x"), Mapping(a=1), collections.OrderedDict(b=2)],
    "keys": lambda: {1: "a", 1.5: "b", True: "c", None: "d"},
    "tuple key": lambda: {(1, 2): 3},
    "set": lambda: {1},
    "date": lambda: datetime.date(2026, 1, 2),
    "uuid": lambda: uuid.UUID(int=0),
    "object": lambda: object,
    "generator": lambda: (i for i in ()),
    "circular": circular,
    "deep": lambda: deep(200),
}

def fail():
    try:
        {}["k"]
    except KeyError as error:
        raise Broken() from error

def handler(event, context):
    if event == "names":
        return sorted(VALUES)
    if event == "raise":
        fail()
    if event == "group":
        raise ValueError()
    if event == "context":
        return [context.aws_request_id == "fixed", context.function_name, repr(context.client_context),
            context.tenant_id,
            repr(context.identity), context.w3c(), repr(context).replace(context.aws_request_id, "")]
    if event == "log":
        logging.getLogger().warning("logged\\nin two lines")
        print("printed")
    if isinstance(event, dict) and "value" in event:
        return VALUES[event["value"]]()
    return event
"""


async def both(bench: Bench, source: str = SOURCE, **options: object) -> list[object]:
    ours = await bench.start({"h.py": source}, runtime=RUNTIME, **options)
    theirs = await bench.start(
        {"h.py": source, "bootstrap": BOOTSTRAP}, runtime="provided.al2023", memory_mb=256, **options
    )
    return [ours, theirs]


async def test_same_results(bench: Bench) -> None:
    ours, theirs = await both(bench)
    _, names = await ask(ours, "names")  # type: ignore[arg-type]
    assert len(names) > 20
    events = [{"value": name} for name in names]
    events += ["raise", "group", b'"\xff"', b"", b" [1 , 2e3] ", b'"\\ud800"', "ü"]
    different = []
    for event in events:
        answers = []
        for environment in (ours, theirs):
            response = await invoke(environment, event, request_id="fixed")  # type: ignore[arg-type]
            body = (await response.read()).replace(str(bench.code.root).encode(), b"")
            answers.append((response.function_error, _neutral(body), response.content_type))
            await response.report()
        # Errors: AWS's client posts them with a content type of its own; what callers see is the body.
        if answers[0][:2] != answers[1][:2] or (answers[0][0] is None and answers[0][2] != answers[1][2]):
            different.append((event, answers))
    assert different == [], "\n".join(map(repr, different))


def _neutral(body: bytes) -> bytes:
    import re

    return re.sub(rb"/function-\d+/", b"/", body)


async def test_same_context(bench: Bench) -> None:
    environments = await both(bench)
    answers = []
    for environment in environments:
        answers.append(
            await ask(
                environment,  # type: ignore[arg-type]
                "context",
                request_id="fixed",
                tenant_id="blue",
                invoked_function_arn="arn:x",
                cognito_identity='{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}',
                client_context='{"custom":{"a":1},"client":{"app_title":"t"},"w3c":{"traceparent":"x","y":"z"}}',
            )
        )
    assert answers[0][0] is None
    first, second = (msgspec.json.encode(answer).replace(b"=128,", b"=256,") for answer in answers)
    assert first == second


@pytest.mark.parametrize(
    ("source", "handler"),
    [
        ("", "handler"),
        ("", "x.handler"),
        ("", "h.nope"),
        ("import absent", "h.handler"),
        ("from os import absent", "h.handler"),
        ("def handler(:\n", "h.handler"),
        ("raise KeyError('k')", "h.handler"),
        ("def f():\n    1/0\nf()\n", "h.handler"),
        ("", "sys.handler"),
        ("", "time.handler"),
        ("", ".handler"),
        ("", "h."),
    ],
)
async def test_same_init_errors(bench: Bench, source: str, handler: str) -> None:
    answers = [
        await ask(environment)  # type: ignore[arg-type]
        for environment in await both(bench, source, handler=handler)
    ]
    text = [_neutral(msgspec.json.encode(answer)) for answer in answers]
    assert answers[0][0] == "Unhandled"
    assert text[0] == text[1]
