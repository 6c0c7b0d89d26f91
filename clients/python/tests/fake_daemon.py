"""A daemon for one driver, in the test's own process: as much of docs/protocol.md as these tests need. The whole of it is what tests/Clustd.Conformance checks."""

import base64
import json
import queue
import socket
import struct
import threading
from typing import Any, Dict, Optional

from clustd import handshake
from clustd.websocket import accept_of

PATIENCE = 30  # Seconds; only a test that fails waits that long.
SECRET = "a secret of the tests"


class FakeDaemon:
    def __init__(self, lease_us: int = 20_000_000, kill_timeout_us: int = 5_000_000) -> None:
        self.left_us: Optional[int] = lease_us
        self.answers_renewals = True
        self.lease_us, self.kill_timeout_us = lease_us, kill_timeout_us
        self.registrations: "queue.Queue[Dict[str, Any]]" = queue.Queue()
        self.heard: "queue.Queue[Dict[str, Any]]" = queue.Queue()  # Reports and proofs.
        self._answers: Dict[int, "queue.Queue[Dict[str, Any]]"] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        self._socket: Optional[socket.socket] = None
        self._sending = threading.Lock()
        self._last_id = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "FakeDaemon":
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the thread that accepts, which a close alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def trigger(self, is_master: bool, token: int, kill: bool = False, limit_us: int = 30_000_000) -> Dict[str, Any]:
        """Tells the driver, and returns its answer."""
        return self.ask(is_master, token, kill, limit_us).get(timeout=PATIENCE)

    def ask(self, is_master: bool, token: int, kill: bool = False, limit_us: int = 30_000_000, **more: Any) -> "queue.Queue[Dict[str, Any]]":
        self._last_id += 1
        answer = self._answers[self._last_id] = queue.Queue()
        params = {"service": "default", "isMaster": is_master, "token": token, "reason": "the test says so", "sequence": self._last_id, "limitUs": limit_us, "kill": kill, **more}
        self._send({"jsonrpc": "2.0", "id": self._last_id, "method": "trigger", "params": params})
        return answer

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self._socket = connection
            try:
                self._serve(connection)
            except OSError:
                pass
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        with stream:
            fields = {}
            while (line := stream.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                fields[name.lower()] = value.strip()
            if "sec-websocket-key" not in fields:
                return
            connection.sendall(
                f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_of(fields['sec-websocket-key'])}\r\n"
                "Sec-WebSocket-Protocol: clustd.v1\r\n\r\n".encode()
            )
            key, nonce = handshake.key_of(SECRET), base64.b64encode(bytes(range(32))).decode()
            while (message := self._read(stream)) is not None:
                method, params = message.get("method"), message.get("params", {})
                if method is None:
                    self._answers.pop(message["id"]).put(message)
                elif method == "hello":
                    self._answer(message, {"machine": "cm-1", "nonce": nonce, "proof": handshake.daemon_proof(key, params["nonce"], nonce)})
                elif method == "register":
                    self._answer(message, {"machine": "cm-1", "leaseUs": self.lease_us, "renewEveryUs": self.lease_us // 6, "killTimeoutUs": self.kill_timeout_us, "services": ["default"]})
                    self.registrations.put(params)
                elif method == "renew":
                    if self.answers_renewals:
                        self._answer(message, {"stamp": params["stamp"], "leftUs": self.left_us})
                else:
                    self._answer(message, {})
                    if method != "authenticate":
                        self.heard.put(message)

    def _read(self, stream: Any) -> Optional[Dict[str, Any]]:
        head = stream.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", stream.read(2))
        mask, payload = stream.read(4), stream.read(length)
        return json.loads(bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))

    def _answer(self, to: Dict[str, Any], result: Dict[str, Any]) -> None:
        self._send({"jsonrpc": "2.0", "id": to["id"], "result": result})

    def _send(self, message: Dict[str, Any]) -> None:
        payload = json.dumps(message).encode()
        size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
        assert self._socket is not None
        with self._sending:
            self._socket.sendall(b"\x81" + size + payload)
