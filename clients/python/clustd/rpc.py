"""JSON-RPC 2.0, as the driver protocol has it."""

import json
from typing import Any, Callable, Dict, NamedTuple, Optional, TypeGuard, Union

INVALID_PARAMS = -32602
METHOD_NOT_FOUND = -32601
TRIGGER_FAILED = -32001
TRIGGER_CANCELLED = -32002
TRIGGER_SUPERSEDED = -32003
NO_LEASE = -32004
SHUTTING_DOWN = -32005
INSTANCE_BUSY = -32011

TEXT_CHARACTERS_MAX = 4_000  # Of an error or reason; the rest is cut, so that a stack trace cannot close the connection.

Id = Union[int, str]
Json = Dict[str, Any]


class RpcError(NamedTuple):
    """Why a request failed."""

    code: int
    message: str


Reply = Callable[[Optional[RpcError]], None]
"""Called once, with None for success. Must not block."""


def parse(text: str) -> Optional[Json]:
    """The message in this text, or None if it is not one."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return None
    method, identity = message.get("method"), message.get("id")
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, (int, float, str))):
        return None
    return message if isinstance(method, str) or (method is None and identity is not None) else None


def request(identity: int, method: str, params: Json) -> Json:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def response(to: Json, error: Optional[RpcError]) -> Json:
    if error is None:
        return {"jsonrpc": "2.0", "id": to["id"], "result": {}}
    return {"jsonrpc": "2.0", "id": to["id"], "error": {"code": error.code, "message": cut(error.message)}}


def is_request(message: Json) -> bool:
    return "method" in message and message.get("id") is not None


def error_of(answer: Json) -> Optional[RpcError]:
    """Why it failed; None: it has not."""
    error = answer.get("error")
    if error is None:
        return None
    if not isinstance(error, dict):
        return RpcError(0, str(error))
    code, message = error.get("code"), error.get("message")
    return RpcError(code if is_integer(code) else 0, message if isinstance(message, str) else "")


def object_of(message: Json, field: str) -> Json:
    """A field that is an object; what is missing or something else is an empty one."""
    value = message.get(field)
    return value if isinstance(value, dict) else {}


def is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def cut(text: str) -> str:
    return text[:TEXT_CHARACTERS_MAX]
