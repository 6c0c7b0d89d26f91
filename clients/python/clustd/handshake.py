"""The proofs by which daemon and driver show each other that they know the secret, without sending it."""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Any


def new_nonce() -> str:
    """Base64 of 32 random bytes."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def is_nonce(text: Any) -> bool:
    """Whether a nonce has the form and length that is asked for; a shorter one would weaken the other side's proof."""
    try:
        return isinstance(text, str) and len(text) == 44 and len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def key_of(secret: str) -> bytes:
    """HKDF-SHA256 (RFC 5869) of the secret, no salt, info "clustd driver v1", 32 bytes: one block, so one round."""
    extracted = hmac.digest(bytes(32), secret.encode(), "sha256")
    return hmac.digest(extracted, b"clustd driver v1\x01", "sha256")


def daemon_proof(key: bytes, client_nonce: str, daemon_nonce: str) -> str:
    """What the daemon proves."""
    return _proof(key, f"clustd.v1/daemon\n{client_nonce}\n{daemon_nonce}")


def driver_proof(key: bytes, client_nonce: str, daemon_nonce: str) -> str:
    """What the driver proves."""
    return _proof(key, f"clustd.v1/driver\n{daemon_nonce}\n{client_nonce}")


def matches(proof: Any, expected: str) -> bool:
    """Whether both are the same, in a time that does not depend on where they differ."""
    return isinstance(proof, str) and hmac.compare_digest(proof.encode(errors="replace"), expected.encode())


def _proof(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
