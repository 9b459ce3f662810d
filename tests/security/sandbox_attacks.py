"""What hostile functions try: the source of one function that attempts what its event names, and says what it got."""

ATTACKS = r'''
import ctypes, errno, glob, os, signal, socket, subprocess, sys, time

libc = ctypes.CDLL(None, use_errno=True)

def attempt(function):
    """"did" with what came of it, or "refused" with why."""
    try:
        return ["did", function()]
    except OSError as error:
        return ["refused", errno.errorcode.get(error.errno, str(error))]

def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def read(path):
    with open(path, "rb") as file:
        return file.read(100).decode("latin-1")

def read_environment_of(pid):
    return b"SECRET" in open("/proc/%d/environ" % pid, "rb").read()

def trace(pid):
    call(libc.ptrace(16, pid, 0, 0))  # PTRACE_ATTACH
    os.waitpid(pid, 0x40000000)
    call(libc.ptrace(17, pid, 0, 0))

def fork_bomb(most):
    pids = []
    try:
        while len(pids) < most:
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            pids.append(pid)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
    return len(pids)

def fill(size_mb):
    with open("/tmp/lambent-filled", "wb") as file:
        try:
            for _ in range(size_mb):
                file.write(bytes(1 << 20))
                file.flush()
        finally:
            os.unlink("/tmp/lambent-filled")

def allocate(size_mb):
    """In a child, of whose memory the runtime's own report does not know. Its wait status."""
    pid = os.fork()
    if pid == 0:
        len(bytearray(os.urandom(1 << 20)) * size_mb)
        os._exit(0)
    return os.waitpid(pid, 0)[1]

def in_child(function):
    """In a process of its own, whose state may be ruined by it."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os.write(write_end, b"0")
        except OSError as error:
            os.write(write_end, str(error.errno).encode())
        os._exit(0)
    os.close(write_end)
    number = int(os.read(read_end, 16))
    os.close(read_end)
    os.waitpid(pid, 0)
    if number:
        raise OSError(number, os.strerror(number))

def raw_clone(flags):
    pid = call(libc.syscall(ctypes.c_long(56), ctypes.c_long(flags | signal.SIGCHLD), 0, 0, 0, 0))
    if pid == 0:
        libc._exit(0)
    os.waitpid(pid, 0)

def connect(host, port):
    sock = socket.create_connection((host, port), timeout=2)
    try:
        return sock.recv(100).decode("latin-1")
    finally:
        sock.close()

def daemon(path):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                with open(path, "a") as file:
                    file.write("x")
                time.sleep(0.02)
        os._exit(0)
    os.wait()

def handler(event, context):
    what, arguments = event[0], event[1:]
    if what == "loop_after_daemon":
        daemon(*arguments)
        time.sleep(60)
    return attempt(lambda: {
        "read": read, "write": lambda path: open(path, "w").write("x"), "list": os.listdir,
        "environ": read_environment_of, "kill": lambda pid: os.kill(pid, signal.SIGCONT), "trace": trace,
        "fork_bomb": fork_bomb, "fill": fill, "allocate": allocate, "connect": connect,
        "unshare": lambda flags: in_child(lambda: call(libc.unshare(flags))),
        "clone": raw_clone,
        "clone3": lambda: call(libc.syscall(ctypes.c_long(435), ctypes.c_long(0), ctypes.c_long(0))),
        "mount": lambda: in_child(lambda: call(libc.mount(b"t", b"/tmp", b"tmpfs", 0, None))),
        "raw_socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close(),
        "socket": lambda family, kind: socket.socket(family, kind).close(),
        "syscall": lambda number, *rest: call(libc.syscall(ctypes.c_long(number), *[ctypes.c_long(x) for x in rest])),
        "setuid_program": lambda path: subprocess.run([path, "-u"], capture_output=True, text=True).stdout.strip(),
        "setuid": lambda: in_child(lambda: os.setuid(0)),
        "symlink": lambda target: (os.symlink(target, "/tmp/link"), read("/tmp/link"))[1],
        "link": lambda source: os.link(source, "/tmp/linked"),
        "device": lambda: (os.mknod("/tmp/disk", 0o60600, os.makedev(8, 0)), read("/tmp/disk"))[1],
        "own": lambda: [os.getuid(), open("/proc/self/status").read().count("CapEff:\t0000000000000000"), os.getpid()],
        "others": lambda: sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "daemon": daemon,
        "parent": lambda: (os.kill(1, signal.SIGKILL), os.kill(1, signal.SIGTERM), time.sleep(0.1), os.getppid())[3],
        "interfaces": lambda: sorted(name for _, name in socket.if_nameindex()),
    }[what](*arguments))
'''
