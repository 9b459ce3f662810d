"""The program of one external extension: what is started, with which variables, and what it prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lambent.sandbox.launcher import Cell, Command, Exit
from lambent.sandbox.output_pipe import OutputPipe

# What extensions do not get to see, beside all that begins with an underscore or LAMBDA_.
_HIDDEN: Final = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "PWD",
        "SHLVL",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An executable file of /opt/extensions: its name and its path, which inside a sandbox is another than here."""

    name: str
    path: str


def find_programs(opt: Path | None, *, inside: bool) -> tuple[Program, ...]:
    """The files in the `extensions` folder of the merged layers, in the order of their names. Blocks, briefly."""
    if opt is None:
        return ()
    folder = opt / "extensions"
    try:
        names = sorted(name for name in os.listdir(folder) if (folder / name).is_file())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    shown = "/opt/extensions" if inside else str(folder.absolute())
    return tuple(Program(name=name, path=f"{shown}/{name}") for name in names)


def variables(runtime: Mapping[str, str], address: str) -> dict[str, str]:
    """What an extension gets of its runtime's variables; `address` is that of the APIs."""
    kept = {
        name: value for name, value in runtime.items() if not name.startswith(("_", "LAMBDA_")) and name not in _HIDDEN
    }
    return kept | {"AWS_LAMBDA_RUNTIME_API": address}


class ExtensionProcess:
    """A started extension. `on_exit` is called once, after everything that it printed has gone to `on_printed`."""

    def __init__(
        self,
        cell: Cell,
        program: Program,
        environment: Mapping[str, str],
        memory_limit_bytes: int,
        *,
        on_printed: Callable[[bytes], None],
        on_exit: Callable[[Exit], None],
    ) -> None:
        self.name = program.name
        self._on_exit = on_exit
        self._output = OutputPipe(on_printed)
        try:
            cell.start(
                Command(
                    argv=(program.path,),
                    environment=environment,
                    folder="/",
                    memory_limit_bytes=memory_limit_bytes,
                    output=self._output.write_end,
                    name=cell_name(program.name),
                ),
                self._exited,
            )
            self._output.close_write_end()
        except BaseException:
            self._output.close()
            raise

    def drain(self) -> None:
        """Take in what it has printed until now."""
        self._output.drain()

    def _exited(self, how: Exit) -> None:
        self._output.drain()
        self._output.close()
        self._on_exit(how)

    def close(self) -> None:
        """Idempotent."""
        self._output.close()


def cell_name(name: str) -> str:
    """What an extension is called in its cell."""
    return f"extensions/{name}"
