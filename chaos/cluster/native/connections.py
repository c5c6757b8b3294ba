"""TCP connections of a network namespace, and how to end one from outside: the kernel's sock_diag.

A redirection of new connections leaves those alone that are open already, and a router keeps connections for hours. So
an HTTP fault ends the open ones, each at a moment at which it waits for its next request: its client sees what it sees
when a server tires of an idle connection.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

_SOCK_DIAG: Final = 4  #: NETLINK_SOCK_DIAG
_BY_FAMILY, _DESTROY, _ERROR, _DONE = 20, 21, 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_HEADER: Final = struct.Struct("=IHHII")
_ASK: Final = struct.Struct("=BBBBI")
_ID: Final = struct.Struct(
    "!HH16s16s12s"
)  #: ports, addresses, then interface and cookie, which are sent back as they came
_MESSAGE: Final = 72  #: bytes of inet_diag_msg, before its attributes
_ESTABLISHED: Final = 1
_INFO: Final = 2  #: the attribute with tcp_info
_LAST_SENT, _LAST_RECEIVED = 44, 52  #: offsets in tcp_info, in milliseconds ago
_SETTLED_MS: Final = 20  #: the kernel's clock for both has steps of up to 10 ms


@dataclass(frozen=True, slots=True)
class Connection:
    """One established connection, as its server sees it."""

    family: int
    id: bytes
    peer: str
    inward: bool  #: from the same address: the pod's own talk, and that of the proxy
    unread_bytes: int
    sent_ms_ago: int
    received_ms_ago: int

    @property
    def idle(self) -> bool:
        """The last word was the server's, so no request is under way.

        A tie counts as idle when it is some steps of the kernel's clock old: a quick answer, most likely.
        """
        settled = min(self.sent_ms_ago, self.received_ms_ago) >= _SETTLED_MS
        return settled and not self.unread_bytes and self.sent_ms_ago <= self.received_ms_ago


class Diagnosis:
    """The sockets of the network namespace in which this was made."""

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _SOCK_DIAG)
        self._netlink.settimeout(2.0)

    def of_port(self, port: int) -> list[Connection]:
        """Established connections to a port of this namespace."""
        found = []
        for family in (socket.AF_INET, socket.AF_INET6):
            ask = _ASK.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, 1 << _ESTABLISHED) + bytes(48)
            self._send(_BY_FAMILY, _REQUEST | _DUMP, ask)
            for message in self._answers():
                if struct.unpack_from("!H", message, 4)[0] == port:
                    found.append(_read(message))
        return found

    def end(self, connection: Connection) -> bool:
        """End it: its client gets a reset; false when the kernel cannot, or it is over."""
        states = 1 << _ESTABLISHED
        self._send(
            _DESTROY,
            _REQUEST | _ACK,
            _ASK.pack(connection.family, socket.IPPROTO_TCP, 0, 0, states) + connection.id,
        )
        try:
            self._answers()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of the kernel's door."""
        self._netlink.close()

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._netlink.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body)

    def _answers(self) -> list[bytes]:
        """Messages up to the end of a dump or to an acknowledgement; OSError when the kernel refuses."""
        found: list[bytes] = []
        while True:
            data = self._netlink.recv(1 << 18)
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, *_ = _HEADER.unpack_from(data, at)
                body = data[at + _HEADER.size : at + length]
                at += (length + 3) & ~3
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    if code:
                        raise OSError(code, "sock_diag")
                    return found
                found.append(body)


def _read(message: bytes) -> Connection:
    family, id = message[0], message[4:52]
    _, _, local, peer, _ = _ID.unpack(id)
    size = 4 if family == socket.AF_INET else 16
    unread = struct.unpack_from("=I", message, 56)[0]
    sent = received = 0
    at = _MESSAGE
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _INFO:
            sent = struct.unpack_from("=I", message, at + 4 + _LAST_SENT)[0]
            received = struct.unpack_from("=I", message, at + 4 + _LAST_RECEIVED)[0]
        at += max(4, (length + 3) & ~3)
    return Connection(
        family=family,
        id=id,
        peer=socket.inet_ntop(family, peer[:size]),
        inward=local[:size] == peer[:size] or peer[0] == 127,
        unread_bytes=unread,
        sent_ms_ago=sent,
        received_ms_ago=received,
    )
