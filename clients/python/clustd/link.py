"""
One authenticated connection to the daemon. Two threads serve it: the one that reads and the writer. Sending never blocks the caller: a daemon that does not read must
not keep the lease thread from seeing the lease end.
"""

import json
import os
import socket
import threading
import time
import weakref
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional

from . import handshake, rpc
from .client import DaemonAddress
from .errors import DriverRefused
from .websocket import WebSocket, WebSocketError

_OPEN_SECONDS = 5.0  # TCP, HTTP, proofs and register together.

# Beyond the first, no request is taken before the daemon has read some answers. Answers to what was taken already may still come, one per service and a thousand
# services: more in the queue than the second means that the daemon does not read.
_OUTGOING_BEFORE_WAIT = 128
_OUTGOING_MAX = 4096

Answered = Callable[[Optional[rpc.Json]], None]
"""Called once, with None if the connection was lost first. Must not block."""


class DaemonLink:
    """See above."""

    def __init__(self, address: DaemonAddress) -> None:
        self._address = address
        self._until = time.monotonic() + _OPEN_SECONDS
        self._gate = threading.Condition()
        self._outgoing: Deque[Any] = deque()
        self._unanswered: Dict[int, Answered] = {}
        self._last_id = 0
        self._closing = False  # The writer sends what is queued, says goodbye and ends.
        self._closed = False
        self._abort_reason: Optional[str] = None
        self._socket = socket.create_connection((address.host, address.port), timeout=_OPEN_SECONDS)
        _open_sockets.add(self._socket)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._web = WebSocket(self._socket, self._until)

    @classmethod
    def open(cls, address: DaemonAddress, secret: str, name: str) -> "DaemonLink":
        """Connects and has both sides prove the secret. Raises DriverRefused, or OSError with a text in three parts."""
        link: Optional[DaemonLink] = None
        try:
            link = cls(address)
            link._web.upgrade(address)
            link._authenticate(secret, name)
            return link
        except DriverRefused:
            assert link is not None
            link.dispose()
            raise
        except OSError as error:
            if link is not None:
                link.dispose()
            raise OSError(f"Cannot connect to the daemon at {address}: {reason_of(error)}. Start clustd there or correct the address.") from error

    def call(self, method: str, params: rpc.Json) -> rpc.Json:
        """A request whose answer is awaited at once. Only before `start_writing`."""
        self._last_id += 1
        self._web.send_text(json.dumps(rpc.request(self._last_id, method, params)))
        while True:
            message = self._receive()
            if message is None:
                raise WebSocketError("the daemon closed the connection")
            if "method" not in message and message["id"] == self._last_id:
                return message
            if rpc.is_request(message):
                self._web.send_text(json.dumps(rpc.response(message, rpc.RpcError(rpc.METHOD_NOT_FOUND, f"'{message['method']}' came before the driver was registered."))))

    def start_writing(self) -> None:
        """From now on `send` and `request` are used."""
        self._web.until = None
        self._socket.settimeout(None)  # The lease thread aborts the link when renewals are not answered.
        self._web.send_pong = self._enqueue
        threading.Thread(target=self._write, name="clustd writer", daemon=True).start()

    def send(self, message: rpc.Json) -> None:
        """Queues a message; drops it if the connection is gone."""
        self._enqueue(json.dumps(message))

    def request(self, method: str, params: rpc.Json, answered: Answered) -> None:
        """Queues a request."""
        with self._gate:
            open_for_more = not self._closed and not self._closing
            self._last_id += 1
            identity = self._last_id
            if open_for_more:
                self._unanswered[identity] = answered
        if open_for_more:
            self.send(rpc.request(identity, method, params))
        else:
            answered(None)

    def read(self, receive: Callable[[rpc.Json], None]) -> None:
        """Reads until the connection ends, which it always reports by an OSError with the reason. Answers go to their requests, the rest to `receive`."""
        try:
            while True:
                message = self._receive()
                if message is None:
                    raise WebSocketError("the daemon closed it")
                if "method" in message:
                    if rpc.is_request(message):
                        self._await_room()
                    receive(message)
                else:
                    with self._gate:
                        answered = self._unanswered.pop(message["id"], None)
                    if answered is not None:
                        answered(message)
        except OSError as error:
            raise OSError(
                f"Lost the connection to the daemon at {self._address}: {self._abort_reason or reason_of(error)}. The driver keeps running while its lease lasts, and reconnects."
            ) from error
        finally:
            self.dispose()

    def abort(self, reason: str) -> None:
        """Ends the connection now, from any thread, without blocking."""
        with self._gate:
            self._abort_reason = self._abort_reason or reason
        self._shut()

    def close(self) -> None:
        """Sends what is queued, then a close frame, then ends the connection."""
        with self._gate:
            self._abort_reason = self._abort_reason or "the driver is shutting down"
            self._closing = True
            self._gate.notify_all()

    def dispose(self) -> None:
        """Ends the connection. Only by the thread that reads: a socket must not be closed under it."""
        self._shut()
        _open_sockets.discard(self._socket)
        self._socket.close()

    def _shut(self) -> None:
        with self._gate:
            if self._closed:
                return
            self._closed = True
            orphans, self._unanswered = list(self._unanswered.values()), {}
            self._gate.notify_all()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes a thread that is blocked in it.
        except OSError:
            pass  # Already gone, which is what was wanted.
        for answered in orphans:
            answered(None)

    def _authenticate(self, secret: str, name: str) -> None:
        key, nonce = handshake.key_of(secret), handshake.new_nonce()
        hello = self.call("hello", {"nonce": nonce, "name": name})
        daemon = rpc.object_of(hello, "result")
        if not handshake.is_nonce(daemon.get("nonce")):
            error = rpc.error_of(hello)
            raise WebSocketError(f"what listens there did not answer the greeting as clustd does ({error.message if error else 'no proof'})")
        # Only now, and only to one who knows the secret, do we show that we know it.
        expected = handshake.daemon_proof(key, nonce, daemon["nonce"])
        if not handshake.matches(daemon.get("proof"), expected) and not handshake.matches(daemon.get("oldProof"), expected):
            raise DriverRefused(
                f"Cannot trust the daemon at {self._address}: it could not prove that it knows this driver's secret. "
                "Use the same secret here as in cluster.secret there (and check that it is clustd that listens on that port)."
            )
        refusal = rpc.error_of(self.call("authenticate", {"proof": handshake.driver_proof(key, nonce, daemon["nonce"])}))
        if refusal is not None:
            raise DriverRefused(f"The daemon at {self._address} does not accept this driver's secret: {refusal.message} Use the same secret here as in cluster.secret there.")

    def _receive(self) -> Optional[rpc.Json]:
        text = self._web.receive()
        if text is None:
            return None
        message = rpc.parse(text)
        if message is None:
            self._stop_writing()
            raise self._web.refuse(1007, "message that is not JSON-RPC 2.0 (batches are not taken); send one object per message")
        return message

    def _stop_writing(self) -> None:
        # The close frame is the last one: nothing may come behind it, or into it.
        with self._gate:
            self._closing = True
            self._outgoing.clear()

    def _enqueue(self, item: Any) -> None:
        with self._gate:
            if self._closed or self._closing:
                return
            if len(self._outgoing) < _OUTGOING_MAX:
                self._outgoing.append(item)
                self._gate.notify_all()
                return
        self.abort("the daemon does not read what is sent to it")

    def _await_room(self) -> None:
        # Before a request is taken: a flood of them then slows down to the pace at which the daemon reads the answers.
        with self._gate:
            while len(self._outgoing) >= _OUTGOING_BEFORE_WAIT and not self._closed and not self._closing:
                self._gate.wait()

    def _write(self) -> None:
        try:
            while True:
                with self._gate:
                    while not self._outgoing and not self._closing and not self._closed:
                        self._gate.wait()
                    if self._closed:
                        return
                    if not self._outgoing:
                        break
                    item = self._outgoing.popleft()
                    if len(self._outgoing) == _OUTGOING_BEFORE_WAIT - 1:
                        self._gate.notify_all()  # Room again.
                if isinstance(item, bytes):
                    self._web.send_pong_now(item)
                else:
                    self._web.send_text(item)
            if self._abort_reason is not None:
                self._web.send_close(1000, self._abort_reason)
                self._shut()
        except OSError as error:
            self.abort(reason_of(error))


def reason_of(error: BaseException) -> str:
    """Why a connection cannot be used, in words."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    if isinstance(error, TimeoutError):
        return "no answer"
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")


# A child of os.fork would hold the connection open after this process has died, and the daemon would notice only when the lease is over.
_open_sockets: "weakref.WeakSet[socket.socket]" = weakref.WeakSet()


def _close_in_child() -> None:
    for inherited in list(_open_sockets):
        inherited.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
