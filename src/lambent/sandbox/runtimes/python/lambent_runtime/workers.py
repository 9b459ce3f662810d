"""Several events at once: a process for each, forked before the handler is imported, as AWS's Python client does it.

So each has globals of its own, and all share /tmp. A worker that has ended is not replaced; the last one ends the runtime.
"""

import os
import sys

import _socket

from lambent_runtime import channel

_REQUEST = b"GET /lambent/channel HTTP/1.1\r\nHost: lambent\r\nConnection: Upgrade\r\nUpgrade: lambent-channel\r\n\r\n"


def fork(count):
    """Fork `count` workers; returns in each of them with its channel, and never in the process that forked them."""
    for _ in range(count):
        if os.fork() == 0:
            wire = channel.Channel(_open(os.environ["AWS_LAMBDA_RUNTIME_API"]))
            wire.capture_output()
            return wire
    status = 0
    while True:
        try:
            _, ended = os.wait()
        except ChildProcessError:
            break
        status = status or (os.WEXITSTATUS(ended) if os.WIFEXITED(ended) else 128 + os.WTERMSIG(ended))
    os._exit(status)


def _open(address):
    """A descriptor of a new channel to the platform."""
    host, _, port = address.rpartition(":")
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    sock.connect((host, int(port)))
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    sock.sendall(_REQUEST)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        data = sock.recv(4096)
        if not data:
            break
        answer += data
    if not answer.startswith(b"HTTP/1.1 101 "):
        sys.stderr.write("the platform takes no more workers\n")
        os._exit(1)
    return sock.detach()
