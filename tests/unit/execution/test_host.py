from __future__ import annotations

from pathlib import Path

import psutil

from lambent.core.limits import MIB
from lambent.execution.host import HostReader

MEMINFO = "MemTotal:       8388608 kB\nMemFree:         100 kB\nMemAvailable:   4194304 kB\n"


def machine(root: Path, files: dict[str, str]) -> HostReader:
    defaults = {
        "proc/meminfo": MEMINFO,
        "proc/loadavg": "0.20 0.18 0.12 1/80 11206\n",
        "proc/vmstat": "pswpin 1\npswpout 3\n",
        "proc/sys/kernel/pid_max": "32768\n",
        "proc/sys/kernel/threads-max": "90000\n",
        "proc/self/cgroup": "",
        "proc/self/mountinfo": "",
    }
    for name, text in {**defaults, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return HostReader(root=root)


def test_a_machine_without_control_groups(tmp_path: Path) -> None:
    reading = machine(tmp_path, {}).read()
    assert (reading.total_bytes, reading.available_bytes) == (8192 * MIB, 4096 * MIB)
    assert (reading.processes, reading.processes_limit) == (80, 32768)
    assert reading.swapped_out_bytes == 3 * 4096
    assert reading.memory_of == "this machine"


def test_the_tightest_ancestor_binds_v2(tmp_path: Path) -> None:
    mount = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    group = "sys/fs/cgroup/user.slice"
    reading = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/lambent.service\n",
            "proc/self/mountinfo": mount,
            f"{group}/memory.max": f"{1024 * MIB}\n",
            f"{group}/memory.current": f"{900 * MIB}\n",
            f"{group}/memory.stat": f"anon 1\ninactive_file {400 * MIB}\n",
            f"{group}/lambent.service/memory.max": "max\n",
            f"{group}/lambent.service/memory.current": "1\n",
            f"{group}/pids.max": "500\n",
            f"{group}/pids.current": "120\n",
        },
    ).read()
    assert (reading.total_bytes, reading.available_bytes) == (1024 * MIB, 524 * MIB)
    assert reading.memory_of == "control group user.slice"
    assert (reading.processes, reading.processes_limit) == (120, 500)
    assert reading.processes_of == "control group user.slice"


def test_v1_hierarchies_as_seen_inside_a_container(tmp_path: Path) -> None:
    mounts = (
        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "39 31 0:36 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    )
    group = "sys/fs/cgroup/memory"
    reader = machine(
        tmp_path,
        {
            "proc/self/cgroup": "8:pids:/docker/abc\n4:memory:/docker/abc\n0::/\n",
            "proc/self/mountinfo": mounts,
            f"{group}/memory.limit_in_bytes": f"{256 * MIB}\n",
            f"{group}/memory.usage_in_bytes": f"{300 * MIB}\n",
            f"{group}/memory.stat": "total_inactive_file 0\n",
            "sys/fs/cgroup/pids/pids.max": "max\n",
            "sys/fs/cgroup/pids/pids.current": "5\n",
        },
    )
    reading = reader.read()
    assert (reading.total_bytes, reading.available_bytes) == (256 * MIB, 0)
    assert reading.processes_limit == 32768
    (tmp_path / group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert reader.read().memory_of == "this machine"


def test_a_looser_group_does_not_hide_the_machine(tmp_path: Path) -> None:
    reading = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a\n",
            "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/a/memory.max": f"{8000 * MIB}\n",
            "sys/fs/cgroup/a/memory.current": f"{100 * MIB}\n",
        },
    ).read()
    assert (reading.available_bytes, reading.memory_of) == (4096 * MIB, "this machine")


def test_this_machine() -> None:
    reading = HostReader().read()
    assert 0 < reading.available_bytes <= reading.total_bytes <= psutil.virtual_memory().total
    assert reading.processes > 1
