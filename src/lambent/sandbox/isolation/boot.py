"""Builds the root that sandboxes share, moves into it, and becomes their zygote.

Run alone, by path, as a program: `boot.py FD`. The first packet on the socket says what to build, as a `marshal`led
dict: `runtime_source` (where `lambent_runtime` can be imported from here), `lang` (the tree for /var/lang, or ""),
`runtime` (name below /var/runtime to its place on this machine), `interpreter` (its path inside, or "" for a zygote
that only starts programs), `etc` (name to text) and `environment` of the interpreter.

The root is a small read-only tmpfs into which trees of this machine are bound read-only, without setuid and devices.
Each sandbox gets a copy of these mounts, and on top of it its own /proc, /tmp, /dev/shm, /var/task and /opt.
"""

from __future__ import annotations

import _socket
import marshal
import os
import stat
import sys
from typing import Any

_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin")
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "mime.types",
    "os-release",
    "pki",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
# The dynamic loader remembers which folders of LD_LIBRARY_PATH exist: these may come with a function.
_FOLDERS = ("proc", "sys", "tmp", "run", "mnt", "etc/ssl", "var/tmp", "var/lang", "var/task/lib", "opt/lib", "home")
_NEW_ROOT = "/tmp"  # any folder does: it is hidden only from this process
MAX_MESSAGE_BYTES = 1 << 17


def build(linux: Any, plan: dict[str, Any]) -> None:
    """Build the root in a mount namespace of our own and move into it. Raises OSError."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    # Taken before anything is mounted: what is to be bound may lie below the folder that the new root is built in.
    trees: dict[str, int] = {}
    links: dict[str, str] = {}
    binds = {name: name for name in _SYSTEM} | {f"/etc/{name}": f"/etc/{name}" for name in _ETC}
    binds |= {f"/var/runtime/{name}": path for name, path in plan["runtime"].items()}
    if plan["lang"]:
        binds["/var/lang"] = plan["lang"]
    folders = set()
    for target, source in binds.items():
        if target in _SYSTEM and os.path.islink(source):
            links[target] = os.readlink(source)
        elif os.path.exists(source):
            trees[target] = linux.open_tree(os.path.realpath(source))
            linux.make_read_only(trees[target])
            if os.path.isdir(source):
                folders.add(target)
    linux.mount("tmpfs", _NEW_ROOT, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755,size=1m")
    os.umask(0o022)
    for name in _FOLDERS:
        os.makedirs(f"{_NEW_ROOT}/{name}", exist_ok=True)
    os.makedirs(f"{_NEW_ROOT}/var/runtime/lib")
    for name, text in plan["etc"].items():
        with open(f"{_NEW_ROOT}/etc/{name}", "w") as file:
            file.write(text)
    os.symlink("/usr/share/zoneinfo/UTC", f"{_NEW_ROOT}/etc/localtime")
    for target, leads_to in links.items():
        os.symlink(leads_to, _NEW_ROOT + target)
    for target, tree in trees.items():
        place = _NEW_ROOT + target
        if target in folders:
            os.makedirs(place, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        linux.move_mount(tree, place)
        os.close(tree)
    _devices(linux)
    os.chdir(_NEW_ROOT)
    linux.pivot_root(".", ".")
    linux.umount(".", linux.MNT_DETACH)
    os.chdir("/")
    read_only = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID
    linux.mount("none", "/dev", None, read_only | linux.MS_NOEXEC)
    linux.mount("none", "/", None, read_only | linux.MS_NODEV)


def _devices(linux: Any) -> None:
    dev = f"{_NEW_ROOT}/dev"
    os.mkdir(dev)
    linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=0755,size=64k")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"{dev}/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    os.mkdir(f"{dev}/shm")
    for name, leads_to in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(leads_to, f"{dev}/{name}")


def main() -> None:
    fd = int(sys.argv[1])
    sock = _socket.socket(fileno=fd)
    plan = marshal.loads(sock.recv(MAX_MESSAGE_BYTES))
    sys.path.insert(0, plan["runtime_source"])
    sys.dont_write_bytecode = True
    from lambent_runtime import linux, sandbox_init, zygote  # type: ignore[import-not-found]

    try:
        build(linux, plan)
    except OSError as error:
        sock.send(f"failed {error.errno} {error}".encode())
        raise
    sock.detach()
    if plan["interpreter"]:
        os.set_inheritable(fd, True)
        argv = [plan["interpreter"], "-s", "-B", "/var/runtime/zygote.pyc", str(fd)]
        os.execve(argv[0], argv, plan["environment"])
    try:
        zygote.serve(fd, None)
    except sandbox_init.BecomeRuntime:
        raise AssertionError("a zygote without an interpreter only starts programs") from None


if __name__ == "__main__":
    main()
