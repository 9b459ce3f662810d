"""Extensions in whole environments: real programs in a layer, started by a process sandbox."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lambent.core import limits
from lambent.sandbox.framed import FramedTransport
from lambent.sandbox.protocol import Environment
from tests.unit.sandbox.extension_programs import CLIENT, FOLLOWER, HEAD, layer
from tests.unit.sandbox.support import Bench, ask, invocation, invoke, wait_until
from tests.unit.sandbox.test_custom_runtimes import ECHO as BOOTSTRAP

HANDLER = """
import os, sys, time
def handler(event, context):
    if event == "exit": sys.exit(3)
    if event == "sleep": time.sleep(60)
    if event == "env": return dict(os.environ)
    if isinstance(event, dict) and "write" in event: open(event["write"], "w").close()
    return event
"""


async def start(bench: Bench, source: Any = HANDLER, **programs: str) -> Environment:
    options = {"runtime": "provided.al2023"} if isinstance(source, dict) else {}
    bench.code.add("layer", layer(**programs))
    return await bench.start(source, layers=("layer",), **options)


async def wait_for_sleep(environment: Any) -> None:
    """Until the runtime's main thread waits: Python may miss a signal that comes just before."""
    stat = Path(f"/proc/{environment._cell.pid}/stat")
    await wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")


def heard(bench: Bench, name: str) -> list[Any]:
    """The events that an extension has printed."""
    prefix = name + " {"
    return [msgspec.json.decode(line.removeprefix(name)) for line in bench.logs.lines if line.startswith(prefix)]


@pytest.mark.parametrize("source", [HANDLER, {"bootstrap": BOOTSTRAP}], ids=["framed", "http"])
async def test_events_of_an_external_extension(bench: Bench, source: Any) -> None:
    environment = await start(bench, source, follower=FOLLOWER)
    assert "EXTENSION\tName: follower\tState: Ready\tEvents: [INVOKE,SHUTDOWN]\n" in bench.logs.lines
    sent = invocation("x", trace_id="Root=1-2-3")
    response = await environment.invoke(sent)
    assert await response.read() == b'"x"'
    report = await response.report()
    assert b"follower" in report.log_tail
    assert heard(bench, "follower") == [
        {
            "eventType": "INVOKE",
            "deadlineMs": sent.deadline_ms,
            "requestId": sent.request_id,
            "invokedFunctionArn": sent.invoked_function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3"},
        }
    ]
    assert await ask(environment, "y") == (None, "y")
    started_s = time.time()
    await environment.stop("spindown")
    *_, last = heard(bench, "follower")
    assert last == {"eventType": "SHUTDOWN", "deadlineMs": last["deadlineMs"], "shutdownReason": "spindown"}
    assert 0 < last["deadlineMs"] / 1000 - started_s < 2.2
    assert time.time() - started_s < 1.5, "it exited by itself"


async def test_variables(bench: Bench) -> None:
    program = HEAD + 'me = register()\nsay("env", json.dumps(dict(os.environ)))\nnext_event(me)\n'
    environment = await start(bench, env=program)
    _, runtime = await ask(environment, "env")
    [line] = [line for line in bench.logs.lines if line.startswith("env env")]
    extension = msgspec.json.decode(line.removeprefix("env env"))
    assert runtime["AWS_LAMBDA_RUNTIME_API"] == extension["AWS_LAMBDA_RUNTIME_API"]
    assert extension["AWS_SECRET_ACCESS_KEY"] == "SK"
    assert extension["AWS_LAMBDA_FUNCTION_NAME"] == "f"
    hidden = {name for name in runtime if name.startswith(("_", "LAMBDA_"))}
    hidden |= {"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"}
    assert hidden & runtime.keys()
    assert not hidden & extension.keys()


async def test_the_runtime_starts_after_all_have_registered(bench: Bench) -> None:
    slow = HEAD + 'time.sleep(0.3)\nme = register()\nsay("registers")\ntime.sleep(0.3)\nsay("asks")\nnext_event(me)\n'
    environment = await start(bench, "print('module')\n" + HANDLER, slow=slow, follower=FOLLOWER)
    lines = [line for line in bench.logs.lines if line in ("module\n", "slow registers\n", "slow asks\n")]
    assert lines.index("slow asks\n") > lines.index("slow registers\n")
    assert {"module\n", "slow asks\n"} <= set(lines), "the init waits for the first event/next too"
    assert await ask(environment, 1) == (None, 1)


async def test_an_event_lasts_until_its_extensions_are_done(bench: Bench) -> None:
    program = HEAD + (
        "me = register()\n"
        "while next_event(me)['eventType'] == 'INVOKE':\n"
        "    while not os.path.exists(os.environ['FLAG']): time.sleep(0.01)\n"
        "    say('done')\n"
    )
    bench.code.add("layer", layer(slow=program))
    flag = bench.root / "flag"
    environment = await bench.start(HANDLER, layers=("layer",), environment={"FLAG": str(flag)})
    response = await invoke(environment, "x")
    assert await response.read() == b'"x"', "the answer is out already"
    assert not any(line.startswith("REPORT") for line in bench.logs.lines)
    flag.touch()
    report = await response.report()
    lines = report.log_tail.decode().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["START", "END", "slow", "REPORT"]


async def test_timeout_tells_extensions(bench: Bench) -> None:
    environment = await start(bench, follower=FOLLOWER)
    error, body = await ask(environment, "sleep", timeout_s=0.3)
    assert (error, body["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert heard(bench, "follower")[-1]["shutdownReason"] == "timeout"
    assert await ask(environment, 1) == (None, 1)
    assert [event["eventType"] for event in heard(bench, "follower")] == ["INVOKE", "SHUTDOWN", "INVOKE"]


async def test_an_extension_can_use_up_the_timeout(bench: Bench) -> None:
    program = HEAD + "me = register(['INVOKE'])\nnext_event(me)\ntime.sleep(60)\n"
    environment = await start(bench, stuck=program)
    response = await invoke(environment, 1, timeout_s=0.3)
    assert (response.function_error, await response.read()) == (None, b"1")
    report = await response.report()
    assert report.log_tail.endswith(b"Status: timeout\n")


async def test_a_crash_of_the_runtime_tells_extensions(bench: Bench) -> None:
    environment = await start(bench, follower=FOLLOWER)
    _, body = await ask(environment, "exit")
    assert body["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert heard(bench, "follower")[-1]["shutdownReason"] == "failure"
    assert await ask(environment, 1) == (None, 1)


@pytest.mark.parametrize(
    ("end", "kind", "detail"),
    [
        ("sys.exit(0)", "Extension.Crash", "exit code 0"),
        ("sys.exit(5)", "Extension.Crash", "exit status 5"),
        ("os.kill(os.getpid(), 9)", "Extension.Crash", "signal: killed"),
        ("report('exit', me, 'Extension.Mine')", "Extension.ExitError", "Extension.Mine"),
    ],
)
async def test_a_crash_of_an_extension_resets(bench: Bench, end: str, kind: str, detail: str) -> None:
    program = (
        HEAD + f"me = register()\nnext_event(me)\nwhile os.path.exists(os.environ['FLAG']): {end}\nnext_event(me)\n"
    )
    bench.code.add("layer", layer(crashing=program))
    flag = bench.root / "flag"
    flag.touch()
    environment = await bench.start(HANDLER, layers=("layer",), environment={"FLAG": str(flag)})
    sent = invocation("sleep")
    response = await environment.invoke(sent)
    assert response.function_error == "Unhandled"
    assert msgspec.json.decode(await response.read()) == {
        "errorType": kind,
        "errorMessage": f"RequestId: {sent.request_id} Error: {detail}",
    }
    assert f"Error Type: {kind}\n".encode() in (await response.report()).log_tail
    flag.unlink()
    assert await ask(environment, 1) == (None, 1)


@pytest.mark.parametrize(
    ("program", "kind", "detail"),
    [
        (HEAD + "sys.exit(1)", "Extension.Crash", "exit status 1"),
        (HEAD + "report('init', register(), 'Extension.Config')", "Extension.InitError", "Extension.Config"),
        ("#!/nowhere\n", "Extension.LaunchError", "no such file or directory"),
    ],
)
async def test_an_extension_that_cannot_start(bench: Bench, program: str, kind: str, detail: str) -> None:
    environment = await start(bench, bad=program)
    assert f"EXTENSION\tName: bad\tState: Failed\tEvents: []\tError Type: {kind}\n" in bench.logs.lines
    assert not environment.initialised
    error, body = await ask(environment)
    assert (error, body["errorType"]) == ("Unhandled", kind)
    assert body["errorMessage"].endswith(f"Error: {detail}")


async def test_an_extension_that_never_registers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LAMBDA_INIT_TIMEOUT_S", 0.5)
    environment = await start(bench, silent=HEAD + "time.sleep(60)\n")
    assert "\tPhase: init\tStatus: timeout\n" in bench.logs.text
    _, body = await ask(environment, timeout_s=0.5)
    assert body["errorType"] == "Sandbox.Timedout"
    assert "Phase: invoke" in bench.logs.text


async def test_more_than_ten(bench: Bench) -> None:
    environment = await start(bench, **{f"e{number}": FOLLOWER for number in range(11)})
    _, body = await ask(environment)
    assert body["errorType"] == "Extension.TooManyExtensions"
    assert body["errorMessage"].endswith("Error: Extension limit (10) reached")


async def test_shutdown_ends_what_does_not_end(bench: Bench) -> None:
    stubborn = (
        HEAD + "signal.signal(15, lambda *_: None)\nme = register()\nwhile True: say(json.dumps(next_event(me)))\n"
    )
    deaf = HEAD + "me = register(['INVOKE'])\nnext_event(me)\ntime.sleep(60)\n"
    handler = "import signal\nsignal.signal(15, lambda *_: print('SIGTERM', flush=True))\n" + HANDLER
    environment = await start(bench, handler, stubborn=stubborn, deaf=deaf)
    await wait_for_sleep(environment)
    started_s = time.monotonic()
    await environment.stop("spindown")
    assert 1.9 < time.monotonic() - started_s < 4
    assert [event["shutdownReason"] for event in heard(bench, "stubborn")] == ["spindown"]
    assert "SIGTERM\n" in bench.logs.lines


INTERNAL = (
    CLIENT
    + """
me = register(["INVOKE"], name="inside")
events = []
def follow():
    while True:
        events.append(next_event(me)["requestId"])
threading.Thread(target=follow, daemon=True).start()
signal.signal(15, lambda *_: (print("SIGTERM", flush=True), os._exit(0)))

def late(name, events=()):
    return call("POST", "/2020-01-01/extension/register", {"events": list(events)}, Lambda_Extension_Name=name)[::2]

refusals = [
    late(""), late("inside"), late("shutdown", ["SHUTDOWN"]), late("odd", ["ODD"]),
    call("POST", "/2020-01-01/extension/register", b"[", Lambda_Extension_Name="x")[::2],
    call("GET", "/2020-01-01/extension/event/next")[::2],
    call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier="x")[::2],
    call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier="0" * 32)[::2],
    call("GET", "/2020-01-01/extension/event/next")[::2],
    call("POST", "/2020-01-01/extension/exit/error", {}, Lambda_Extension_Identifier=me)[::2],
]
account = call("POST", "/2020-01-01/extension/register", {"events": []}, Lambda_Extension_Name="account",
    Lambda_Extension_Accept_Feature="other, accountId")
quiet = account[1]["Lambda-Extension-Identifier"]
threading.Thread(target=next_event, args=(quiet,), daemon=True).start()

def handler(event, context):
    while context.aws_request_id not in events: time.sleep(0.001)
    return [refusals, account[2], late("late")]
"""
)


async def test_internal_extensions(bench: Bench) -> None:
    environment = await bench.start(INTERNAL)
    _, (refusals, account, late) = await ask(environment)
    assert account == {
        "functionName": "f",
        "functionVersion": "$LATEST",
        "handler": "h.handler",
        "accountId": "111122223333",
    }
    assert late == [
        403,
        {"errorMessage": "Extension registration closed already", "errorType": "Extension.RegistrationClosed"},
    ]
    assert {status for status, _ in refusals} == {403}
    assert [
        (body["errorType"], body["errorMessage"]) for _, body in refusals if body["errorType"] != "InvalidRequestFormat"
    ] == [
        ("Extension.InvalidExtensionName", "Empty extension name"),
        ("Extension.InvalidExtensionState", "Extension with this name already registered"),
        ("Extension.InvalidEventType", "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"),
        ("Extension.InvalidEventType", "ODD: ErrorInvalidEventType"),
        ("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        ("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
        ("Extension.UnknownExtensionIdentifier", "Unknown extension " + "0" * 32),
        ("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        ("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"),
    ]
    assert "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n" in bench.logs.lines
    await wait_for_sleep(environment)
    await environment.stop("spindown")
    assert "SIGTERM\n" in bench.logs.lines


async def test_without_extensions_the_end_is_sudden(bench: Bench) -> None:
    environment = await bench.start(
        "import signal\nsignal.signal(15, lambda *_: print('SIGTERM', flush=True))\n" + HANDLER
    )
    await wait_for_sleep(environment)
    await environment.stop("spindown")
    assert "SIGTERM\n" not in bench.logs.lines


async def test_an_end_while_the_runtime_is_being_started(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = FramedTransport.open

    async def slowly(*args: Any) -> FramedTransport:
        transport = await opened(*args)
        [generation] = [one._generation for one in bench.sandbox._environments.values()]
        assert generation is not None
        generation.end("failure")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not generation.ended.done()
        return transport

    monkeypatch.setattr(FramedTransport, "open", slowly)
    environment = await bench.start(HANDLER)
    assert not environment.initialised
    monkeypatch.undo()
    assert await ask(environment, 1) == (None, 1)
