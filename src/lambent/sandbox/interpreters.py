"""Which interpreter runs which AWS runtime on this machine.

Candidates are found by looking at names in a few folders (cheap, no process is started); the ones that a runtime
needs are then asked who they are, once, off the event loop. What is particular to a language is its `Family`.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from lambent.sandbox.protocol import CannotRun

log = logging.getLogger("lambent.sandbox")

CUSTOM_RUNTIMES: Final = ("provided.al2023", "provided.al2")
DOTNET_RUNTIMES: Final = ("dotnet8", "dotnet10")
# Those whose package brings a program of its own.
NATIVE_RUNTIMES: Final = (*DOTNET_RUNTIMES, *CUSTOM_RUNTIMES)

_PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter that answered. `tag` names the form of code compiled for it."""

    path: str
    version: tuple[int, int, int]
    tag: str

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may be an interpreter. `release` is what its place says about its version; None where that says nothing."""

    path: str
    release: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """What `lambent runtimes` prints of one runtime; `path` and `version` are empty where nothing runs it."""

    runtime: str
    status: Literal["exact", "nearest", "native", "missing"]
    path: str = ""
    version: str = ""


class Family(Protocol):
    """A language whose runtimes differ by a number: its *release* (13 of python3.13, 24 of nodejs24.x)."""

    @property
    def runtimes(self) -> Sequence[str]:
        """AWS's identifiers, the oldest first."""

    @property
    def label(self) -> str:
        """The language's name."""

    def wanted(self, runtime: str) -> int:
        """The release that a runtime stands for. Raises CannotRun for none of `runtimes`."""

    def release_text(self, release: int) -> str:
        """ "Python 3.13"."""

    def release(self, interpreter: Interpreter) -> int: ...

    def candidates(self) -> Sequence[Candidate]:
        """What may be an interpreter, the best first. Starts nothing."""

    def probe(self, path: str) -> Interpreter | None:
        """Ask it who it is; None when it is no such interpreter. Blocks."""


def ask(argv: Sequence[str]) -> list[str]:
    """The words that a program prints; none when it fails. Blocks."""
    try:
        done = subprocess.run(
            argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode(errors="replace").split() if done.returncode == 0 else []


def by_nearness(wanted: int, available: Sequence[int]) -> list[int]:
    """Releases from the nearest to the farthest; of two equally near the newer, which runs more of the syntax."""
    return sorted(available, key=lambda release: (abs(release - wanted), -release))


class _Search:
    """The interpreters of one family, looked for as they are needed. Blocks."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._candidates: Sequence[Candidate] | None = None
        self._probed: dict[str, Interpreter | None] = {}

    def find(self, wanted: int) -> Interpreter | None:
        """The best interpreter of the nearest release."""
        if self._candidates is None:
            self._candidates = self._family.candidates()
        found = self._first(wanted, [one for one in self._candidates if one.release == wanted])
        if found is not None:
            return found
        # Only now those are started of which nothing is known.
        by_release: dict[int, list[Candidate]] = {}
        for candidate in self._candidates:
            release = candidate.release
            if release is None and (interpreter := self._probe(candidate)) is not None:
                release = self._family.release(interpreter)
            if release is not None:
                by_release.setdefault(release, []).append(candidate)
        for release in by_nearness(wanted, list(by_release)):
            found = self._first(release, by_release[release])
            if found is not None:
                return found
        return None

    def _first(self, release: int, candidates: Sequence[Candidate]) -> Interpreter | None:
        for candidate in candidates:
            interpreter = self._probe(candidate)
            if interpreter is not None and self._family.release(interpreter) == release:
                return interpreter
        return None

    def _probe(self, candidate: Candidate) -> Interpreter | None:
        if candidate.path not in self._probed:
            self._probed[candidate.path] = self._family.probe(candidate.path)
        return self._probed[candidate.path]


class Interpreters:
    """The interpreters of this machine, found when first needed."""

    def __init__(self, families: Sequence[Family], *, strict: bool = False) -> None:
        self._families = {runtime: family for family in families for runtime in family.runtimes}
        self._searches = {family: _Search(family) for family in families}
        self._strict = strict
        self._resolved: dict[str, Interpreter] = {}
        self._lock = asyncio.Lock()

    async def resolve(self, runtime: str) -> Interpreter:
        """The interpreter for a runtime, the nearest when there is none of that release.

        Raises CannotRun when there is none, or none of that very release and `strict` is set.
        """
        if (known := self._resolved.get(runtime)) is not None:
            return known
        family = self._families.get(runtime)
        if family is None:
            raise CannotRun(f"{runtime or 'no runtime'}: not supported; this release runs {self._supported()}")
        wanted = family.wanted(runtime)
        release = family.release_text(wanted)
        interpreter = await self._find(family, wanted)
        if interpreter is None:
            raise CannotRun(f"{runtime}: no {family.label} interpreter was found on this machine; install {release}")
        exact = family.release(interpreter) == wanted
        if not exact and self._strict:
            raise CannotRun(
                f"{runtime}: this machine has no {release} (the nearest is {interpreter.text}), and runtimes "
                f"are strict; install {release}"
            )
        if not exact and runtime not in self._resolved:
            log.warning(
                "%s is not installed: its functions run on %s %s (%s). Install %s for the real thing.",
                runtime,
                family.label,
                interpreter.text,
                interpreter.path,
                release,
            )
        self._resolved[runtime] = interpreter
        return interpreter

    async def table(self) -> list[RuntimeRow]:
        """Each AWS runtime and what runs it here."""
        rows = []
        for runtime, family in self._families.items():
            wanted = family.wanted(runtime)
            interpreter = await self._find(family, wanted)
            if interpreter is None:
                rows.append(RuntimeRow(runtime=runtime, status="missing"))
                continue
            status: Literal["exact", "nearest"] = "exact" if family.release(interpreter) == wanted else "nearest"
            rows.append(RuntimeRow(runtime=runtime, status=status, path=interpreter.path, version=interpreter.text))
        rows += [RuntimeRow(runtime=runtime, status="native") for runtime in NATIVE_RUNTIMES]
        return rows

    async def _find(self, family: Family, wanted: int) -> Interpreter | None:
        async with self._lock:
            return await asyncio.to_thread(self._searches[family].find, wanted)

    def _supported(self) -> str:
        return ", ".join((*self._families, *NATIVE_RUNTIMES))
