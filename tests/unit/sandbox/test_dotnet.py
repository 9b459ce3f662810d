"""dotnet8 and dotnet10: native bootstraps, assemblies on a host, and clear words where neither is there."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from lambent.sandbox import dotnet_plans
from lambent.sandbox.protocol import CannotRun
from tests.unit.sandbox.support import Bench, ask

# Speaks the Runtime API over one connection; answers with the event, its variables' values and its arguments.
NATIVE = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char buffer[1 << 16], answer[1 << 16];
static const char *variable(const char *name) { const char *value = getenv(name); return value ? value : ""; }
int main(int argc, char **argv) {
    char host[64], id[128]; int port;
    if (sscanf(variable("AWS_LAMBDA_RUNTIME_API"), "%63[^:]:%d", host, &port) != 2) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) return 1;
    printf("native bootstrap, handler %s\n", variable("_HANDLER")); fflush(stdout);
    for (;;) {
        dprintf(fd, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
        ssize_t n = read(fd, buffer, sizeof buffer - 1);
        if (n <= 0) return 0;
        buffer[n] = 0;
        sscanf(strstr(buffer, "Lambda-Runtime-Aws-Request-Id: "), "%*s %127s", id);
        snprintf(answer, sizeof answer, "[%s, \"%s\", \"%s\", %d]", strstr(buffer, "\r\n\r\n") + 4,
                 variable("AWS_EXECUTION_ENV"), variable("LAMBDA_RUNTIME_NAME"), argc);
        dprintf(fd, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", id, strlen(answer), answer);
        if (read(fd, buffer, sizeof buffer) <= 0) return 0;
    }
}
"""

HOST = f"""#!{sys.executable} -Su
import http.client, json, os, sys
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    event = connection.getresponse()
    body = event.read()
    path = "/2018-06-01/runtime/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    names = ("DOTNET_ROOT", "LAMBDA_RUNTIME_NAME", "AWS_EXECUTION_ENV")
    connection.request("POST", path, json.dumps([sys.argv[1:], *map(os.environ.get, names)]))
    connection.getresponse().read()
"""


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A folder that looks like an installation of .NET 10."""
    folder = tmp_path / "dotnet"
    (folder / "shared/Microsoft.NETCore.App/10.0.1").mkdir(parents=True)
    (folder / "dotnet").write_text(HOST)
    (folder / "dotnet").chmod(0o755)
    return folder


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dotnet_plans, "find_host", lambda machine, home, major: None)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("runtime", ["dotnet8", "dotnet10"])
async def test_native_bootstrap(bench: Bench, tmp_path: Path, runtime: str) -> None:
    (tmp_path / "bootstrap.c").write_text(NATIVE)
    compiler = await asyncio.create_subprocess_exec(
        "cc", "-O1", "-o", str(tmp_path / "bootstrap"), str(tmp_path / "bootstrap.c")
    )
    assert await compiler.wait() == 0
    program = (tmp_path / "bootstrap").read_bytes()
    environment = await bench.start({"bootstrap": program}, runtime=runtime, handler="Orders")
    for n in range(5):
        assert await ask(environment, n) == (None, [n, f"AWS_Lambda_{runtime}", runtime, 1])
    assert "native bootstrap, handler Orders\n" in bench.logs.lines
    assert f"INIT_START Runtime Version: dotnet:{runtime.removeprefix('dotnet')}\n" in bench.logs.lines


async def test_bootstrap_that_may_not_be_executed(bench: Bench) -> None:
    bench.code.add("x", {"bootstrap": "#!/bin/sh\n"}).joinpath("bootstrap").chmod(0o644)
    environment = await bench.sandbox.start(bench.spec("x", runtime="dotnet10"))
    _, body = await ask(environment)
    assert body["errorType"] == "Runtime.InvalidEntrypoint"
    assert body["errorMessage"].endswith("Error: fork/exec /var/task/bootstrap: permission denied")


async def test_assembly_on_a_host(bench: Bench, installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTNET_ROOT", str(installation))
    for handler in ("Orders", "Orders.dll"):
        environment = await bench.start({"Orders.dll": b""}, runtime="dotnet10", handler=handler)
        _, ((assembly,), *variables) = await ask(environment)
        assert assembly.endswith("/Orders.dll")
        assert variables == [str(installation), "dotnet10", "AWS_Lambda_dotnet10"]


def test_hosts(tmp_path: Path, installation: Path) -> None:
    elsewhere = tmp_path / "bin"
    elsewhere.mkdir()
    (elsewhere / "dotnet").symlink_to(installation / "dotnet")
    find = dotnet_plans.find_host
    assert find({"PATH": str(elsewhere)}, tmp_path, 10) == installation / "dotnet"
    assert find({"DOTNET_ROOT": str(installation)}, tmp_path, 10) == installation / "dotnet"
    assert find({"DOTNET_ROOT": str(installation)}, tmp_path, 1) is None
    (tmp_path / ".dotnet").symlink_to(installation)
    assert find({}, tmp_path, 10) == tmp_path / ".dotnet/dotnet"


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("files", "handler", "words"),
    [
        ({"Orders.dll": ""}, "Orders", "dotnet10: Orders.dll needs a dotnet host with the .NET 10 runtime"),
        ({"Orders.dll": ""}, "Orders::N.F::M", "dotnet10: Orders::N.F::M names a method of a class library"),
        ({"readme": ""}, "Orders", "neither an executable named bootstrap nor the assembly Orders.dll"),
    ],
)
async def test_what_is_missing_is_named(bench: Bench, files: dict[str, str | bytes], handler: str, words: str) -> None:
    with pytest.raises(CannotRun) as refused:
        await bench.start(files, runtime="dotnet10", handler=handler)
    assert words in str(refused.value)
    assert "publish it with PublishAot" in str(refused.value)
