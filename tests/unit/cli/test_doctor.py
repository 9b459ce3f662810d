from __future__ import annotations

from pathlib import Path

from lambent.cli import probes
from lambent.cli.doctor import render
from lambent.cli.probes import Controller, Finding
from tests.unit.cli.conftest import Lambent

V2_MOUNT = "30 1 0:26 / {path} rw - cgroup2 cgroup2 rw\n"
V1_MOUNT = "31 1 0:27 / {path} rw - cgroup cgroup rw,{controller}\n"


def test_the_report_puts_fixes_beneath() -> None:
    findings = [
        Finding(what="a", state="ok", detail="fine"),
        Finding(what="bbb", state="missing", detail="gone", fix="get it"),
    ]
    assert render(findings) == "ok       a    fine\nMISSING  bbb  gone\n              -> get it\n"


def test_doctor_runs_here(lambent_cli: Lambent, tmp_path: Path) -> None:
    ran = lambent_cli("doctor", "--data", str(tmp_path / "not-yet"))
    assert ran.code == 0
    assert not (tmp_path / "not-yet").exists()
    for what in ("data folder", "Python runtimes", "namespaces", "cgroups", "C compiler", "GPUs"):
        assert what in ran.out


def test_a_data_folder_that_cannot_be_written() -> None:
    finding = probes.data_folder(Path("/proc/lambent"))
    assert finding.state == "missing"
    assert "--data" in finding.fix


def test_a_controller_of_version_2_is_preferred(tmp_path: Path) -> None:
    unified, legacy = tmp_path / "unified", tmp_path / "memory"
    (unified / "me").mkdir(parents=True)
    legacy.mkdir()
    (unified / "me" / "cgroup.controllers").write_text("memory pids cpu\n")
    mounts, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(V1_MOUNT.format(path=legacy, controller="memory") + V2_MOUNT.format(path=unified))
    own.write_text("4:memory:/\n0::/me\n")
    found = probes.find_controllers(mounts, own)
    assert {name: controller.version for name, controller in found.items()} == {
        "memory": 2, "pids": 2, "cpu": 2, "freezer": 2,
    }  # fmt: skip
    assert probes.cgroups(found).state == "ok"


def test_a_version_2_without_controllers_leaves_those_of_version_1(tmp_path: Path) -> None:
    # On such machines version 2 is mounted, and would silently limit nothing.
    unified, legacy = tmp_path / "unified", tmp_path / "memory"
    unified.mkdir()
    legacy.mkdir()
    (unified / "cgroup.controllers").write_text("\n")
    mounts, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(V2_MOUNT.format(path=unified) + V1_MOUNT.format(path=legacy, controller="memory"))
    own.write_text("4:memory:/outside/of/the/mount\n0::/\n")
    found = probes.find_controllers(mounts, own)
    assert found == {"memory": Controller(version=1, writable=True)}
    finding = probes.cgroups(found)
    assert finding.state == "limited"
    assert "pids" in finding.fix


def test_no_cgroups_at_all(tmp_path: Path) -> None:
    assert probes.find_controllers(tmp_path / "none", tmp_path / "none") == {}


def test_namespaces_say_how_they_are_made() -> None:
    assert "as root" in probes.namespaces({"mount": "root", "pid": "root"}).detail
    assert "user namespaces" in probes.namespaces({"mount": "user", "pid": "user"}).detail
    finding = probes.namespaces({"mount": "root", "net": ""})
    assert (finding.state, finding.detail) == ("limited", "not allowed: net")


def test_interpreters_that_are_lacking_are_named() -> None:
    every = {version: f"/usr/bin/python{version}" for version in probes.PYTHONS}
    assert probes.pythons(every).state == "ok"
    finding = probes.pythons({"3.11": "/usr/bin/python3.11"})
    assert finding.state == "limited"
    assert "uv python install 3.9 3.10 3.12 3.13 3.14" in finding.fix
    assert probes.pythons({}).state == "missing"


def test_other_systems_are_limited() -> None:
    assert probes.system("linux", "6.1").state == "ok"
    assert probes.system("darwin", "25").state == "limited"


def test_the_sandbox() -> None:
    lacking = probes.sandbox("sandboxes need root in this release", "run the server as root", {})
    assert lacking.state == "limited"
    assert "--isolation process" in lacking.fix
    assert probes.sandbox("", "", {"memory": 1, "cpu": 2, "pids": 2}).state == "ok"
    partly = probes.sandbox("", "", {"cpu": 2})
    assert (partly.state, "memory, pids" in partly.detail) == ("limited", True)
