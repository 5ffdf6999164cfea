"""Sees how a connection over TLS ends, and prints a report; see tls_end_test.go."""

import json
import socket
import ssl
import sys

address, way = sys.argv[1:]
host, port = address.split(":")
context = ssl.create_default_context()  # reads all of the machine's authorities
plain = socket.create_connection((host, int(port)), timeout=60)
tls = context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)

UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"


def ask(path, fields=""):
    tls.sendall(f"GET {path} HTTP/1.1\r\nHost: push\r\n{fields}\r\n".encode())


def read_until(want):
    text = b""
    while want not in text:
        part = tls.recv(4096)
        assert part, text
        text += part
    return text


def read_on():
    """Reads to the end and returns what came and how it ended."""
    text = b""
    try:
        while part := tls.recv(4096):
            text += part
    except ssl.SSLZeroReturnError:  # where both sides have ended
        pass
    except ssl.SSLEOFError:
        return text, "no close_notify"
    except OSError as error:
        return text, repr(error)
    return text, "close_notify"


text, end = b"", None
match way:
    case "close":
        ask("/healthz", "Connection: close\r\n")
    case "half":
        # A close_notify ends only the client's side. unwrap would wait for the other's too.
        ask("/v1/poll?channels=half&wait=50")
        print("here", flush=True)
        tls.setblocking(False)
        try:
            tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        tls.setblocking(True)
    case "first":
        ask("/healthz")
        text = read_until(b"ok\n")
        end = "close_notify" if tls.unwrap().recv(1) == b"" else "more"
    case "websocket":
        ask("/v1/ws", UPGRADE)
        text = read_until(b"welcome")
        tls.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    case "silent":
        pass
    case "malformed":
        tls.sendall(b"GET nothing\r\n\r\n")
    case "drained-websocket":
        ask("/v1/ws?channels=end", UPGRADE)
        text = read_until(b"subscribed")
        print("here", flush=True)
    case "drained-events":
        ask("/v1/sse?channels=end")
        text = read_until(b"subscribed")
        print("here", flush=True)
    case "drained-poll":
        ask("/v1/poll?channels=end&wait=50")
        print("here", flush=True)
if end is None:
    more, end = read_on()
    text += more
    if end == "close_notify":
        try:
            tls.unwrap()
        except OSError as error:
            end = f"close_notify, then {error!r}"
print()
print(json.dumps({"text": text.decode(errors="replace"), "end": end}))
