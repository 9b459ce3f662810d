"""The system calls of Linux that Python has no name for, as far as environments are built from them."""

import ctypes
import errno
import os
import signal

# PyDLL keeps the interpreter's lock: after a raw clone there is no other thread that could ever give it back.
_libc = ctypes.PyDLL(None, use_errno=True)
_MACHINE = os.uname().machine
_SYS_CLONE = {"x86_64": 56, "aarch64": 220}
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
# From 424 on the numbers are the same everywhere.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_PIDFD_OPEN = 434
_SYS_CLOSE_RANGE = 436
_SYS_MOUNT_SETATTR = 442

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_ATTR_RDONLY = 1
_ATTR_NOSUID = 2
_ATTR_NODEV = 4

_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522


def _check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _syscall(number, *arguments):
    longs = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *longs))


def call_bpf(number, command, attributes, size):
    return _syscall(number, command, ctypes.cast(attributes, ctypes.c_void_p), size)


def clone(flags):
    """fork with namespaces: 0 in the child. Python's own after-fork hooks do not run: the child forks again for that."""
    return _syscall(_SYS_CLONE[_MACHINE], flags | signal.SIGCHLD, 0, 0, 0, 0)


def unshare(flags):
    _check(_libc.unshare(flags))


def setns(fd, kind):
    _check(_libc.setns(fd, kind))


def pidfd_open(pid):
    return _syscall(_SYS_PIDFD_OPEN, pid, 0)


def close_from(first):
    """Close this descriptor and all above it."""
    try:
        _syscall(_SYS_CLOSE_RANGE, first, 0x7FFFFFFF, 0)
    except OSError:
        os.closerange(first, 65536)


def mount(source, target, kind=None, flags=0, data=None):
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    _check(
        _libc.mount(
            encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), None if data is None else data.encode()
        )
    )


def umount(target, flags=0):
    _check(_libc.umount2(target.encode(), flags))


def pivot_root(new, old):
    _syscall(_SYS_PIVOT_ROOT[_MACHINE], ctypes.c_char_p(new.encode()), ctypes.c_char_p(old.encode()))


def open_tree(path):
    """A descriptor of a copy of the mounts at `path`, attached nowhere yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return _syscall(_SYS_OPEN_TREE, _AT_FDCWD, ctypes.c_char_p(os.fsencode(path)), flags)


def make_read_only(tree):
    """Read-only, no setuid, no devices: for all mounts of a tree from `open_tree`."""
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, 0, 0)
    empty = ctypes.c_char_p(b"")
    _syscall(_SYS_MOUNT_SETATTR, tree, empty, _AT_EMPTY_PATH | _AT_RECURSIVE, ctypes.byref(attributes), 32)


def move_mount(tree, target):
    """Attach a tree at `target`."""
    empty = ctypes.c_char_p(b"")
    _syscall(
        _SYS_MOVE_MOUNT, tree, empty, _AT_FDCWD, ctypes.c_char_p(target.encode()), _MOVE_MOUNT_F_EMPTY_PATH
    )


def _prctl(option, *values):
    filled = list(values) + [0] * (4 - len(values))
    return _check(_libc.prctl(option, *[ctypes.c_ulong(value) for value in filled]))


def set_dumpable(on):
    _prctl(_PR_SET_DUMPABLE, 1 if on else 0)


def no_new_privileges():
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_bounding_set():
    """No program that is run from here on can have any capability."""
    prctl, drop, zero, capability = _libc.prctl, ctypes.c_ulong(_PR_CAPBSET_DROP), ctypes.c_ulong(0), 0
    while prctl(drop, ctypes.c_ulong(capability), zero, zero, zero) == 0:
        capability += 1
    if ctypes.get_errno() != errno.EINVAL:  # which it is for one past the last that this kernel knows
        raise OSError(ctypes.get_errno(), "the bounding set cannot be dropped")


def drop_capabilities():
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _syscall(_SYS_CAPSET[_MACHINE], ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install_filter(program):
    """Install a seccomp filter: an array of 8-byte instructions."""
    described = _Program(len(program) // 8, program)
    _check(
        _libc.prctl(
            _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(described), ctypes.c_ulong(0), ctypes.c_ulong(0)
        )
    )
