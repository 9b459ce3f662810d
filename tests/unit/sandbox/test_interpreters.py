from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lambent.sandbox.interpreters import Interpreters, by_nearness
from lambent.sandbox.plans import machine_interpreters
from lambent.sandbox.protocol import CannotRun
from lambent.sandbox.python_interpreters import PythonFamily, SearchPlaces, candidates, probe, python_minor


def executable(path: Path, text: str = "#!/bin/sh\nexit 1\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def answering(path: Path, version: str) -> str:
    """A program that says it is that CPython."""
    minor = version.split(".")[1]
    return executable(path, f"#!/bin/sh\necho cpython {version.replace('.', ' ')} cpython-3{minor}\n")


def test_candidates_of_all_places_in_order(tmp_path: Path) -> None:
    home = tmp_path / "home"
    pyenv_old = executable(home / ".pyenv/versions/3.12.1/bin/python3.12")
    pyenv_new = executable(home / ".pyenv/versions/3.12.10/bin/python3.12")
    uv = executable(home / ".local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu/bin/python3.13")
    system = executable(tmp_path / "bin/python3.12")
    conda = executable(home / "miniconda3/envs/x/bin/python3.9")
    executable(home / ".pyenv/shims/python3.8")
    executable(tmp_path / "bin/python3.12-config")
    executable(tmp_path / "bin/python3")
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python3.12").symlink_to(system)
    path = os.pathsep.join(map(str, (tmp_path / "venv/bin", home / ".pyenv/shims", tmp_path / "bin", tmp_path / "no")))
    places = SearchPlaces.of({"PATH": path}, home)
    places = SearchPlaces(
        managers=tuple(place for place in places.managers if place.is_relative_to(tmp_path)),
        bins=tuple(place for place in places.bins if place.is_relative_to(tmp_path)),
    )
    # Of a virtual environment only the interpreter behind it counts, and of shims nothing.
    assert candidates(places) == {12: [pyenv_new, pyenv_old, system], 13: [uv], 9: [conda]}


def test_places_from_variables(tmp_path: Path) -> None:
    variables = {"PYENV_ROOT": "/a", "UV_PYTHON_INSTALL_DIR": "/b", "XDG_DATA_HOME": "/c", "CONDA_PREFIX": "/d"}
    places = SearchPlaces.of(variables, tmp_path)
    assert places.managers[:3] == (Path("/a/versions"), tmp_path / ".pyenv/versions", Path("/b"))
    assert Path("/c/uv/python") in places.managers
    assert {Path("/usr/bin"), Path("/usr/local/bin"), Path("/d/bin")} <= set(places.bins)


def test_nearness() -> None:
    assert by_nearness(12, [8, 11, 13, 14]) == [13, 11, 14, 8]
    assert by_nearness(14, [13, 9]) == [13, 9]
    assert by_nearness(9, [9, 10]) == [9, 10]


def test_probe(tmp_path: Path) -> None:
    found = probe(os.path.realpath(sys.executable))
    assert found is not None
    assert found.version == sys.version_info[:3]
    assert found.tag == sys.implementation.cache_tag
    assert probe(executable(tmp_path / "fails")) is None
    assert probe(executable(tmp_path / "talks", "#!/bin/sh\necho cpython 3 x\n")) is None
    assert probe(executable(tmp_path / "pypy", "#!/bin/sh\necho pypy 3 10 1 pypy310\n")) is None
    assert probe(str(tmp_path / "absent")) is None


@pytest.mark.parametrize("runtime", ["python3.7", "python3.15", "nodejs22.x", "python", ""])
def test_what_is_no_python_runtime(runtime: str) -> None:
    with pytest.raises(CannotRun, match=runtime or "no runtime"):
        python_minor(runtime)


async def test_resolving(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = executable(tmp_path / "one/python3.12")
    good = answering(tmp_path / "two/python3.12", "3.12.4")
    lying = answering(tmp_path / "two/python3.9", "3.12.4")
    places = SearchPlaces(managers=(), bins=(tmp_path / "one", tmp_path / "two"))
    interpreters = Interpreters([PythonFamily(places)])
    assert broken
    assert lying
    assert (await interpreters.resolve("python3.12")).path == good
    assert caplog.records == []
    for _ in range(2):
        assert (await interpreters.resolve("python3.14")).text == "3.12.4"
    assert len(caplog.records) == 1  # loud, but once
    with pytest.raises(CannotRun, match=r"python3\.14: this machine has no Python 3\.14 \(the nearest is 3\.12\.4\)"):
        await Interpreters([PythonFamily(places)], strict=True).resolve("python3.14")
    table = {row.runtime: (row.status, row.version) for row in await interpreters.table()}
    assert table["python3.12"] == ("exact", "3.12.4")
    assert table["python3.9"] == ("nearest", "3.12.4")
    assert table["provided.al2023"] == ("native", "")


async def test_machine_without_interpreters(tmp_path: Path) -> None:
    interpreters = Interpreters([PythonFamily(SearchPlaces(managers=(tmp_path,), bins=(tmp_path / "x",)))])
    with pytest.raises(CannotRun, match="no Python interpreter was found"):
        await interpreters.resolve("python3.13")
    assert {row.status for row in await interpreters.table()} == {"missing", "native"}


async def test_table_of_this_machine() -> None:
    rows = {row.runtime: row for row in await machine_interpreters().table()}
    assert len(rows) == 14
    assert rows[f"python3.{sys.version_info[1]}"].status == "exact"
