"""Where CPythons are on a machine, and who they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lambent.sandbox.interpreters import Candidate, Interpreter, ask
from lambent.sandbox.protocol import CannotRun

PYTHON_RUNTIMES: Final = tuple(f"python3.{minor}" for minor in range(8, 15))

_EXECUTABLE = re.compile(r"python3\.(\d+)")
_VERSIONED_FOLDER = re.compile(r"(?:cpython-)?3\.(\d+)(?:\.(\d+))?(?:$|[-+])")
_PROBE = "import sys; print(sys.implementation.name, *sys.version_info[:3], sys.implementation.cache_tag)"


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


def probe(path: str) -> Interpreter | None:
    """Ask the interpreter who it is; None when it does not answer as a CPython 3 does. Blocks."""
    words = ask([path, "-I", "-S", "-c", _PROBE])
    if len(words) != 5 or words[0] != "cpython":
        return None
    return Interpreter(path=path, version=(int(words[1]), int(words[2]), int(words[3])), tag=words[4])


class PythonFamily:
    """The `python3.N` runtimes; a release is the minor version. Implements `interpreters.Family`."""

    runtimes = PYTHON_RUNTIMES
    label = "Python"

    def __init__(self, places: SearchPlaces | None = None) -> None:
        self._places = places

    def wanted(self, runtime: str) -> int:
        return python_minor(runtime)

    def release_text(self, release: int) -> str:
        return f"Python 3.{release}"

    def release(self, interpreter: Interpreter) -> int:
        return interpreter.version[1]

    def candidates(self) -> list[Candidate]:
        found = candidates(self._places or SearchPlaces.of(os.environ, Path.home()))
        return [Candidate(path=path, release=minor) for minor, paths in found.items() for path in paths]

    def probe(self, path: str) -> Interpreter | None:
        return probe(path)


def python_minor(runtime: str) -> int:
    """13 for "python3.13". Raises CannotRun for what is no Python runtime of AWS."""
    if runtime not in PYTHON_RUNTIMES:
        raise CannotRun(f"{runtime or 'no runtime'} is no Python runtime")
    return int(runtime.removeprefix("python3."))
