#!/usr/bin/env python3
"""Receives clustd's webhooks: checks the signature, counts every event once, ignores what is older than what it knows.

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
import time

SECRET = os.environ["CLUSTD_WEBHOOK_SECRET"]
KEY = base64.b64decode(SECRET[len("whsec_"):]) if SECRET.startswith("whsec_") else SECRET.encode()
TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 64 * 1024

seen = set()    # ids of the events that were acted on
newest = {}     # service -> the highest token that was started


def is_genuine(headers, body):
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    expected = base64.b64encode(hmac.new(KEY, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()
    # More than one while the secret is being changed.
    return any(hmac.compare_digest(f"v1,{expected}", each) for each in headers.get("webhook-signature", "").split())


def act(event):
    service, token = event["service"], event["token"]
    if token < newest.get(service, 0):
        return "old: another machine has started since"
    newest[service] = token
    # Put here what is to happen.
    return f"{service} {'starts' if event['isMaster'] else 'stops'} on {event['machine']} with token {token}: {event['reason']}"


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("content-length", 0)), BODY_BYTES_MAX))
        if not is_genuine(self.headers, body):
            self.answer(401, "the signature is wrong, or too old")
            return
        event_id = self.headers["webhook-id"]
        if event_id in seen:
            self.answer(200, "seen before")
            return
        said = act(json.loads(body))
        seen.add(event_id)
        print(said, flush=True)
        self.answer(200, said)

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
