"""What a process holds open when it is to be forked as a snapshot: what forbids that, what is replaced, what is copied."""

import os
import socket
import stat
import sys

# What the kernel shares between the forks of a process, so that one would get what is meant for another.
_SHARED = ("[eventpoll]", "[eventfd]", "[timerfd]", "[signalfd]", "[io_uring]", "inotify")
_GPU = ("/dev/nvidia", "/dev/dri/", "/dev/kfd")


def why_not():
    """Why this process cannot be forked as a snapshot, in words for the function's log; "" when it can."""
    threads = len(os.listdir("/proc/self/task"))
    threading = sys.modules.get("threading")
    if threading is not None:
        alive = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if alive:
            return "its init has left threads running (%s)" % ", ".join(sorted(alive)[:5])
    if threads > 1:
        return "a library has started %d threads; set the size of its pool to 1" % (threads - 1)
    if _children():
        return "its init has left processes running"
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue
        if target.startswith(_GPU):
            return "its init has opened a GPU (%s)" % target
        if target.startswith("anon_inode:") and target.endswith(_SHARED):
            return "its init has left an event loop or the like open (%s)" % target.partition(":")[2]
    return ""


def _children():
    try:
        with open("/proc/self/task/%d/children" % os.getpid(), "rb") as file:
            return file.read().split()
    except OSError:
        return []  # a kernel without these files


def replace_sockets(keep):
    """Put a closed connection in the place of each socket that was open, as it is after a restore on AWS."""
    dead, peer = socket.socketpair()
    peer.close()
    with dead:
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            try:
                if fd != dead.fileno() and fd not in keep and stat.S_ISSOCK(os.fstat(fd).st_mode):
                    os.dup2(dead.fileno(), fd, inheritable=os.get_inheritable(fd))
            except OSError:
                continue


def open_if_any(folder):
    """A descriptor of `folder`; -1 when there is nothing in it."""
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY) if os.listdir(folder) else -1
    except OSError:
        return -1


def copy_tree(source, target):
    """Copy what is below the descriptor `source`, which is closed, into the folder `target`."""
    with os.scandir(source) as entries:
        for entry in entries:
            place = os.path.join(target, entry.name)
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                os.mkdir(place, 0o700)
                copy_tree(os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=source), place)
            elif stat.S_ISREG(status.st_mode):
                _copy_file(os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=source), place)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(entry.name, dir_fd=source), place)
                continue
            else:
                continue
            os.chmod(place, stat.S_IMODE(status.st_mode))
            os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.close(source)


def _copy_file(source, place):
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        data = os.read(source, 1 << 20)
        while data:
            os.write(target, data)
            data = os.read(source, 1 << 20)
    finally:
        os.close(source)
        os.close(target)
