"""SnapStart: the version's initialised process waits, and environments are forked from it.

A *snapshot* here is that process itself, the version's zygote. Nobody has invoked it, and nobody ever will: it runs the
before-snapshot hooks, checks that a fork of it would be whole, says `R`, and then takes requests from its channel, each
four bytes of length, a `marshal`led tuple, and descriptors:

    ("restore", environment, filter)  with output, channel, gate and the namespaces of a sandbox (see `enter`)
    ("supervise",)                    with the control socket of a supervisor, where there are no sandboxes

In the fork `run` returns, and goes on as a new environment: new variables, new random numbers, its own /tmp. A function
that cannot be forked says so with the init error NOT_SNAPSHOTTABLE and is started afresh for each environment.
"""

import _socket
import gc
import marshal
import os
import sys

from lambent_runtime import context, linux, snapshot_files

NOT_SNAPSHOTTABLE = "Lambent.NotSnapshottable"
CHANNEL_FD = 3
_NAMESPACES = (
    linux.CLONE_NEWUSER,  # first: it is what gives the right to enter the others
    linux.CLONE_NEWNS,
    linux.CLONE_NEWNET,
    linux.CLONE_NEWIPC,
    linux.CLONE_NEWUTS,
    linux.CLONE_NEWPID,
)
_MAX_REQUEST_BYTES = 1 << 20


class Snapshot(object):
    """What the bootstrap notes before any code of the function runs. `mode` is from the variable of that name."""

    VARIABLE = "_LAMBENT_SNAPSHOT"

    def __init__(self, environ):
        # "fork" in a sandbox, "" for a start without a snapshot, else the file with the code of a supervisor.
        self._mode = environ.pop(self.VARIABLE, "")
        self._environment = dict(environ) if self._mode else {}

    def run(self, wire):
        """Run the hooks around the snapshot; with a snapshot, return in a restored fork only."""
        hooks = sys.modules.get("snapshot_restore_py")
        if hooks is not None:
            before = hooks.get_before_snapshot()
            while before:
                func, args, kwargs = before.pop()
                _call(wire, func, args, kwargs, "Runtime.BeforeSnapshotError", 64)
        if self._mode:
            self._wait(wire)
            _reseed()
        if hooks is not None:
            for func, args, kwargs in hooks.get_after_restore():
                _call(wire, func, args, kwargs, "Runtime.AfterRestoreError", 65)

    def _wait(self, wire):
        lack = snapshot_files.why_not()
        if lack:
            wire.send_init_error(NOT_SNAPSHOTTABLE, lack.encode("utf-8", "replace"))
            os._exit(0)
        supervisor = None if self._mode == "fork" else _load(self._mode)
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()  # a collection in a fork would write to, and so copy, every page that holds objects
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, os.dup(CHANNEL_FD))
        sock.setblocking(True)
        wire.send_ready()
        while True:
            message, fds = _receive(sock)
            pid = linux.clone(0)
            if pid == 0:
                try:
                    if message[0] == "supervise":
                        self._supervise(wire, supervisor, sock, fds[0])
                        return
                    if self._restore(wire, sock, message[1], message[2], fds):
                        return
                except BaseException as error:
                    _complain(error)
                os._exit(1)
            for fd in fds:
                os.close(fd)
            os.waitpid(pid, 0)

    # In a sandbox.

    def _restore(self, wire, sock, environment, program, fds):
        """In a fork: enter the sandbox; True in the process that is to be its runtime."""
        output, channel, gate = fds[:3]
        files = snapshot_files.open_if_any("/tmp")
        folder = os.getcwd()
        for fd, kind in zip(fds[3:], _NAMESPACES):
            linux.setns(fd, kind)
            os.close(fd)
        if linux.clone(0):
            os._exit(0)
        # Now inside the process namespace. What is left of it after one more fork is a child of its process 1.
        linux.drop_bounding_set()
        linux.drop_capabilities()
        if program:
            linux.install_filter(program)
        if os.fork():
            os._exit(0)
        os.setsid()
        os.chdir(folder)
        sock.close()
        os.write(gate, b"here")
        if os.read(gate, 16) != b"go":
            os._exit(0)
        os.close(gate)
        snapshot_files.replace_sockets({output, channel, 0, 1, 2, CHANNEL_FD})
        _attach(wire, output, channel)
        if files >= 0:
            snapshot_files.copy_tree(files, "/tmp")
        self._take_over(environment)
        return True

    # Without sandboxes.

    def _supervise(self, wire, supervisor, sock, control):
        """In a fork: supervise one environment, as a fork of this process; returns in a runtime."""
        if linux.clone(0):
            os._exit(0)  # who supervises is to be an orphan, and so its version's supervisor's to bury
        os.setsid()
        sock.close()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, CHANNEL_FD, inheritable=False)  # the number stays taken until the runtime's channel comes
        os.close(null)
        try:
            supervisor(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, control)).run()
        except Restored as restored:
            report, output, channel, environment = restored.args
            os.close(report)
        snapshot_files.replace_sockets({output, channel, 0, 1, 2, CHANNEL_FD})
        before = os.environ.get("TMPDIR", "")
        _attach(wire, output, channel)
        self._take_over(environment)
        after = os.environ.get("TMPDIR", "")
        if before and before != after:
            files = snapshot_files.open_if_any(before)
            if files >= 0:
                snapshot_files.copy_tree(files, after)
            tempfile = sys.modules.get("tempfile")
            if tempfile is not None and tempfile.tempdir == before:
                tempfile.tempdir = None

    def _take_over(self, environment):
        """Give this process the variables of its environment, and leave what the function itself has set."""
        for name, value in environment.items():
            if self._environment.get(name) != value:
                os.environ[name] = value
        os.environ.pop(self.VARIABLE, None)
        os.environ.pop("_LAMBENT_CHANNEL_FD", None)
        os.environ.pop("_LAMBENT_OPT", None)
        context.LambdaContext.read_environment()


class Restored(Exception):
    """Unwinds a forked child from a supervisor's loop: the report's descriptor, output, channel and variables."""


def _load(path):
    """The supervisor of environments, which is part of the platform, as one that forks its runtime."""
    import importlib.util
    import signal

    spec = importlib.util.spec_from_file_location("_lambent_supervisor", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and annotations look there
    spec.loader.exec_module(module)

    class Supervisor(module.Supervisor):
        def run(self):
            self.child_handler = signal.getsignal(signal.SIGCHLD)
            module.Supervisor.run(self)

        def become(self, name, argv, environment, folder, output, channel, report, parent):
            if name != "runtime":
                return module.Supervisor.become(self, name, argv, environment, folder, output, channel, report, parent)
            os.setsid()
            module.die_with(parent)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, self.child_handler or signal.SIG_DFL)
            self.control.close()
            raise Restored(report, output, channel, environment)

    return Supervisor


def _receive(sock):
    """The next request and its descriptors; ends the process when the platform is gone."""
    data, fds = b"", []
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        part, ancillary, _, _ = sock.recvmsg(
            _MAX_REQUEST_BYTES, _socket.CMSG_SPACE(4 * 16), getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
        )
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds += [int.from_bytes(payload[at : at + 4], sys.byteorder) for at in range(0, len(payload) - 3, 4)]
        if not part:
            os._exit(0)
        data += part
    return marshal.loads(data[4:]), fds


def _attach(wire, output, channel):
    os.dup2(channel, CHANNEL_FD, inheritable=False)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for fd in (output, channel):
        os.close(fd)
    wire.reopen(CHANNEL_FD)


def _reseed():
    """No two environments may draw the same numbers. Python's own `random` is seeded anew by the fork itself."""
    ssl = sys.modules.get("_ssl")
    if ssl is not None:
        # OpenSSL notices a fork by the process id, which in two process namespaces may be the same.
        ssl.RAND_add(os.urandom(48), 48.0)
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    numpy = sys.modules.get("numpy")
    numpy_random = None if numpy is None else sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _call(wire, func, args, kwargs, error_type, status):
    """Run a hook; its failure ends the process."""
    try:
        func(*args, **kwargs)
    except Exception:
        from lambent_runtime import errors, marshaller

        result = errors.describe(sys.exc_info(), "")
        errors.log(wire, result)
        sys.stdout.flush()
        sys.stderr.flush()
        wire.send_init_error(error_type, marshaller.dumps(result).encode("utf-8", "backslashreplace"))
        os._exit(status)


def _complain(error):
    """A fork that could not become an environment says why where the function's output goes."""
    try:
        os.write(2, ("lambent: the snapshot could not be restored: %r\n" % (error,)).encode())
    except OSError:
        return
