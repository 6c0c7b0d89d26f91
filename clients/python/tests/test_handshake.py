import base64
import unittest

from clustd import handshake

SECRET = "correct horse battery staple"
CN = base64.b64encode(bytes(range(32))).decode()
DN = base64.b64encode(bytes(range(32, 64))).decode()


class HandshakeTests(unittest.TestCase):
    """The numbers of docs/protocol.md."""

    def test_the_key_and_both_proofs_are_those_of_the_document(self):
        key = handshake.key_of(SECRET)
        self.assertEqual(key.hex(), "5136a91427f286c4cd7f3eb1aa6f006b3681215f8f57ac67907f0b2f8f726528")
        self.assertEqual(handshake.daemon_proof(key, CN, DN), "vqzZE0uxJBS3vUA4o9ZTi9+E+MFQeX+fBX0lPF6P2uI=")
        self.assertEqual(handshake.driver_proof(key, CN, DN), "s9k5uiu6pl12sAVWq7iDBZVf+9s7u+upegq6vL8/KD0=")

    def test_a_proof_is_the_whole_text(self):
        self.assertTrue(handshake.matches("abc", "abc"))
        for wrong in (None, 5, "", "ab", "abd", "abc=", "\ud800"):
            self.assertFalse(handshake.matches(wrong, "abc"), wrong)

    def test_a_nonce_is_32_bytes(self):
        self.assertTrue(handshake.is_nonce(handshake.new_nonce()))
        for wrong in (None, 7, "", "A" * 44, CN[:-4], "ž" * 44, CN + "\n"):
            self.assertFalse(handshake.is_nonce(wrong), wrong)
