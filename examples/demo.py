"""The main job, shown: start Lambent, deploy the example functions, run them on real input, survive a kill, stop.

`make demo` runs this. Everything happens in a temporary folder; nothing is left running.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import botocore.session
from rich.console import Console

from lambent.testing.server import ServerProcess

HERE = Path(__file__).parent
ROLE = "arn:aws:iam::000000000000:role/demo"
say = Console(highlight=False, soft_wrap=True)


def package(folder: Path) -> bytes:
    """The folder as a code package, executable bits included."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            archive.write(file, file.relative_to(folder))
    return buffer.getvalue()


def client(service: str, endpoint: str) -> Any:
    """An ordinary AWS client that talks to Lambent."""
    return botocore.session.Session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id="demo",
        aws_secret_access_key="demo",
    )


def create(functions: Any, name: str, runtime: str, handler: str) -> None:
    functions.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler=handler,
        Role=ROLE,
        Code={"ZipFile": package(HERE / "functions" / name)},
        Timeout=10,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    say.print(f"  created [bold]{name}[/] ({runtime}), state Active")


def invoke(functions: Any, name: str, event: object) -> tuple[dict[str, Any], float]:
    """The function's answer and the milliseconds that the caller waited."""
    begin = time.perf_counter()
    response = functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    answer = json.loads(response["Payload"].read())
    return answer, (time.perf_counter() - begin) * 1000


def step(title: str) -> None:
    say.print(f"\n[bold cyan]{title}[/]")


def main() -> None:
    transactions = json.loads((HERE / "data" / "transactions.json").read_text())
    text = (HERE.parent / "LICENSE").read_text()
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(data=Path(folder) / "data")
        try:
            step("1. One command starts the server")
            begin = time.perf_counter()
            server.start()
            say.print(f"  lambent up: ready at {server.endpoint} after {time.perf_counter() - begin:.2f} s")
            functions = client("lambda", server.endpoint)

            step("2. Functions are created through the AWS API (here with botocore, as boto3 and the CLI do)")
            create(functions, "settlement", "python3.13", "handler.handler")
            create(functions, "wordcount", "provided.al2023", "bootstrap")

            step("3. They run on real input, each in a process of its own")
            answer, cold_ms = invoke(functions, "settlement", transactions)
            say.print(f"  settlement of {len(transactions['transactions'])} card transactions: {answer['totals']}")
            say.print(f"    for a person to look at: {', '.join(answer['review'])}")
            warm = sorted(invoke(functions, "settlement", transactions)[1] for _ in range(20))
            say.print(f"    first call (cold start) {cold_ms:.1f} ms, then {warm[10]:.1f} ms (median of 20 warm calls)")
            answer, cold_ms = invoke(functions, "wordcount", {"text": text, "top": 3})
            say.print(f"  wordcount, a custom runtime in a 30-line script, counts the licence: {answer}")

            step("4. Failures look as they do on AWS")
            answer, _ = invoke(functions, "settlement", {"transactions": [{"id": "txn-1", "type": "PAYMENT"}]})
            say.print(f"  a transaction without an amount: {answer['errorType']} {answer['errorMessage']}")

            step("5. What was acknowledged survives kill -9")
            server.kill()
            say.print("  killed the server; starting it again on the same data directory")
            server.start()
            functions = client("lambda", server.endpoint)
            names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
            answer, _ = invoke(functions, "settlement", transactions)
            say.print(f"  still there: {', '.join(names)}; settlement again settles {answer['settled']} transactions")
        finally:
            server.stop()
    say.print("\nStopped; nothing is left running. Next: the README's tour with the AWS CLI.")


if __name__ == "__main__":
    sys.exit(main())
