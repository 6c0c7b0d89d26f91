import json
import socket
import struct
import threading
import time
import unittest

from clustd import rpc
from clustd.websocket import MESSAGE_BYTES_MAX, WebSocket, WebSocketError, accept_of


def frame(payload: bytes, opcode: int = 1, final: bool = True) -> bytes:
    length = len(payload)
    size = bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length) if length < 65_536 else b"\x7f" + struct.pack(">Q", length)
    return bytes([(0x80 if final else 0) | opcode]) + size + payload


class WebSocketTests(unittest.TestCase):
    def setUp(self):
        self.daemon, driver = socket.socketpair()
        self.web = WebSocket(driver, time.monotonic() + 20)
        self.addCleanup(self.daemon.close)
        self.addCleanup(driver.close)

    def send(self, data):
        threading.Thread(target=self._send, args=(self.daemon, data), daemon=True).start()

    @staticmethod
    def _send(daemon, data):
        try:
            daemon.sendall(data)
            daemon.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def said(self):
        """Opcode and payload of the one frame that the driver has sent."""
        head = self.daemon.recv(2, socket.MSG_WAITALL)
        self.assertTrue(head[1] & 0x80, "a client masks")
        length = head[1] & 0x7F
        mask, payload = self.daemon.recv(4, socket.MSG_WAITALL), self.daemon.recv(length, socket.MSG_WAITALL) if length else b""
        return head[0], bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    def test_the_accept_key_is_that_of_the_rfc(self):
        self.assertEqual(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_messages_of_every_length_of_length_and_in_pieces(self):
        for length in (0, 1, 125, 126, 65_535, 65_536, MESSAGE_BYTES_MAX):
            self.setUp()
            self.send(frame(b"x" * (length // 2), final=False) + frame(b"hi", opcode=9) + frame(b"x" * (length - length // 2), opcode=0))
            self.assertEqual(self.web.receive(), "x" * length)
            self.assertEqual(self.said(), (0x8A, b"hi"), "the ping in between is answered")

    def test_what_it_sends_is_masked_and_whole(self):
        self.web.send_text("žluťoučký 馬")
        self.assertEqual(self.said(), (0x81, "žluťoučký 馬".encode()))

    def test_what_no_server_may_send_closes_with_a_code(self):
        cases = {
            "binary": (frame(b"x", opcode=2), 1003),
            "too long": (frame(b"x" * (MESSAGE_BYTES_MAX + 1)), 1009),
            "too long in pieces": (frame(b"x" * MESSAGE_BYTES_MAX, final=False) + frame(b"x", opcode=0), 1009),
            "longer than memory": (b"\x81\x7f" + b"\xff" * 8, 1009),
            "not UTF-8": (frame(b"\xff"), 1007),
            "masked": (b"\x81\x81abcdx", 1002),
            "reserved bits": (b"\xc1\x00", 1002),
            "unknown opcode": (frame(b"", opcode=3), 1002),
            "continuation of nothing": (frame(b"", opcode=0), 1002),
            "a message in a message": (frame(b"", final=False) + frame(b""), 1002),
            "a ping in pieces": (frame(b"", opcode=9, final=False), 1002),
            "a long ping": (frame(b"x" * 126, opcode=9), 1002),
        }
        for name, (data, code) in cases.items():
            with self.subTest(name):
                self.setUp()
                self.send(data)
                with self.assertRaises(WebSocketError):
                    self.web.receive()
                opcode, payload = self.said()
                self.assertEqual((opcode, payload[:2]), (0x88, struct.pack(">H", code)))

    def test_an_end_in_the_middle_is_an_error_and_a_close_is_none(self):
        self.send(frame(b"whole")[:-1])
        with self.assertRaises(WebSocketError):
            self.web.receive()
        self.setUp()
        self.send(frame(struct.pack(">H", 1001), opcode=8))
        self.assertIsNone(self.web.receive())

    def test_a_peer_that_drips_is_given_up(self):
        self.web.until = time.monotonic() + 0.05
        with self.assertRaises(TimeoutError):
            self.web.receive()


class RpcTests(unittest.TestCase):
    def test_what_is_no_message_is_none(self):
        for text in ("", "x", "[]", "null", "5", "{}", '{"jsonrpc":"1.0","method":"a"}', '{"jsonrpc":"2.0"}', '{"jsonrpc":"2.0","method":5}', '{"jsonrpc":"2.0","id":true}', "[" * 100_000, '{"jsonrpc":"2.0","id":' + "9" * 5_000 + "}"):
            self.assertIsNone(rpc.parse(text), text[:40])

    def test_what_is_one_is_taken(self):
        for message in ({"jsonrpc": "2.0", "method": "a"}, {"jsonrpc": "2.0", "id": "x", "result": None}, {"jsonrpc": "2.0", "id": 1.5, "method": "a", "more": [1]}):
            self.assertEqual(rpc.parse(json.dumps(message)), message)
