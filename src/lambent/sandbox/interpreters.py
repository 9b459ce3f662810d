"""Which interpreter runs which AWS runtime on this machine.

Candidates are found by looking at names in a few folders (cheap, no process is started); the ones that a runtime
needs are then asked who they are, once, off the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lambent.sandbox.protocol import CannotRun

log = logging.getLogger("lambent.sandbox")

PYTHON_RUNTIMES: Final = tuple(f"python3.{minor}" for minor in range(8, 15))
CUSTOM_RUNTIMES: Final = ("provided.al2023", "provided.al2")

_EXECUTABLE = re.compile(r"python3\.(\d+)")
_VERSIONED_FOLDER = re.compile(r"(?:cpython-)?3\.(\d+)(?:\.(\d+))?(?:$|[-+])")
_PROBE = "import sys; print(sys.implementation.name, *sys.version_info[:3], sys.implementation.cache_tag)"
_PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A CPython that answered."""

    path: str
    version: tuple[int, int, int]
    cache_tag: str

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """What `lambent runtimes` prints of one runtime; `path` and `version` are empty where nothing runs it."""

    runtime: str
    status: Literal["exact", "nearest", "native", "missing"]
    path: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlaces:
    """Where to look. `managers` hold one folder per version (pyenv, uv); `bins` hold executables, in order."""

    managers: tuple[Path, ...]
    bins: tuple[Path, ...]

    @classmethod
    def of(cls, variables: Mapping[str, str], home: Path) -> SearchPlaces:
        """The usual places of a machine, from its environment variables and a home folder."""
        pyenv = variables.get("PYENV_ROOT")
        managers = [Path(pyenv) / "versions"] if pyenv else []
        managers += [home / ".pyenv/versions"]
        uv = variables.get("UV_PYTHON_INSTALL_DIR")
        data = variables.get("XDG_DATA_HOME")
        managers += [Path(uv)] if uv else []
        managers += [Path(data) / "uv/python"] if data else []
        managers += [home / ".local/share/uv/python", Path("/opt/python")]
        bins = [Path(entry) for entry in variables.get("PATH", "").split(os.pathsep) if entry]
        bins += [Path("/usr/local/bin"), Path("/usr/bin"), Path("/opt/bin")]
        conda = variables.get("CONDA_PREFIX")
        bins += [Path(conda) / "bin"] if conda else []
        for root in (home, Path("/opt")):
            for name in ("miniconda3", "miniforge3", "anaconda3", "mambaforge"):
                bins += [root / name / "bin", *sorted((root / name / "envs").glob("*/bin"))]
        bins += sorted(Path("/opt").glob("python*/bin"))
        return cls(managers=tuple(dict.fromkeys(managers)), bins=tuple(dict.fromkeys(bins)))


def candidates(places: SearchPlaces) -> dict[int, list[str]]:
    """Paths of what may be a CPython 3.<minor>, by minor, the best first. Reads folders, starts nothing.

    Version managers come before the system's interpreters, which distributions patch. Links are resolved, so that the
    interpreter behind a virtual environment is found and not the environment with its packages.
    """
    found: dict[int, list[str]] = {}
    for minor, path in (*_managed(places.managers), *_in_bins(places.bins)):
        real = os.path.realpath(path)
        paths = found.setdefault(minor, [])
        # A shim (pyenv, asdf) is a script that looks elsewhere; what it would find is found here directly.
        if real not in paths and os.access(real, os.X_OK) and _EXECUTABLE.fullmatch(os.path.basename(real)):
            paths.append(real)
    return {minor: paths for minor, paths in found.items() if paths}


def _managed(folders: tuple[Path, ...]) -> Iterator[tuple[int, Path]]:
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        versions = [
            (int(match[1]), int(match[2] or 0), name) for name in names if (match := _VERSIONED_FOLDER.match(name))
        ]
        for minor, _, name in sorted(versions, reverse=True):
            yield minor, folder / name / "bin" / f"python3.{minor}"


def _in_bins(folders: tuple[Path, ...]) -> Iterator[tuple[int, Path]]:
    for folder in folders:
        if folder.name == "shims":
            continue
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in sorted(names):
            if match := _EXECUTABLE.fullmatch(name):
                yield int(match[1]), folder / name


def by_nearness(wanted: int, available: list[int]) -> list[int]:
    """Minor versions from the nearest to the farthest; of two equally near the newer, which runs more of the syntax."""
    return sorted(available, key=lambda minor: (abs(minor - wanted), -minor))


def probe(path: str) -> Interpreter | None:
    """Ask the interpreter who it is; None when it does not answer as a CPython 3 does. Blocks."""
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.decode(errors="replace").split()
    if done.returncode != 0 or len(words) != 5 or words[0] != "cpython":
        return None
    return Interpreter(path=path, version=(int(words[1]), int(words[2]), int(words[3])), cache_tag=words[4])


class Interpreters:
    """The interpreters of this machine, found when first needed."""

    def __init__(self, *, places: SearchPlaces | None = None, strict: bool = False) -> None:
        self._places = places
        self._strict = strict
        self._candidates: dict[int, list[str]] | None = None
        self._probed: dict[str, Interpreter | None] = {}
        self._resolved: dict[str, Interpreter] = {}
        self._lock = asyncio.Lock()

    async def resolve(self, runtime: str) -> Interpreter:
        """The interpreter for a `python3.N` runtime, the nearest when there is no such one.

        Raises CannotRun when there is none, or none of that very version and `strict` is set.
        """
        if (known := self._resolved.get(runtime)) is not None:
            return known
        minor = python_minor(runtime)
        async with self._lock:
            interpreter = self._resolved.get(runtime) or await asyncio.to_thread(self._find, minor)
        if interpreter is None:
            raise CannotRun(f"{runtime}: no Python interpreter was found on this machine; install Python 3.{minor}")
        exact = interpreter.version[1] == minor
        if not exact and self._strict:
            raise CannotRun(
                f"{runtime}: this machine has no Python 3.{minor} (the nearest is {interpreter.text}), and runtimes "
                f"are strict; install Python 3.{minor}"
            )
        if not exact and runtime not in self._resolved:
            log.warning(
                "%s is not installed: its functions run on Python %s (%s). Install Python 3.%d for the real thing.",
                runtime,
                interpreter.text,
                interpreter.path,
                minor,
            )
        self._resolved[runtime] = interpreter
        return interpreter

    async def table(self) -> list[RuntimeRow]:
        """Each AWS runtime and what runs it here."""
        rows = []
        for runtime in PYTHON_RUNTIMES:
            minor = python_minor(runtime)
            async with self._lock:
                interpreter = await asyncio.to_thread(self._find, minor)
            if interpreter is None:
                rows.append(RuntimeRow(runtime=runtime, status="missing"))
                continue
            status: Literal["exact", "nearest"] = "exact" if interpreter.version[1] == minor else "nearest"
            rows.append(RuntimeRow(runtime=runtime, status=status, path=interpreter.path, version=interpreter.text))
        rows += [RuntimeRow(runtime=runtime, status="native") for runtime in CUSTOM_RUNTIMES]
        return rows

    def _find(self, minor: int) -> Interpreter | None:
        if self._candidates is None:
            self._candidates = candidates(self._places or SearchPlaces.of(os.environ, Path.home()))
        for near in by_nearness(minor, list(self._candidates)):
            for path in self._candidates[near]:
                if path not in self._probed:
                    self._probed[path] = probe(path)
                interpreter = self._probed[path]
                if interpreter is not None and interpreter.version[1] == near:
                    return interpreter
        return None


async def runtimes_table() -> list[RuntimeRow]:
    """What `lambent runtimes` shows: every AWS runtime that can be run and by what."""
    return await Interpreters().table()


def python_minor(runtime: str) -> int:
    """13 for "python3.13". Raises CannotRun for what is no Python runtime of AWS."""
    if runtime not in PYTHON_RUNTIMES:
        raise CannotRun(
            f"{runtime or 'no runtime'}: not supported yet; this release runs python3.8 to python3.14, "
            "provided.al2023 and provided.al2"
        )
    return int(runtime.removeprefix("python3."))
