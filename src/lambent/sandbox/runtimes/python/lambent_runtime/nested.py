"""Builds a sandbox that forks of a version's initialised process can enter (SnapStart, see `snapshot`).

That process, Z, has no privilege. The kernel gives it all of them towards a user namespace that its user owns below its
own, so the namespaces of the new sandbox are owned by such a one, and its process namespace lies below Z's, since only
those below one's own can be entered. Three processes, of which the last remains:

- the builder, a fork of the zygote: root of the machine, in a copy of the zygote's mounts and, for /proc, in Z's process
  namespace. It enters the cgroups, and makes the network, which needs rights in the machine's user namespace (BPF).
- the middle one takes Z's user in Z's user namespace, clones process 1 of the sandbox and writes its user's map, which
  only somebody of the parent user namespace may.
- process 1 has no rights but over the sandbox, gives them up like any other, and its father's end makes it an orphan.
"""

import _socket
import os
import signal

from lambent_runtime import linux, sandbox_init, sandbox_network

_NAMESPACES = (
    linux.CLONE_NEWUSER
    | linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWNET
)
_PROC_FLAGS = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC


def fork(control, fds, settings):
    """Fork a builder. `fds`: `cgroup.procs` files to enter, then the process and user namespaces of Z. Raises OSError."""
    *groups, processes, user = fds
    own = linux.pidfd_open(os.getpid())
    try:
        linux.setns(processes, linux.CLONE_NEWPID)
        try:
            pid = linux.clone(linux.CLONE_NEWNS)
            if pid == 0:
                _build(control, groups, user, settings)
        finally:
            linux.setns(own, linux.CLONE_NEWPID)
    finally:
        os.close(own)


def _build(control, groups, user, settings):
    try:
        signal.set_wakeup_fd(-1)
        for fd in groups:
            os.write(fd, b"0")
            os.close(fd)
        # A process namespace's own /proc may be mounted in the sandbox only beside one that hides nothing.
        linux.mount("proc", "/proc", "proc", _PROC_FLAGS)
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        read_end, write_end = os.pipe()
        middle = linux.clone(0)
        if middle == 0:
            _clone_init(control, user, theirs, write_end, settings)
        os.close(write_end)
        said = os.read(read_end, 16)
        os.waitpid(middle, 0)
        if not said:
            os._exit(1)  # it has said why
        pidfd = linux.pidfd_open(int(said))
        sandbox_init.send(control, "born", [pidfd])
        linux.setns(pidfd, linux.CLONE_NEWNET)
        kept = []
        listeners = sandbox_network.build(settings["listen"], settings["egress"], kept)
        sandbox_init.send(ours, "built %d" % len(kept), kept + listeners)
        os._exit(0)
    except BaseException as error:
        _fail(control, error)


def _clone_init(control, user, theirs, write_end, settings):
    try:
        inside = settings["inside_uid"]
        linux.setns(user, linux.CLONE_NEWUSER)
        os.setgroups([])
        os.setresgid(inside, inside, inside)
        os.setresuid(inside, inside, inside)
        linux.set_dumpable(True)  # or its child's maps could not be written
        pid = linux.clone(_NAMESPACES)
        if pid == 0:
            _init(control, theirs)
        for name in ("uid_map", "gid_map"):
            fd = os.open("/proc/%d/%s" % (pid, name), os.O_WRONLY | os.O_CLOEXEC)
            os.write(fd, b"%d %d 1\n" % (inside, inside))
            os.close(fd)
        os.write(write_end, b"%d" % pid)
        os._exit(0)
    except BaseException as error:
        _fail(control, error)


def _init(control, theirs):
    """The life of process 1."""
    try:
        data, fds = sandbox_init.receive(theirs, 8)
        if not data:
            os._exit(1)
        linux.set_dumpable(False)
        theirs.close()
        kept = int(data.split()[1])  # of the descriptors, those that must stay open and go nowhere
        init = NestedInit(control, None)
        init.prepare({"network": False}, (), fds[kept:])
        init.run()
    except BaseException as error:
        _fail(control, error)


class NestedInit(sandbox_init.Init):
    """Process 1 of a sandbox whose runtime is not its own to start: it comes from without, as an orphan."""

    def other(self, message):
        if message[0] == "restored":
            self.restored(*message[1:])

    def restored(self, name, pid, limit_bytes):
        """`pid` is the runtime from now on."""
        self.begin(limit_bytes)
        self.named[pid] = name
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            if len(self.named) == 1:
                self.end_all(False)
            else:
                self.ended(pid, False)


def _fail(control, error):
    try:
        sandbox_init.send(control, "failed %d %r" % (getattr(error, "errno", None) or 0, error))
    finally:
        os._exit(1)
