"""
A host that a service's drivers talk to: takes webhooks, and writes down, for each, what the world looked like at that moment, before it answers.

    neighbour.py PORT FILE NAME NAMESPACE=ADDRESS...

One JSON object per line: at (us of CLOCK_MONOTONIC), the body, what the name server on this host says of NAME, and in which of the namespaces the address is.
"""

import http.server
import json
import socket
import struct
import subprocess
import sys
import time

PORT, FILE, NAME = int(sys.argv[1]), sys.argv[2], sys.argv[3]
NAMESPACES = dict(argument.split("=") for argument in sys.argv[4:])


def look_up(name):
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.sendto(struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + question, ("127.0.0.1", 53))
        answer = udp.recv(512)
    count = struct.unpack(">H", answer[6:8])[0]
    # One record: behind the question come a pointer to its name, type, class, TTL and length, and then the four bytes.
    return socket.inet_ntoa(answer[12 + len(question) + 12:][:4]) if count == 1 else f"{count} records"


def holders():
    return [name for name, address in NAMESPACES.items() if f" {address}/" in subprocess.run(["ip", "-n", name, "-o", "address"], capture_output=True, text=True, check=True).stdout]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        seen = {"at": time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, "body": body, "name": look_up(NAME), "holders": holders()}
        with open(FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(seen) + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("", PORT), Receiver).serve_forever()
