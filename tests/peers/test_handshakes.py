"""Peers that misbehave before they are connected harm nobody else (`spec/websocket.md` 3)."""

import contextlib
import os
import socket
import ssl
import unittest

from harness import LIMIT_SECS, Case, connect, free_port, is_open, wait_for

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
        with connect(url, ssl=context) as client:
            self.assert_served(client, "before")
            stalled = [self.tcp(port, b"" if n % 2 else half) for n in range(STALLED)]
            for n in range(5):
                self.assert_served(client, f"meanwhile {n}")
            with connect(url, ssl=context) as late:
                self.assert_served(late, "a late client")
            for connection in stalled:
                connection.close()
            self.assert_served(client, "after")
        self.assert_quiet_end(self.program)

    def test_stalled_handshakes_are_ended(self) -> None:
        port, context = self.tls_server()
        with connect(f"wss://localhost:{port}/", ssl=context) as client:
            self.assert_ended([self.tcp(port, b"" if n % 2 else HALF_HELLO) for n in range(20)])
            self.assert_served(client, "after")
        self.assert_quiet_end(self.program)

    def test_stalled_requests_are_ended(self) -> None:
        port = self.plain_server()
        with connect(f"ws://localhost:{port}/") as client:
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

    def test_smuggled_requests(self) -> None:
        """What proxies may read in another way is refused, and what is hidden behind it is not answered."""
        port = self.plain_server()
        hidden = b"GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n"
        lines = [
            b"GET / HTTP/1.1",
            b"Host: localhost",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==",
        ]

        def request(first: bytes = lines[0], *more: bytes, end: bytes = b"\r\n") -> bytes:
            return end.join([first, *lines[1:], *more, b"", b""])

        cases = {
            "a length": request(lines[0], b"Content-Length: %d" % len(hidden)),
            "two lengths": request(lines[0], b"Content-Length: 0", b"Content-Length: %d" % len(hidden)),
            "a list of lengths": request(lines[0], b"Content-Length: 0, 0"),
            "a length with a sign": request(lines[0], b"Content-Length: +0"),
            "chunks": request(lines[0], b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
            "chunks in disguise": request(lines[0], b"Transfer-Encoding: xchunked"),
            "chunks and a length": request(lines[0], b"Content-Length: 0", b"Transfer-Encoding : chunked"),
            "two hosts": request(lines[0], b"Host: hidden"),
            "two hosts, one in the target": request(b"GET http://hidden/ HTTP/1.1"),
            "a name in the target": request(b"GET http://user@localhost/ HTTP/1.1"),
            "a folded line": request(lines[0], b"X-A: a", b" Content-Length: 5"),
            "a folded first line": request(lines[0] + b"\r\n X-A: a"),
            "a space in front of the colon": request(lines[0], b"Content-Length : 0"),
            "a NUL": request(lines[0], b"X-A: a\0b"),
            "a bare CR": request(lines[0], b"X-A: a\rContent-Length: 5"),
            "a bare LF": request(lines[0], b"X-A: a\nContent-Length: 5"),
            "LF at all ends": request(end=b"\n"),
            "a line end in the path": request(b"GET /a\r\nX-A: b HTTP/1.1"),
            "a tab in the first line": request(b"GET\t/ HTTP/1.1"),
            "two spaces in the first line": request(b"GET  / HTTP/1.1"),
            "encoded dots": request(b"GET /a/%2e%2E/b HTTP/1.1"),
            "dots": request(b"GET /a/../b HTTP/1.1"),
            "half an escape": request(b"GET /%2 HTTP/1.1"),
            "a fragment": request(b"GET /#a HTTP/1.1"),
            "no origin form": request(b"GET * HTTP/1.1"),
        }
        with connect(f"ws://localhost:{port}/") as client:
            for name, bad in cases.items():
                with self.subTest(name):
                    answer = read_all(self.tcp(port, bad + hidden))
                    self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer[:200])
                    self.assertEqual(answer.count(b"HTTP/1.1"), 1, answer)
                    self.assertNotIn(b"hidden", answer)
            with self.subTest("a line end in escapes is a part of the path"):
                good = self.tcp(port, request(b"GET /a%0d%0aX-A:%20b HTTP/1.1"))
                answer = wait_for("an answer", lambda: good.recv(4_096))
                self.assertTrue(answer.startswith(b"HTTP/1.1 101 "), answer)
                self.assertNotIn(b"X-A", answer)
            self.assert_served(client, "after all of them")
        self.assert_quiet_end(self.program)


if __name__ == "__main__":
    unittest.main()
