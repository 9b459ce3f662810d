"""The program that starts the processes of environments and sees to their end.

The server must neither fork itself (it is big and has threads) nor leave a process behind when it is killed. So it
starts one small single-threaded launcher, and the launcher forks one supervisor for each environment:

- a supervisor holds a socket to the server. When the socket closes, whatever the reason, it kills every process of its
  environment and ends. It needs no help for that from the launcher or from the server.
- a supervisor is a *child subreaper*: daemons that leave their parent, session and process group behind become its
  children, so "every process of this environment" is exactly "all my descendants".
- what it starts has the supervisor's death as its parent-death signal, and the launcher, a subreaper too, kills what it
  inherits from a supervisor that was killed.
- an environment's runtime and extensions are the *named* processes. With the end of the last of them, and with none
  sooner, all others end too.

Messages are packets (SOCK_SEQPACKET). To the launcher: any packet that brings the socket of a new supervisor. All
others are `marshal`led tuples. To a supervisor: ("start", name, argv, environment, folder, memory limit in bytes, has a
channel) with the descriptors of the output and the channel; ("signal", name, number), for the process and its group;
("kill",); ("watch", bool), which switches the measuring of memory; ("release",), after which the process only stands
for what is forked from it: nothing is measured, and its end ends nobody else. From a supervisor: ("started", name, pid,
its own pid), then ("failed", name, errno) if the program could not be run, ("peak", bytes), ("exited", name, wait
status, peak bytes, out of memory).

This file imports nothing of ours and little else: it is run alone, by path, and every import costs memory that all
supervisors share.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import gc
import marshal
import os
import resource
import select
import signal
import sys
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
WATCH_INTERVAL_MS = 50
# Nothing stops what an event left running in the background, so an idle environment is looked at too.
IDLE_WATCH_INTERVAL_MS = 5000
PEAK_STEP_BYTES = 1 << 20
CHANNEL_FD = 3
MAX_MESSAGE_BYTES = 1 << 17
# AWS documentation, "Lambda quotas": file descriptors. The other limits are as recorded inside real environments.
FILE_DESCRIPTORS = 1024
# Likewise "Lambda quotas": processes and threads, of which only processes are counted here. Past it AWS lets no more be
# made; here the environment ends.
PROCESSES = 1024
OOM_SCORE = b"500"  # when the machine runs out of memory, functions go before the server

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_HAS_CHILDREN_FILES = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with(parent: int) -> None:
    """Let this process be killed when `parent`, which has forked it, ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def children(pid: int) -> list[int]:
    """The children of all threads of `pid`; empty when it is gone."""
    if not _HAS_CHILDREN_FILES:
        return [child for child, parent in _parents() if parent == pid]
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except OSError:
            continue
    return found


def _parents() -> list[tuple[int, int]]:
    """Every process of the machine with its parent: for kernels built without the children files."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    found.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
            except OSError:
                continue
    return found


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, parents first."""
    found = children(pid)
    for one in found:  # grows while it is walked
        found += children(one)
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of one process; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    """Memory of one process with shared pages divided among their users; its resident memory where unknown."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resident_bytes(pid)


def bytes_of(pids: list[int], limit_bytes: int) -> int:
    """Memory of these processes: resident, and only when that is over the limit the dearer exact sum."""
    total = sum(map(resident_bytes, pids))
    if total > limit_bytes and len(pids) > 1:
        total = sum(map(proportional_bytes, pids))
    return total


def kill_tree(reaped: dict[int, int]) -> None:
    """Kill every descendant of this process and wait for each; wait statuses go into `reaped`."""
    me = os.getpid()
    while True:
        for pid in descendants(me):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        # What was forked during the sweep becomes our child when its parent dies, and the next sweep finds it.
        try:
            pid, status = os.waitpid(-1, 0)
            while pid:
                reaped[pid] = status
                pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return


def _reap(reaped: dict[int, int]) -> None:
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            reaped[pid] = status
    except ChildProcessError:
        return


def _receive(sock: _socket.socket) -> tuple[bytes, list[int]]:
    """One packet with its descriptors; (b"", []) at the end. Raises BlockingIOError."""
    size = _socket.CMSG_SPACE(4 * 4)
    data, ancillary, _, _ = sock.recvmsg(MAX_MESSAGE_BYTES, size)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += [int.from_bytes(payload[at : at + 4], sys.byteorder) for at in range(0, len(payload) - 3, 4)]
    return data, fds


class Supervisor:
    """One environment's supervisor: starts its named processes, measures all, ends all."""

    def __init__(self, control: _socket.socket) -> None:
        self.control = control
        self.named: dict[int, str] = {}
        self.limit_bytes = 0
        self.peak_bytes = 0
        self.told_bytes = 0
        self.watching = False
        self.guarding = True
        self.reaped: dict[int, int] = {}

    def run(self) -> NoReturn:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        wakeup = _watch_children()
        poll = select.poll()
        poll.register(self.control.fileno(), select.POLLIN)
        poll.register(wakeup, select.POLLIN)
        while True:
            interval_ms = WATCH_INTERVAL_MS if self.watching else IDLE_WATCH_INTERVAL_MS
            ready = dict(poll.poll(interval_ms if self.named else None))
            if wakeup in ready:
                _drain(wakeup)
                _reap(self.reaped)
                ended = [pid for pid in self.named if pid in self.reaped]
                if ended and len(ended) == len(self.named) and self.guarding:
                    self.end_all(out_of_memory=False)
                else:
                    for pid in ended:
                        self.ended(pid, out_of_memory=False)
                self.reaped.clear()
            if self.control.fileno() in ready:
                self.obey()
            if self.named and self.guarding and (self.watching or not ready):
                self.measure()

    def obey(self) -> None:
        try:
            data, fds = _receive(self.control)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            kill_tree(self.reaped)
            os._exit(0)
        message = marshal.loads(data)
        if message[0] == "start":
            self.start(fds, *message[1:])
        elif message[0] == "signal":
            for pid in [pid for pid, name in self.named.items() if name == message[1]]:
                self.signal(pid, message[2])
        elif message[0] == "kill":
            if self.named:
                self.end_all(out_of_memory=False)
        elif message[0] == "watch":
            self.watching = message[1]
        elif message[0] == "release":
            self.guarding = False

    def tell(self, *message: Any) -> None:
        try:
            self.control.send(marshal.dumps(message))
        except OSError:
            kill_tree(self.reaped)
            os._exit(0)

    def start(
        self,
        fds: list[int],
        name: str,
        argv: list[str],
        environment: dict[str, str],
        folder: str,
        limit_bytes: int,
        has_channel: bool,
    ) -> None:
        self.limit_bytes = limit_bytes
        if not self.named:
            self.peak_bytes = self.told_bytes = 0
        self.watching = True
        status_end, child_end = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(status_end)
            channel = fds[1] if has_channel else -1
            self.become(name, argv, environment, folder, fds[0], channel, child_end, parent)
        os.close(child_end)
        for fd in fds:
            os.close(fd)
        # Said before the program runs: on a busy machine this process may get its next turn long after that.
        self.tell("started", name, pid, os.getpid())
        failure = os.read(status_end, 16)
        os.close(status_end)
        if failure:
            os.waitpid(pid, 0)
            self.tell("failed", name, int(failure))
            return
        self.named[pid] = name

    def become(
        self,
        name: str,
        argv: list[str],
        environment: dict[str, str],
        folder: str,
        output: int,
        channel: int,
        report: int,
        parent: int,
    ) -> None:
        """In the forked child: turn into the program. A version's own supervisor turns into its runtime instead."""
        _become(argv, environment, folder, output, channel, report, parent)

    def signal(self, pid: int, number: int) -> None:
        """To a named process and those of its group, which it leads; to stop or continue it, to it alone.

        A fork of it that is just leaving the group must not be stopped for good.
        """
        try:
            (os.kill if number in (signal.SIGSTOP, signal.SIGCONT) else os.killpg)(pid, number)
        except ProcessLookupError:
            return

    def measure(self) -> None:
        pids = descendants(os.getpid())
        if len(pids) > PROCESSES:
            self.end_all(out_of_memory=False)
            return
        total = bytes_of(pids, self.limit_bytes)
        if total > self.peak_bytes:
            self.peak_bytes = total
        if total > self.limit_bytes:
            self.end_all(out_of_memory=True)
        elif self.peak_bytes >= self.told_bytes + PEAK_STEP_BYTES:
            self.told_bytes = self.peak_bytes
            self.tell("peak", self.peak_bytes)

    def end_all(self, *, out_of_memory: bool) -> None:
        """The last named process has ended, or all must: end every process, then say so."""
        kill_tree(self.reaped)
        # The runtime, started last, goes first: its end explains those of the others.
        for pid in reversed(list(self.named)):
            self.ended(pid, out_of_memory=out_of_memory)

    def ended(self, pid: int, *, out_of_memory: bool) -> None:
        name = self.named.pop(pid)
        self.tell("exited", name, self.reaped.get(pid, signal.SIGKILL), self.peak_bytes, out_of_memory)


def _become(
    argv: list[str], environment: dict[str, str], folder: str, output: int, channel: int, report: int, parent: int
) -> NoReturn:
    """In the forked child: turn into the program. Tells the errno through `report` when that fails."""
    try:
        os.setsid()
        die_with(parent)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # `report` moves out of the way of the descriptors that the runtime gets.
        high = [os.dup(fd) for fd in (output, report)]
        while any(fd <= CHANNEL_FD for fd in high):
            high = [os.dup(fd) for fd in high]
        output, report = high
        if channel >= 0:
            os.dup2(channel, CHANNEL_FD)
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.set_inheritable(report, False)
        first_free = CHANNEL_FD + 1 if channel >= 0 else CHANNEL_FD
        os.closerange(first_free, report)
        os.closerange(report + 1, FILE_DESCRIPTORS * 64)
        os.umask(0o022)
        os.chdir(folder)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = FILE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(FILE_DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
                file.write(OOM_SCORE)
        except OSError:
            pass
        os.execve(argv[0], argv, environment)
    except OSError as error:
        os.write(report, str(error.errno or errno.EIO).encode())
    except ValueError:  # a NUL in a variable
        os.write(report, str(errno.EINVAL).encode())
    finally:
        os._exit(127)


def _watch_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return


def launch(server: _socket.socket) -> NoReturn:
    """The launcher's loop: fork a supervisor for each packet; end when the server has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup = _watch_children()
    poll = select.poll()
    poll.register(server.fileno(), select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    supervisors: set[int] = set()
    gc.collect()
    gc.freeze()
    while True:
        ready = dict(poll.poll())
        if wakeup in ready:
            _drain(wakeup)
            reaped: dict[int, int] = {}
            _reap(reaped)
            supervisors -= reaped.keys()
            for orphan in set(children(os.getpid())) - supervisors:
                for pid in [orphan, *descendants(orphan)]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
        if server.fileno() in ready:
            _, fds = _receive(server)
            if not fds:
                # The server has gone. Each supervisor sees the same on its own socket, unless a function stopped it.
                for pid in supervisors:
                    os.kill(pid, signal.SIGCONT)
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                os.close(wakeup)
                server.close()
                for spare in fds[1:]:
                    os.close(spare)
                Supervisor(_socket.socket(fileno=fds[0])).run()
            supervisors.add(pid)
            for fd in fds:
                os.close(fd)


if __name__ == "__main__":
    launch(_socket.socket(fileno=int(sys.argv[1])))
