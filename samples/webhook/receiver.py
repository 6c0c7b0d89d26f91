#!/usr/bin/env python3
"""Receives clustd's webhooks: checks the signature, acts on every event once, and on none that a newer one has overtaken.

    CLUSTD_WEBHOOK_SECRET=whsec_... ./receiver.py 8080

Only Python's own library. Keeps what it knows in memory; a real one keeps it where it keeps its other data.
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time

SECRET = os.environ["CLUSTD_WEBHOOK_SECRET"]
KEY = base64.b64decode(SECRET[len("whsec_"):]) if SECRET.startswith("whsec_") else SECRET.encode()
TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 64 * 1024

acting = threading.Lock()
newest = {}     # service -> the newest event that was acted on


def is_genuine(headers, body):
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20) or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{event_id}.{timestamp}.".encode("latin-1") + body
    expected = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    # More than one while the secret is being changed.
    return any(hmac.compare_digest(expected, each.encode("latin-1")) for each in headers.get("webhook-signature", "").split())


def act(event):
    with acting:
        return act_once(event)


def act_once(event):
    # A grant's start comes before its stop, and both before all of a newer grant. So one comparison keeps away what comes twice, and what comes late.
    service, at = event["service"], (event["token"], event["round"], 0 if event["isMaster"] else 1)
    if at <= newest.get(service, (0, 0, 0)):
        return "seen before, or overtaken by a newer event"
    newest[service] = at
    # Put here what is to happen.
    said = f"{service} {'starts' if event['isMaster'] else 'stops'} on {event['machine']} with token {event['token']}: {event['reason']}"
    print(said, flush=True)
    return said


class Receiver(http.server.BaseHTTPRequestHandler):
    timeout = 10    # seconds, for who connects and says nothing

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= BODY_BYTES_MAX):
            self.answer(413, f"no body, or one of more than {BODY_BYTES_MAX} bytes")
            return
        body = self.rfile.read(int(length))
        if not is_genuine(self.headers, body):
            self.answer(401, "the signature is wrong, or too old")
            return
        self.answer(200, act(json.loads(body)))

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode() + b"\n")

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
