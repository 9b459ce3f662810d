"""Process 1 of a sandbox: builds the walls, starts the runtime and outlives it, ends everything when told or orphaned.

It is forked from a zygote into new namespaces and is at first root among them, but has nothing to do with any function.
Packets on its control socket (`marshal`led tuples, to it; words of plain text, from it, since the server must not
trust what comes out of a sandbox):

    ("assign", settings) with the code and the layers as detached mounts    -> "map", when settings ask for a user
        namespace: the server writes its maps, then ("mapped",)             -> "assigned", and no privilege is left
    ("start", name, argv, environment, folder, memory limit, has channel, may fork) with output and channel
        -> "started NAME", by the process itself, whose pid the kernel tells; then "failed ERRNO NAME" if the program
        could not be run; later "exited STATUS PEAK OOM NAME". With the last named process all others end.
    ("connect", token, port)    -> "connected TOKEN ERRNO", with a socket connected to this port on loopback if that is 0
    ("standby", settings, argv, environment) with output and channel, before "assign": starts a runtime ahead of need,
        with every wall but the function's own mounts    -> "map" from it, then ("mapped",)    -> "standing", or "failed"
    ("adopt", name, memory limit)    the stand-by is this named process from now on    -> "standby-ended" if it ends before
    ("signal", name, number), ("kill",), ("freeze",), ("thaw",), ("watch", bool)    -> "peak BYTES" while watching
    ("release",): the process only stands for what is forked from it, and its end ends nobody else

When the control socket closes, it exits, and the kernel kills whatever lives in its process namespace. From inside
nobody can kill, stop or trace it: it is process 1, it is not dumpable, and signals that it does not handle do not
reach it.
"""

import _signal
import _socket
import errno
import fcntl
import marshal
import os
import resource
import select
import signal
import struct
import sys
import time

from lambent_runtime import linux, sandbox_network

CHANNEL_FD = 3
MAX_MESSAGE_BYTES = 1 << 17
# How often memory is measured: alone with it, and where the kernel has a limit too, which stops what grows fast. A
# thousand sandboxes that look twenty times a second would keep two processors busy with that alone; and while an event
# runs on without growing, the guarded pauses double up to the longest.
WATCH_INTERVAL_MS = 50
GUARDED_WATCH_INTERVAL_MS = 1000
LONGEST_WATCH_INTERVAL_MS = 4000
PEAK_STEP_BYTES = 1 << 20
FILE_DESCRIPTORS = 1024
PROCESSES = 1024
LOCKED_BYTES = 64 << 10
STACK_BYTES = 8 << 20
OOM_SCORE = b"500"
SHARED_MEMORY_BYTES = 64 << 20
# What the kernel says about the machine and other processes, beyond what any process may know.
_MASKED = (
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "kallsyms",
    "timer_list",
    "sched_debug",
    "latency_stats",
    "sysrq-trigger",
    "config.gz",
    "kpagecount",
    "kpageflags",
    "vmallocinfo",
    "slabinfo",
    "modules",
)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class BecomeRuntime(Exception):
    """Unwinds the forked child to the bottom of its stack, where it turns into the runtime."""


def receive(sock, room=4):
    """One packet with its descriptors, which are not inherited by programs; (b"", []) at the end."""
    data, ancillary, _, _ = sock.recvmsg(MAX_MESSAGE_BYTES, _socket.CMSG_SPACE(4 * room), _socket.MSG_CMSG_CLOEXEC)
    fds = []
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += [int.from_bytes(payload[at : at + 4], sys.byteorder) for at in range(0, len(payload) - 3, 4)]
    return data, fds


def send(sock, text, fds=()):
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("%di" % len(fds), *fds))] if fds else []
    sock.sendmsg([text.encode()], ancillary)


class Init(object):
    """Process 1 of one sandbox. `fork_runtime` is a zygote's PythonRuntime, or None where programs are started."""

    def __init__(self, control, fork_runtime):
        self.control = control
        self.fork_runtime = fork_runtime
        self.named = {}
        self.limit_bytes = 0
        self.peak_bytes = 0
        self.told_bytes = 0
        self.watching = False
        self.limiting = True
        self.guarded = False
        self.watch_interval_ms = WATCH_INTERVAL_MS
        self.measured_s = 0.0
        self.reaped = {}
        self.released = False
        self.standby = 0
        self.standby_status = None

    # Building the walls.

    def prepare(self, settings, groups, listeners=()):
        """All that does not depend on the function. `groups` are `cgroup.procs` files to enter."""
        for fd in groups:
            os.write(fd, b"0")
            os.close(fd)
        _socket.sethostname("lambent")
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        for name in _MASKED:
            if os.path.exists("/proc/" + name):
                linux.mount("/dev/null", "/proc/" + name, None, linux.MS_BIND)
        if settings["network"]:
            listeners = sandbox_network.build(settings["listen"], settings["egress"], [])
        send(self.control, "ready", listeners)
        for fd in listeners:
            os.close(fd)

    def assign(self, settings, trees):
        """Take in a function's code, then give up every privilege for good."""
        uid = settings["uid"]
        self.limiting = settings["watch_memory"]
        self.guarded = settings["kernel_limits_memory"]
        self.watch(False)
        for tree, target in zip(trees, ("/var/task", "/opt")):
            linux.move_mount(tree, target)
            os.close(tree)
        for target, size, flags in (("/tmp", settings["tmp_bytes"], 0), ("/dev/shm", SHARED_MEMORY_BYTES, linux.MS_NOEXEC)):
            options = "mode=0700,size=%d,nr_inodes=%d,uid=%d,gid=%d" % (size, max(1024, size >> 12), uid, uid)
            linux.mount("tmpfs", target, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | flags, options)
        if self.standby and settings["user_namespace"]:
            # That of the stand-by, where all of this sandbox live.
            fd = os.open("/proc/%d/ns/user" % self.standby, os.O_RDONLY | os.O_CLOEXEC)
            linux.setns(fd, linux.CLONE_NEWUSER)
            os.close(fd)
            _drop(settings, settings["inside_uid"])
        else:
            self.give_up(settings)
        send(self.control, "assigned")

    def give_up(self, settings):
        """Give up every privilege for good; the server maps the user."""
        inside = settings["uid"]
        if settings["user_namespace"]:
            linux.unshare(linux.CLONE_NEWUSER)
            send(self.control, "map")
            data, _ = receive(self.control)
            if not data:
                os._exit(0)
            inside = settings["inside_uid"]
        _drop(settings, inside)

    # The loop.

    def run(self):
        wakeup = watch_children()
        poll = select.poll()
        poll.register(self.control.fileno(), select.POLLIN)
        poll.register(wakeup, select.POLLIN)
        while True:
            ready = dict(poll.poll(self.watch_interval_ms if self.watching and self.named else None))
            if wakeup in ready:
                drain(wakeup)
                self.reap(os.WNOHANG)
                if self.standby in self.reaped:
                    self.standby_status = self.reaped[self.standby]
                    send(self.control, "standby-ended")
                ended = [pid for pid in self.named if pid in self.reaped]
                if ended and len(ended) == len(self.named) and not self.released:
                    self.end_all(False)
                else:
                    for pid in ended:
                        self.ended(pid, False)
                self.reaped.clear()
            if self.control.fileno() in ready:
                self.obey()
            if self.watching and self.named and not self.measured_lately():
                self.measure()

    def obey(self):
        try:
            data, fds = receive(self.control)
        except OSError:
            data, fds = b"", []
        if not data:
            os._exit(0)
        message = marshal.loads(data)
        kind = message[0]
        if kind == "start":
            self.start(fds, *message[1:])
        elif kind == "assign":
            self.assign(message[1], fds)
        elif kind == "standby":
            self.stand_by(fds, *message[1:])
        elif kind == "adopt":
            self.adopt(message[1], message[2])
        elif kind == "kill":
            if self.named:
                self.end_all(False)
        elif kind == "signal":
            for pid in [pid for pid, name in self.named.items() if name == message[1]]:
                # A fork that is just leaving its group must not be stopped for good.
                alone = message[2] in (signal.SIGSTOP, signal.SIGCONT)
                try:
                    (os.kill if alone else os.killpg)(pid, message[2])
                except ProcessLookupError:
                    continue
        elif kind == "connect":
            self.connect(message[1], message[2])
        elif kind == "watch":
            self.watch(message[1])
        elif kind in ("freeze", "thaw") and self.named:
            # To process 1, -1 is everybody else here, and a fork under way cannot slip through between.
            _signal_all(signal.SIGSTOP if kind == "freeze" else signal.SIGCONT)
        elif kind == "release":
            self.released = True
        else:
            self.other(message)

    def other(self, message):
        """What only some kinds of sandboxes know."""

    def connect(self, token, port):
        """On loopback the kernel answers at once; a full queue leaves the connection under way."""
        sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        number = sock.connect_ex(("127.0.0.1", port))
        if number in (0, errno.EINPROGRESS):
            send(self.control, "connected %s 0" % token, [sock.fileno()])
        else:
            send(self.control, "connected %s %d" % (token, number))
        sock.close()

    def stand_by(self, fds, settings, argv, environment):
        """Start a runtime that belongs to no function yet. It gives up its privileges first; those of this process
        are still needed, for what is to be mounted for both."""
        status_end, child_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.become("", argv, environment, "/", fds[0], fds[1], child_end, False, settings)
        os.close(child_end)
        for fd in fds:
            os.close(fd)
        failure = os.read(status_end, 16)
        os.close(status_end)
        if failure:
            os.waitpid(pid, 0)
            send(self.control, "failed %d the stand-by could not be started" % int(failure))
            return
        self.standby = pid
        send(self.control, "standing")

    def begin(self, limit_bytes):
        """A named process is about to be there."""
        self.limit_bytes = limit_bytes
        if not self.named:
            self.peak_bytes = self.told_bytes = 0
        self.watch(True)
        self.measured_s = time.monotonic()

    def adopt(self, name, limit_bytes):
        self.begin(limit_bytes)
        pid, self.standby = self.standby, 0
        self.named[pid] = name
        if self.standby_status is not None:
            self.reaped[pid] = self.standby_status
            if len(self.named) == 1:
                self.end_all(False)
            else:
                self.ended(pid, False)
            self.reaped.clear()

    def start(self, fds, name, argv, environment, folder, limit_bytes, has_channel, may_fork):
        self.begin(limit_bytes)
        fork = may_fork and self.fork_runtime is not None and self.fork_runtime.allows(environment)
        status_end, child_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.become(name, argv, environment, folder, fds[0], fds[1] if has_channel else -1, child_end, fork)
        os.close(child_end)
        for fd in fds:
            os.close(fd)
        failure = os.read(status_end, 16)
        os.close(status_end)
        if failure:
            os.waitpid(pid, 0)
            send(self.control, "failed %d %s" % (int(failure), name))
            return
        self.named[pid] = name

    def become(self, name, argv, environment, folder, output, channel, report, fork, standby=None):
        """In the forked child. Raises BecomeRuntime, or runs the program, or tells the errno through `report`."""
        try:
            os.setsid()
            # The C functions: wrapping numbers into enums costs more than the calls.
            _signal.set_wakeup_fd(-1)
            for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGCHLD, _signal.SIGINT):
                # Exactly as they are in a program that was started: Python's own for Python, the kernel's for others.
                _signal.signal(number, _signal.SIG_DFL)
            if standby is not None:
                self.give_up(standby)
            linux.set_dumpable(True)
            try:
                fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
                os.write(fd, OOM_SCORE)
                os.close(fd)
            except OSError:
                pass
            send(self.control, "stood" if standby is not None else "started " + name)
            self.control.detach()
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (output, report)]
            output, report = high
            null = os.open("/dev/null", os.O_RDONLY)
            if channel >= 0:
                os.dup2(channel, CHANNEL_FD)
            os.dup2(null, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(folder)
            if fork:
                linux.close_from(CHANNEL_FD + 1)
                os.environ.clear()
                os.environ.update(environment)
                time.tzset()
                _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
                _signal.signal(_signal.SIGXFSZ, _signal.SIG_IGN)
                _signal.signal(_signal.SIGINT, _signal.default_int_handler)
                self.fork_runtime.prepare()
                raise BecomeRuntime
            os.dup2(report, CHANNEL_FD + 1, inheritable=False)
            report = CHANNEL_FD + 1
            linux.close_from(report + 1)
            if channel < 0:
                os.close(CHANNEL_FD)
            os.execve(argv[0], argv, environment)
        except BecomeRuntime:
            raise
        except OSError as error:
            os.write(report, str(error.errno or errno.EIO).encode())
            os._exit(127)
        except ValueError:  # a NUL in a variable
            os.write(report, str(errno.EINVAL).encode())
            os._exit(127)
        except BaseException:
            os._exit(127)

    def watch(self, on):
        self.watching = on
        self.watch_interval_ms = GUARDED_WATCH_INTERVAL_MS if self.guarded else WATCH_INTERVAL_MS

    def measured_lately(self):
        now_s = time.monotonic()
        if now_s < self.measured_s + self.watch_interval_ms / 1000:
            return True
        self.measured_s = now_s
        return False

    def measure(self):
        total = _memory_bytes(self.limit_bytes)
        if total > self.peak_bytes:
            self.peak_bytes = total
        if total > self.limit_bytes and self.limiting:
            self.end_all(True)
        elif self.peak_bytes >= self.told_bytes + PEAK_STEP_BYTES:
            self.told_bytes = self.peak_bytes
            self.watch(True)
            send(self.control, "peak %d" % self.peak_bytes)
        elif self.guarded:
            self.watch_interval_ms = min(2 * self.watch_interval_ms, LONGEST_WATCH_INTERVAL_MS)

    def end_all(self, out_of_memory):
        """The last named process has ended, or all must: end every process, then say so."""
        while True:
            _signal_all(signal.SIGKILL)
            if not self.reap(0):
                break
        self.watching = False
        # The runtime, started last, goes first: its end explains those of the others.
        for pid in reversed(list(self.named)):
            self.ended(pid, out_of_memory)

    def ended(self, pid, out_of_memory):
        name = self.named.pop(pid)
        status = self.reaped.get(pid, int(signal.SIGKILL))
        send(self.control, "exited %d %d %d %s" % (status, self.peak_bytes, out_of_memory, name))

    def reap(self, flags):
        """Collect those that have ended (with 0: wait for one first); False when nobody is left."""
        try:
            pid, status = os.waitpid(-1, flags)
            while pid:
                self.reaped[pid] = status
                pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        return True


def _signal_all(number):
    try:
        os.kill(-1, number)
    except ProcessLookupError:
        return


def _drop(settings, inside):
    linux.drop_bounding_set()
    os.setgroups([])
    os.setresgid(inside, inside, inside)
    os.setresuid(inside, inside, inside)
    linux.drop_capabilities()
    linux.no_new_privileges()
    linux.set_dumpable(False)
    _limit(resource.RLIMIT_NOFILE, FILE_DESCRIPTORS)
    _limit(resource.RLIMIT_MEMLOCK, LOCKED_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    if settings["processes"]:
        _limit(resource.RLIMIT_NPROC, PROCESSES)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    os.umask(0o022)
    if settings["filter"]:
        linux.install_filter(settings["filter"])


def _limit(which, value):
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _memory_bytes(limit_bytes):
    """Memory of all processes but this one: resident, and only when that is over the limit the dearer exact sum."""
    pids = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    total = sum(_resident_bytes(pid) for pid in pids)
    if total > limit_bytes and len(pids) > 1:
        total = sum(_proportional_bytes(pid) for pid in pids)
    return total


def _resident_bytes(pid):
    try:
        with open("/proc/%s/statm" % pid, "rb", buffering=0) as file:
            return int(file.read(256).split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _proportional_bytes(pid):
    try:
        with open("/proc/%s/smaps_rollup" % pid, "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _resident_bytes(pid)


def watch_children():
    """A descriptor that becomes readable when a child ends."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def drain(fd):
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return
