"""The process that sandboxes are forked from: one for each interpreter, with what every function needs loaded already.

No code of any function ever runs in it. It lives in the read-only root that its sandboxes get (see
`sandbox/isolation/boot.py`). A packet on its socket, ("new", settings), with the sandbox's control socket and the
`cgroup.procs` files to enter, makes a sandbox; it answers on the control socket, "born" with a pidfd, or "failed ERRNO".
"""

import _socket
import gc
import marshal
import os
import select
import signal
import sys

from lambent_runtime import linux, nested, sandbox_init, sharing

_NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
# What AWS's Python runtimes have beside the standard library. A function that ships any of it gets all from itself.
_SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
_STANDARD = ("json", "logging", "traceback", "importlib.util", "datetime", "decimal", "base64", "hashlib", "inspect")
_OWN = ("lambent_runtime.logs", "lambent_runtime.errors")
# Variables that an interpreter reads when it starts: with another value of any of them it must be started.
_AT_START = ("LD_", "PYTHON", "LC_", "LANG", "LANGUAGE", "MALLOC_", "GLIBC_", "OPENSSL_", "SSL_")


class PythonRuntime(object):
    """Turns a forked child into our Python runtime, when the zygote's state is what a new interpreter would have."""

    def __init__(self, environment):
        self._environment = environment
        before = set(sys.modules)
        for name in _STANDARD + _OWN:
            __import__(name)
        self._standard = {name.partition(".")[0] for name in sys.modules}
        try:
            import boto3  # noqa: F401
        except Exception:  # not there, or not for this Python: then functions that want it say so
            self._purge_sdk()
        self._sdk = {name for name in set(sys.modules) - before if name.partition(".")[0] in _SDK}
        # What the SDK needs of the standard library counts like the rest of it.
        self._standard |= {name.partition(".")[0] for name in sys.modules}
        self._standard -= set(_SDK) | set(sys.builtin_module_names)
        self._shipped_sdk = False

    def allows(self, environment):
        """Whether a fork is as good as a start, for these variables and the code that is mounted now."""
        names = {name for name in set(environment) | set(self._environment) if name.startswith(_AT_START)}
        if any(environment.get(name) != self._environment.get(name) for name in names):
            return False
        shipped = set()
        version = "python%d.%d" % sys.version_info[:2]
        for folder in ("/var/task", "/opt/python", "/opt/python/lib/%s/site-packages" % version):
            try:
                shipped.update(name.partition(".")[0] for name in os.listdir(folder))
            except OSError:
                continue
        self._shipped_sdk = not shipped.isdisjoint(_SDK)
        return shipped.isdisjoint(self._standard)

    def prepare(self):
        """In the child: let what the function ships itself win."""
        gc.enable()
        if self._shipped_sdk:
            self._purge_sdk()
        sys.argv = ["/var/runtime/bootstrap.pyc"]

    def _purge_sdk(self):
        for name in list(sys.modules):
            if name.partition(".")[0] in _SDK:
                del sys.modules[name]


def serve(fd, runtime):
    """Fork sandboxes until the server has gone. Raises sandbox_init.BecomeRuntime in a child that is to run a function."""
    server = _socket.socket(fileno=fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wakeup = sandbox_init.watch_children()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    sharing.share()
    server.send(b"serving")
    while True:
        ready = dict(poll.poll())
        if wakeup in ready:
            sandbox_init.drain(wakeup)
            _reap()
        if fd in ready:
            data, fds = sandbox_init.receive(server, 8)
            if not data:
                os._exit(0)
            kind, settings = marshal.loads(data)
            control = _socket.socket(fileno=fds[0])
            if kind == "nest":
                try:
                    nested.fork(control, fds[1:], settings)
                except OSError as error:
                    sandbox_init.send(control, "failed %d" % error.errno)
                for spare in fds:
                    os.close(spare)
                control.detach()
                continue
            try:
                pid = linux.clone(_NAMESPACES | (linux.CLONE_NEWNET if settings["network"] else 0))
            except OSError as error:
                sandbox_init.send(control, "failed %d" % error.errno)
                pid = -1
            if pid == 0:
                signal.set_wakeup_fd(-1)
                _sandbox(server, control, fds[1:], settings, runtime)
            if pid > 0:
                pidfd = linux.pidfd_open(pid)
                sandbox_init.send(control, "born", [pidfd])
                os.close(pidfd)
            control.close()
            for spare in fds[1:]:
                os.close(spare)


def _sandbox(server, control, groups, settings, runtime):
    """The life of process 1 of a sandbox."""
    try:
        server.close()
        init = sandbox_init.Init(control, runtime)
        init.prepare(settings, groups)
        init.run()
    except sandbox_init.BecomeRuntime:
        raise
    except BaseException as error:
        try:
            sandbox_init.send(control, "failed %d %s" % (getattr(error, "errno", None) or 0, _where(error)))
        finally:
            os._exit(1)


def _where(error):
    import traceback

    return "; ".join(line.strip() for line in traceback.format_exception(type(error), error, error.__traceback__))[:2000]


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
