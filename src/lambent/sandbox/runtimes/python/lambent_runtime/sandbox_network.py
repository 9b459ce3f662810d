"""The network inside a sandbox: a loopback interface, listeners that the server answers on, and perhaps a way out.

The listeners are made in here and passed out; the server accepts on them without having any other part in this
network. The way out is such a listener too: every IPv4 address is made local (an "AnyIP" route), and a small BPF program
(SK_LOOKUP) hands each TCP connection to an address that is not ours to one listening socket, on which the server sees
where the connection was meant to go and decides about it. No interface of the machine, no NAT and no rule of its
firewall is involved.
"""

import _socket
import ctypes
import fcntl
import os
import struct
import sys

from lambent_runtime import linux

OWN_ADDRESS = "169.254.100.1"
_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_UP_AND_RUNNING = 0x41
_BACKLOG = 1024

_AF_NETLINK = 16
_RTM_NEWROUTE = 24
_CREATE_ROUTE = 0x0405  # NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
_RT_TABLE_LOCAL = 255
_RTPROT_BOOT = 3
_RT_SCOPE_HOST = 254
_RTN_LOCAL = 2
_RTA_OIF = 4
_RTA_PREFSRC = 7

_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_BPF_MAP_CREATE = 0
_BPF_MAP_UPDATE_ELEM = 2
_BPF_PROG_LOAD = 5
_BPF_LINK_CREATE = 28
_BPF_MAP_TYPE_SOCKMAP = 15
_BPF_PROG_TYPE_SK_LOOKUP = 30
_BPF_SK_LOOKUP = 36
# Offsets in struct bpf_sk_lookup.
_FAMILY, _PROTOCOL, _LOCAL_IP4 = 8, 12, 40


def build(addresses, egress, kept):
    """Bring the network up. Descriptors of listening sockets: for each (host, port), then, with egress, the way out
    and the sockets of the name server (UDP, TCP). Those that go nowhere but must stay open are appended to `kept`."""
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
        hosts = dict.fromkeys([OWN_ADDRESS] + [host for host, _ in addresses])
        for number, host in enumerate(hosts):
            if not host.startswith("127."):
                name = b"lo:%d" % (number + 1)
                fcntl.ioctl(sock, _SIOCSIFADDR, struct.pack("16sHH4s8x", name, _socket.AF_INET, 0, _socket.inet_aton(host)))
    finally:
        sock.close()
    listeners = [_listen(host, port) for host, port in addresses]
    if egress:
        way_out = _listen(OWN_ADDRESS, 0)
        _make_all_addresses_local()
        kept.append(_catch_connections(way_out))
        names = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
        names.bind((OWN_ADDRESS, 53))
        names.setblocking(False)
        listeners += [way_out, names.detach(), _listen(OWN_ADDRESS, 53)]
    return listeners


def _listen(host, port):
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener.detach()


def _make_all_addresses_local():
    """ip route add local 0.0.0.0/0 dev lo src 169.254.100.1"""
    route = struct.pack(
        "=BBBBBBBBI", _socket.AF_INET, 0, 0, 0, _RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL, 0
    )
    route += struct.pack("=HHI", 8, _RTA_OIF, 1)  # the loopback interface is the first of every namespace
    route += struct.pack("=HH4s", 8, _RTA_PREFSRC, _socket.inet_aton(OWN_ADDRESS))
    message = struct.pack("=IHHII", 16 + len(route), _RTM_NEWROUTE, _CREATE_ROUTE, 1, 0) + route
    sock = _socket.socket(_AF_NETLINK, _socket.SOCK_RAW, 0)
    try:
        sock.sendto(message, (0, 0))
        number = -struct.unpack_from("=i", sock.recv(4096), 16)[0]
    finally:
        sock.close()
    if number:
        raise OSError(number, os.strerror(number))


def _instruction(code, target=0, source=0, offset=0, value=0):
    return struct.pack("=BBhi", code, target | source << 4, offset, value)


def _program(sockets):
    """The program: connections that are not for 127/8 or 169.254/16 go to the socket in the map `sockets`."""
    little = sys.byteorder == "little"
    first_octet, loopback = (0xFF, 127) if little else (-0x1000000, 127 << 24)
    two_octets, link_local = (0xFFFF, 169 | 254 << 8) if little else (-0x10000, (169 << 24 | 254 << 16) - (1 << 32))
    body = [
        _instruction(0xBF, 6, 1),  # r6 = context
        _instruction(0x61, 2, 6, _PROTOCOL),
        ("unless", 2, _socket.IPPROTO_TCP),
        _instruction(0x61, 2, 6, _FAMILY),
        ("unless", 2, _socket.AF_INET),
        _instruction(0x61, 2, 6, _LOCAL_IP4),
        _instruction(0xBC, 3, 2),  # w3 = w2
        _instruction(0x54, 3, value=first_octet),  # w3 &= ...
        ("if", 3, loopback),
        _instruction(0x54, 2, value=two_octets),
        ("if", 2, link_local),
        _instruction(0x62, 10, offset=-4),  # key 0 on the stack
        _instruction(0x18, 1, 1, value=sockets),  # r1 = map, in two instructions
        _instruction(0),
        _instruction(0xBF, 2, 10),
        _instruction(0x07, 2, value=-4),
        _instruction(0x85, value=1),  # bpf_map_lookup_elem
        ("if", 0, 0),
        _instruction(0xBF, 7, 0),
        _instruction(0xBF, 1, 6),
        _instruction(0xBF, 2, 0),
        _instruction(0xB7, 3),
        _instruction(0x85, value=124),  # bpf_sk_assign
        _instruction(0xBF, 1, 7),
        _instruction(0x85, value=86),  # bpf_sk_release
    ]
    code = b""
    for at, item in enumerate(body):
        if isinstance(item, tuple):
            kind, register, value = item
            # The pointer that a lookup gives is compared in 64 bits, all else in 32.
            operation = (0x15 if register == 0 else 0x16) if kind == "if" else 0x56
            item = _instruction(operation, register, offset=len(body) - at - 1, value=value)
        code += item
    return code + _instruction(0xB7, 0, value=1) + _instruction(0x95)  # return SK_PASS


def _bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    return linux.call_bpf(_SYS_BPF[os.uname().machine], command, buffer, len(buffer))


def _catch_connections(listener):
    """Attach the program to our network namespace. A descriptor of the link, which ends with it."""
    sockets = _bpf(_BPF_MAP_CREATE, struct.pack("=IIII", _BPF_MAP_TYPE_SOCKMAP, 4, 8, 1))
    key, value = ctypes.c_uint32(0), ctypes.c_uint64(listener)
    _bpf(
        _BPF_MAP_UPDATE_ELEM,
        struct.pack("=IxxxxQQQ", sockets, ctypes.addressof(key), ctypes.addressof(value), 0),
    )
    code, license_ = ctypes.create_string_buffer(_program(sockets)), ctypes.create_string_buffer(b"Apache-2.0")
    program = _bpf(
        _BPF_PROG_LOAD,
        struct.pack(
            "=IIQQIIQII16sII",
            _BPF_PROG_TYPE_SK_LOOKUP,
            (len(code) - 1) // 8,
            ctypes.addressof(code),
            ctypes.addressof(license_),
            0,
            0,
            0,
            0,
            0,
            b"lambent_egress",
            0,
            _BPF_SK_LOOKUP,
        ),
    )
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _bpf(_BPF_LINK_CREATE, struct.pack("=IIII", program, namespace, _BPF_SK_LOOKUP, 0))
    finally:
        for fd in (namespace, program, sockets):
            os.close(fd)
