"""
The client's side of WebSocket (RFC 6455), as much as drivers need, over a blocking socket. By hand: the SDK then depends on nothing but Python, and reads and writes on
threads of its own, where the usual packages bring an event loop that user code can block.
"""

import base64
import hashlib
import os
import socket
import struct
import time
from typing import Callable, List, Optional, Tuple

from .client import DaemonAddress

SUBPROTOCOL = "clustd.v1"
MESSAGE_BYTES_MAX = 256 * 1024
_HEADER_BYTES_MAX = 8 * 1024
_DRAIN_BYTES_MAX = 4 * 1024 * 1024
_DRAIN_SECONDS = 1.0
_KEY_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10


class WebSocketError(OSError):
    """The connection cannot be used any more. The text says why."""


class WebSocket:
    """One connection. One thread reads; who sends sees to it that only one does at a time."""

    def __init__(self, connection: socket.socket, until: Optional[float]) -> None:
        self.until = until  # On time.monotonic: bounds the whole, against a peer that drips. None: no limit.
        self.send_pong: Callable[[bytes], None] = self.send_pong_now
        self._socket = connection
        self._buffer = b""

    def upgrade(self, address: DaemonAddress) -> None:
        """Turns the connection into a WebSocket (RFC 6455, 4.1)."""
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {address.path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode("ascii", "replace")
        )
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _HEADER_BYTES_MAX:
                raise WebSocketError(f"what listens there sent more than {_HEADER_BYTES_MAX} bytes of HTTP header")
            self._fill("before a WebSocket was made of it")
        header, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        lines = header.decode("latin-1").split("\r\n")
        status = lines[0].split(" ", 2)
        if len(status) < 2 or not status[0].startswith("HTTP/1.") or status[1] != "101":
            printable = "".join(character if " " <= character <= "~" else "?" for character in lines[0][:80])
            raise WebSocketError(f"what listens there answered '{printable}' instead of becoming a WebSocket")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if fields.get("sec-websocket-accept") != accept_of(key):
            raise WebSocketError("what listens there answered another WebSocket request than ours")
        if fields.get("sec-websocket-protocol") != SUBPROTOCOL:
            raise WebSocketError(f"what listens there does not speak {SUBPROTOCOL}")

    def receive(self) -> Optional[str]:
        """The next message, or None when the peer closed the connection. What breaks the rules is answered by a close frame with its code."""
        whole: Optional[List[bytes]] = None
        length = 0
        while True:
            final, opcode, payload = self._frame(length)
            if opcode == _PING:
                self.send_pong(payload)
            elif opcode == _CLOSE:
                self._answer_close(payload)
                return None
            elif opcode == _PONG:
                continue
            else:
                if (opcode == _CONTINUATION) != (whole is not None):
                    raise self.refuse(1002, "frame out of turn")
                whole = (whole or []) + [payload]
                length += len(payload)
                if final:
                    try:
                        return b"".join(whole).decode("utf-8")
                    except UnicodeDecodeError:
                        raise self.refuse(1007, "text that is not UTF-8") from None

    def send_text(self, text: str) -> None:
        """Sends one message. Not more than one thread at a time."""
        self.send(text.encode("utf-8", "replace"), _TEXT)

    def send_pong_now(self, payload: bytes) -> None:
        """Answers a ping."""
        self.send(payload, _PONG)

    def send_close(self, code: int, reason: str) -> None:
        """Says that nothing more will come, and why."""
        try:
            self.send(struct.pack(">H", code) + reason.encode()[:123], _CLOSE)
        except OSError:
            pass  # The connection is gone: the peer will find out without our words.

    def send(self, payload: bytes, opcode: int) -> None:
        """Sends one frame, masked as a client must (RFC 6455, 5.3)."""
        length = len(payload)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length) if length < 65_536 else b"\xff" + struct.pack(">Q", length)
        mask = os.urandom(4)
        masked = int.from_bytes(payload, "little") ^ int.from_bytes((mask * (length // 4 + 1))[:length], "little")
        self._socket.sendall(bytes([0x80 | opcode]) + size + mask + masked.to_bytes(length, "little"))

    def refuse(self, code: int, what: str) -> WebSocketError:
        """Closes with a code, and returns the error to raise."""
        self.send_close(code, what)
        # Ending a connection with bytes unread makes the kernel reset it, and a reset overtakes the close frame: so read on, within limits, until the peer closes as well.
        until, drained = time.monotonic() + _DRAIN_SECONDS, 0
        try:
            while drained < _DRAIN_BYTES_MAX and (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                part = self._socket.recv(65_536)
                if not part:
                    break
                drained += len(part)
        except OSError:
            pass  # It closed the hard way, or took too long: it has had its chance to read the reason.
        return WebSocketError(f"the other side sent a {what} (closed with {code}); check that both sides speak {SUBPROTOCOL}")

    def _frame(self, before: int) -> Tuple[bool, int, bytes]:
        first, second = self._exactly(2)
        final, opcode, length = bool(first & 0x80), first & 0x0F, second & 0x7F
        if first & 0x70 or second & 0x80 or opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise self.refuse(1002, "frame that no server may send")
        if opcode >= _CLOSE and (length > 125 or not final):
            raise self.refuse(1002, "control frame in pieces")
        if opcode == _BINARY:
            raise self.refuse(1003, "binary message; send JSON-RPC 2.0 as text")
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        if opcode < _CLOSE and before + length > MESSAGE_BYTES_MAX:
            raise self.refuse(1009, f"message over {MESSAGE_BYTES_MAX} bytes; send less at once")
        return final, opcode, self._exactly(length)

    def _answer_close(self, payload: bytes) -> None:
        self.send_close(struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1000, "")

    def _exactly(self, count: int) -> bytes:
        parts, have = [self._buffer], len(self._buffer)
        while have < count:
            self._buffer = b""
            self._fill("in the middle of a message" if have else "")
            parts.append(self._buffer)
            have += len(self._buffer)
        whole = b"".join(parts)
        self._buffer = whole[count:]
        return whole[:count]

    def _fill(self, when: str) -> None:
        if self.until is not None:
            left = self.until - time.monotonic()
            if left <= 0:
                raise TimeoutError("it took too long")
            self._socket.settimeout(left)
        part = self._socket.recv(65_536)
        if not part:
            raise WebSocketError(f"the connection was closed {when}".rstrip())
        self._buffer += part


def accept_of(key: str) -> str:
    """What a server must answer to a Sec-WebSocket-Key. SHA-1 is what RFC 6455 asks for; nothing here rests on it."""
    return base64.b64encode(hashlib.sha1((key + _KEY_GUID).encode(), usedforsecurity=False).digest()).decode()
