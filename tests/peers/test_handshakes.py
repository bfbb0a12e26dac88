"""Peers that misbehave before they are connected harm nobody else (`spec/websocket.md` 3)."""

import contextlib
import os
import socket
import ssl
import unittest

from websockets.sync.client import connect

from harness import LIMIT_SECS, Case, free_port, is_open, wait_for

FLOW = """
define flow main
flow
  use tremor::pipelines;
  define connector server from ws_server
  with codec = "string", config = {config} end;
  create connector server;
  create pipeline echo from pipelines::passthrough;
  connect /connector/server to /pipeline/echo;
  connect /pipeline/echo to /connector/server;
end;
deploy flow main;
"""
STALLED = 200
# The first bytes of a TLS 1.2 record with a ClientHello of which nothing follows.
HALF_HELLO = bytes.fromhex("16030102000100")
HALF_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
PLAIN_REQUEST = b"GET /index.html HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
# Where clients are served while others stall: the others stay for longer than anybody waits here, so whoever is served was
# not behind one of them, however busy the machine. All of them fit into the queue of the listener: it is not what is tested.
STAYING = '"open_handshake_timeout": 600000, "backlog": 512'


def read_all(stalled: socket.socket) -> bytes:
    """Everything until the peer ends the connection, in whatever way."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := stalled.recv(65_536):
            data += chunk
    return data


class Handshakes(Case):
    def plain_server(self, more: str = "") -> int:
        port = free_port()
        self.program = self.tremor(FLOW.format(config=f'{{"url": "127.0.0.1:{port}"{more}}}'), wait_port=port)
        return port

    def tls_server(self, more: str = "") -> tuple[int, ssl.SSLContext]:
        port = free_port()
        cert, key = self.certificate()
        config = f'{{"url": "127.0.0.1:{port}", "tls": {{"cert": "{cert}", "key": "{key}"}}{more}}}'
        self.program = self.tremor(FLOW.format(config=config), wait_port=port)
        return port, ssl.create_default_context(cafile=cert)

    def tcp(self, port: int, first_bytes: bytes = b"") -> socket.socket:
        stalled = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECS)
        self.addCleanup(stalled.close)
        if first_bytes:
            stalled.sendall(first_bytes)
        return stalled

    def assert_served(self, client, text: str) -> None:
        client.send(text)
        self.assertEqual(client.recv(timeout=LIMIT_SECS), text)

    def assert_ended(self, stalled: list[socket.socket]) -> None:
        """The server ends every one of these connections by itself."""
        for connection in stalled:
            read_all(connection)

    def test_nobody_waits_for_stalled_tls_handshakes(self) -> None:
        port, context = self.tls_server(f", {STAYING}")
        self.assert_served_beside(HALF_HELLO, port, f"wss://localhost:{port}/", context)

    def test_nobody_waits_for_stalled_requests(self) -> None:
        port = self.plain_server(f", {STAYING}")
        self.assert_served_beside(HALF_REQUEST, port, f"ws://localhost:{port}/", None)

    def assert_served_beside(self, half: bytes, port: int, url: str, context: ssl.SSLContext | None) -> None:
        """Who is connected, and who comes late, is served while others say nothing, or `half` of something."""
        with connect(url, ssl=context, open_timeout=LIMIT_SECS) as client:
            self.assert_served(client, "before")
            stalled = [self.tcp(port, b"" if n % 2 else half) for n in range(STALLED)]
            for n in range(5):
                self.assert_served(client, f"meanwhile {n}")
            with connect(url, ssl=context, open_timeout=LIMIT_SECS) as late:
                self.assert_served(late, "a late client")
            for connection in stalled:
                connection.close()
            self.assert_served(client, "after")
        self.assert_quiet_end(self.program)

    def test_stalled_handshakes_are_ended(self) -> None:
        port, context = self.tls_server()
        with connect(f"wss://localhost:{port}/", ssl=context, open_timeout=LIMIT_SECS) as client:
            self.assert_ended([self.tcp(port, b"" if n % 2 else HALF_HELLO) for n in range(20)])
            self.assert_served(client, "after")
        self.assert_quiet_end(self.program)

    def test_stalled_requests_are_ended(self) -> None:
        port = self.plain_server()
        with connect(f"ws://localhost:{port}/", open_timeout=LIMIT_SECS) as client:
            self.assert_ended([self.tcp(port, b"" if n % 2 else HALF_REQUEST) for n in range(20)])
            self.assert_served(client, "after")
        self.assert_quiet_end(self.program)

    def test_broken_tls_hello(self) -> None:
        port, context = self.tls_server()
        with connect(f"wss://localhost:{port}/", ssl=context) as client:
            for n, garbage in enumerate((b"\0" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + os.urandom(512))):
                broken = self.tcp(port, garbage)
                broken.shutdown(socket.SHUT_WR)
                read_all(broken)
                self.assert_served(client, f"after broken hello {n}")
            # A client that trusts nobody ends the handshake itself.
            with self.assertRaises(ssl.SSLError):
                connect(f"wss://localhost:{port}/", ssl=ssl.create_default_context())
            self.assert_served(client, "after a client without trust")
        self.assert_quiet_end(self.program)

    def test_requests_that_are_no_upgrade(self) -> None:
        port = self.plain_server()
        # Request, first line of the answer, what must be in its head (`spec/websocket.md` 3.1).
        key = b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
        upgrade = b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        cases = [
            (PLAIN_REQUEST, 426, (b"upgrade: websocket", b"sec-websocket-version: 13")),
            (b"GET / HTTP/1.1\r\n" + upgrade + key + b"Sec-WebSocket-Version: 12\r\n\r\n", 426, (b"sec-websocket-version: 13",)),
            (b"POST / HTTP/1.1\r\n" + upgrade + key + b"Sec-WebSocket-Version: 13\r\n\r\n", 405, (b"allow: get",)),
            (b"GET / HTTP/1.1\r\n" + upgrade + b"Sec-WebSocket-Version: 13\r\n\r\n", 400, ()),
            (b"GET / HTTP/1.0\r\n" + upgrade + key + b"Sec-WebSocket-Version: 13\r\n\r\n", 505, ()),
            (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + upgrade + key + b"Sec-WebSocket-Version: 13\r\n\r\n", 414, ()),
            (b"nonsense\r\n\r\n", 400, ()),
        ]
        with connect(f"ws://localhost:{port}/") as client:
            for request, status, headers in cases:
                with self.subTest(request=request[:60], status=status):
                    answer = read_all(self.tcp(port, request))
                    head = answer.partition(b"\r\n\r\n")[0].lower()
                    self.assertTrue(head.startswith(b"http/1.1 %d " % status), answer[:200])
                    for header in (*headers, b"connection: ", b"content-length: "):
                        self.assertIn(header, head)
                self.assert_served(client, f"beside a {status}")
            # The one request that is right, for comparison: the accept value is a fixed function of the key.
            good = self.tcp(port, b"GET / HTTP/1.1\r\n" + upgrade + key + b"Sec-WebSocket-Version: 13\r\n\r\n")
            answer = wait_for("an answer", lambda: good.recv(4_096))
            self.assertTrue(answer.startswith(b"HTTP/1.1 101 "), answer)
            self.assertIn(b"Bz3qJYTGdOe8gUSpLosEdiLKDrk=", answer)
        self.assertTrue(is_open(port))
        self.assert_quiet_end(self.program)


if __name__ == "__main__":
    unittest.main()
