"""As much of HTTP/1.1 as it takes to pass messages on byte by byte and to know where each of them ends (RFC 9112)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

LARGEST_HEAD: Final = 1 << 16  #: bytes; also of a line between chunks
_PIECE: Final = 1 << 16
_REQUEST: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} \S+ HTTP/1\.[01]\r\n")
_BEGINNING: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(\Z| )")  #: of a request that has not wholly come yet
#: how a body ends: after so many bytes, with its last chunk, or with the connection
Body: TypeAlias = int | Literal["chunked", "close"]


class NotHttpError(Exception):
    """This is not HTTP/1.1, or a message of it was cut off."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a message: `raw` is all of it, `fields` those fields that say where it ends, names in lower case."""

    raw: bytes
    start: bytes
    fields: dict[bytes, bytes]

    @property
    def method(self) -> bytes:
        """Of a request."""
        return self.start.split(b" ", 1)[0]

    @property
    def path(self) -> str:
        """Of a request, without its query."""
        return self.start.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")

    @property
    def status(self) -> int:
        """Of a response."""
        try:
            return int(self.start.split(b" ", 2)[1])
        except (IndexError, ValueError):
            raise NotHttpError(f"no status line: {self.start[:40]!r}") from None

    @property
    def keeps(self) -> bool:
        """The connection stays open after it, as far as it says."""
        words = [word.strip() for word in self.fields.get(b"connection", b"").lower().split(b",")]
        return b"keep-alive" in words if b"HTTP/1.0" in self.start else b"close" not in words

    @property
    def expects(self) -> bool:
        """Its sender waits for a word before it sends the body."""
        return b"expect" in self.fields

    def closing(self) -> bytes:
        """The head with a word that the connection ends after this message."""
        return self.raw.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def head_of(raw: bytes) -> Head:
    """Read a head.

    >>> head_of(b"GET /a?b HTTP/1.1\\r\\nHost: x\\r\\nConnection: Close\\r\\n\\r\\n").keeps
    False
    """
    start, *lines = raw[:-4].split(b"\r\n")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        if name in (b"connection", b"content-length", b"transfer-encoding", b"expect"):
            fields[name] = fields[name] + b"," + value if name in fields else value
    return Head(raw, start, fields)


def request_body(head: Head) -> Body:
    """Where the body of a request ends."""
    if b"transfer-encoding" in head.fields:
        return "chunked"
    return _length(head) if b"content-length" in head.fields else 0


def response_body(head: Head, method: bytes) -> Body:
    """Where the body of a response ends, which depends on what was asked."""
    if method == b"HEAD" or head.status < 200 or head.status in (204, 304):
        return 0
    if head.fields.get(b"transfer-encoding", b"").lower().endswith(b"chunked"):
        return "chunked"
    return _length(head) if b"content-length" in head.fields else "close"


def _length(head: Head) -> int:
    lengths = {each.strip() for each in head.fields[b"content-length"].split(b",")}
    text = lengths.pop()
    if lengths or not text.isdigit():
        raise NotHttpError(f"content-length {head.fields[b'content-length'][:40]!r}")
    return int(text)


class Source:
    """What comes in over one connection, cut into messages."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._buffer = b""

    @property
    def pending(self) -> bool:
        """Something has come that was not taken yet."""
        return bool(self._buffer)

    async def is_http(self) -> bool:
        """The first bytes are the beginning of a request of HTTP/1; they stay here. True when nothing came at all."""
        while b"\r\n" not in self._buffer:
            if not _BEGINNING.match(self._buffer or b"G") or len(self._buffer) > LARGEST_HEAD:
                return False
            if not await self._more():
                return not self._buffer
        return _REQUEST.match(self._buffer) is not None

    async def head(self) -> Head | None:
        """The next head; None when the other side has closed the connection instead."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > LARGEST_HEAD:
                raise NotHttpError("the head is too large")
            if not await self._more():
                if self._buffer:
                    raise NotHttpError("cut off in its head")
                return None
        return head_of(self._take(end + 4))

    async def copy(self, body: Body, to: asyncio.StreamWriter | None) -> None:
        """Pass a body on, or drop it where nobody wants it."""
        if body == "close":
            await self._copy_all(to)
        elif body == "chunked":
            while size := await self._chunk_size(to):
                await self._copy(size + 2, to)
            while await self._line(to) != b"\r\n":
                pass
        else:
            await self._copy(body, to)

    async def _copy_all(self, to: asyncio.StreamWriter | None) -> None:
        while self._buffer or await self._more():
            await _write(to, self._take(len(self._buffer)))

    async def _copy(self, size: int, to: asyncio.StreamWriter | None) -> None:
        while size:
            if not self._buffer and not await self._more():
                raise NotHttpError("cut off in its body")
            piece = self._take(min(size, len(self._buffer)))
            size -= len(piece)
            await _write(to, piece)

    async def _chunk_size(self, to: asyncio.StreamWriter | None) -> int:
        line = await self._line(to)
        try:
            return int(line.split(b";", 1)[0], 16)
        except ValueError:
            raise NotHttpError(f"no chunk size: {line[:40]!r}") from None

    async def _line(self, to: asyncio.StreamWriter | None) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > LARGEST_HEAD or not await self._more():
                raise NotHttpError("cut off between chunks")
        line = self._take(end + 2)
        await _write(to, line)
        return line

    async def _more(self) -> bool:
        data = await self._reader.read(_PIECE)
        self._buffer += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


async def _write(to: asyncio.StreamWriter | None, data: bytes) -> None:
    if to is not None and data:
        to.write(data)
        await to.drain()
