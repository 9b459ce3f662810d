from __future__ import annotations

import os
from pathlib import Path

import pytest

from lambent.sandbox.interpreters import Candidate, Interpreters
from lambent.sandbox.node_interpreters import (
    NodeFamily,
    NodePlaces,
    bundled_node,
    candidates,
    node_major,
    probe,
)
from lambent.sandbox.plans import machine_interpreters
from lambent.sandbox.protocol import CannotRun
from tests.unit.sandbox.support import Bench, ask
from tests.unit.sandbox.test_interpreters import executable


def answering(path: Path, version: str) -> str:
    """A program that says it is that Node.js."""
    return executable(path, f"#!/bin/sh\necho node {version} 137\n")


def places_below(folder: Path, path: str, bundled: tuple[Path, int] | None = None) -> NodePlaces:
    """The usual places, without those that are this machine's own."""
    usual = NodePlaces.of({"PATH": path}, folder / "home")
    return NodePlaces(
        bundled=bundled,
        managers=tuple(place for place in usual.managers if place[0].is_relative_to(folder)),
        bins=tuple(place for place in usual.bins if place.is_relative_to(folder)),
    )


def test_candidates_of_all_places_in_order(tmp_path: Path) -> None:
    home = tmp_path / "home"
    bundled = executable(tmp_path / "wheel/bin/node")
    nvm_old = executable(home / ".nvm/versions/node/v22.1.0/bin/node")
    nvm_new = executable(home / ".nvm/versions/node/v22.10.0/bin/node")
    fnm = executable(home / ".local/share/fnm/node-versions/v20.3.1/installation/bin/node")
    volta = executable(home / ".volta/tools/image/node/24.1.0/bin/node")
    asdf = executable(home / ".asdf/installs/nodejs/18.0.0/bin/node")
    system = executable(tmp_path / "bin/node")
    numbered = executable(tmp_path / "bin/node-22")
    executable(home / ".volta/bin/volta-shim")
    (home / ".volta/bin/node").symlink_to("volta-shim")
    executable(tmp_path / "shims/node")
    executable(tmp_path / "bin/node-gyp")
    (tmp_path / "bin/nodejs").symlink_to("node")
    (tmp_path / "bin/unreadable").mkdir()
    path = os.pathsep.join(map(str, (home / ".volta/bin", tmp_path / "shims", tmp_path / "bin", tmp_path / "no")))
    places = places_below(tmp_path, path, bundled=(Path(bundled), 24))
    assert candidates(places) == [
        Candidate(path=bundled, release=24),
        Candidate(path=nvm_new, release=22),
        Candidate(path=nvm_old, release=22),
        Candidate(path=fnm, release=20),
        Candidate(path=volta, release=24),
        Candidate(path=asdf, release=18),
        Candidate(path=system, release=None),
        Candidate(path=numbered, release=22),
    ]


def test_places_from_variables(tmp_path: Path) -> None:
    variables = {"NVM_DIR": "/a", "FNM_DIR": "/b", "VOLTA_HOME": "/c", "PATH": "/d:/usr/bin"}
    places = NodePlaces.of(variables, tmp_path)
    folders = [folder for folder, _ in places.managers]
    assert folders[:3] == [Path("/a/versions/node"), Path("/b/node-versions"), Path("/c/tools/image/node")]
    assert Path("/opt") in folders
    assert places.bins[:2] == (Path("/d"), Path("/usr/bin"))
    assert Path("/usr/local/bin") in places.bins


def test_probe(tmp_path: Path) -> None:
    bundled = bundled_node()
    assert bundled is not None
    found = probe(str(bundled[0]))
    assert found is not None
    assert found.version[0] == bundled[1] >= 24
    assert found.tag.isdigit()
    assert probe(executable(tmp_path / "fails")) is None
    assert probe(executable(tmp_path / "bun", "#!/bin/sh\necho bun 1.2.3 137\n")) is None
    assert probe(executable(tmp_path / "talks", "#!/bin/sh\necho node v24 137\n")) is None


@pytest.mark.parametrize("runtime", ["nodejs18.x", "nodejs26.x", "nodejs24", "python3.13", ""])
def test_what_is_no_node_runtime(runtime: str) -> None:
    with pytest.raises(CannotRun, match=r"no Node\.js runtime"):
        node_major(runtime)


async def test_resolving(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    managed = answering(tmp_path / "home/.nvm/versions/node/v24.2.0/bin/node", "24.2.0")
    system = answering(tmp_path / "bin/node", "20.3.0")
    executable(tmp_path / "home/.nvm/versions/node/v22.1.0/bin/node")  # does not answer
    places = places_below(tmp_path, str(tmp_path / "bin"))
    interpreters = Interpreters([NodeFamily(places)])
    assert (await interpreters.resolve("nodejs24.x")).path == managed
    assert (await interpreters.resolve("nodejs20.x")).path == system
    assert caplog.records == []
    for _ in range(2):
        assert (await interpreters.resolve("nodejs22.x")).path == managed
    (record,) = caplog.records
    assert "nodejs22.x is not installed: its functions run on Node.js 24.2.0" in record.getMessage()
    table = {row.runtime: (row.status, row.version) for row in await interpreters.table()}
    assert table["nodejs20.x"] == ("exact", "20.3.0")
    assert table["nodejs22.x"] == ("nearest", "24.2.0")
    with pytest.raises(CannotRun, match=r"nodejs22\.x: this machine has no Node\.js 22 \(the nearest is 24\.2\.0\)"):
        await Interpreters([NodeFamily(places)], strict=True).resolve("nodejs22.x")
    nowhere = NodeFamily(places_below(tmp_path, str(tmp_path / "nothing"), bundled=(tmp_path / "gone", 24)))
    (tmp_path / "home/.nvm/versions").rename(tmp_path / "elsewhere")
    with pytest.raises(CannotRun, match=r"nodejs24\.x: no Node\.js interpreter was found"):
        await Interpreters([nowhere]).resolve("nodejs24.x")


async def test_bundled_node_is_exact_and_others_are_told(bench: Bench) -> None:
    rows = {row.runtime: row for row in await machine_interpreters().table()}
    assert rows["nodejs24.x"].status == "exact"
    source = {"h.js": "exports.handler = async () => [process.version, process.env.AWS_EXECUTION_ENV];"}
    for runtime in ("nodejs20.x", "nodejs22.x", "nodejs24.x"):
        environment = await bench.start(dict(source), runtime=runtime)
        assert await ask(environment) == (None, [f"v{rows[runtime].version}", f"AWS_Lambda_{runtime}"])
        warning = f"[WARN] lambent: {runtime} is not installed on this machine; this function runs on Node.js"
        assert (warning in bench.logs.text) == (rows[runtime].status == "nearest")


async def test_strict_runtimes(tmp_path: Path) -> None:
    families = [NodeFamily(places_below(tmp_path, "", bundled=bundled_node()))]
    bench = Bench(tmp_path, interpreters=Interpreters(families, strict=True))
    with pytest.raises(CannotRun, match="runtimes are strict"):
        await bench.start({"h.js": ""}, runtime="nodejs20.x")
    environment = await bench.start({"h.js": "exports.handler = async () => 1;"}, runtime="nodejs24.x")
    assert await ask(environment) == (None, 1)
    await bench.sandbox.close()
