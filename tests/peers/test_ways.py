"""Ways of `ws_client` to a server: proxies that speak TLS, TLS inside a tunnel, redirects from plain to encrypted
(`spec/websocket.md` 8, 12.3)."""

import contextlib
import socket
import ssl
import subprocess
import threading
import unittest

import answers
from harness import Case, Program, free_port, is_open, patient, tremor_binary, wait_for

CLIENT = """
define flow main
flow
  use tremor::{{connectors, pipelines}};
  define connector client from ws_client
  with
    codec = "string",
    config = {config},
    reconnect = {{"retry": {{"interval_ms": 1, "max_retries": 1}}}}
  end;
  define pipeline told
  pipeline
    select "#{{event}} from #{{$ws_client.scheme}} #{{$ws_client.authority}}#{{$ws_client.path}}" from in into out;
  end;
  create connector client;
  create connector console from connectors::console;
  create pipeline send from pipelines::passthrough;
  create pipeline told;
  connect /connector/console to /pipeline/send;
  connect /pipeline/send to /connector/client;
  connect /connector/client to /pipeline/told;
  connect /pipeline/told to /connector/console;
end;
deploy flow main;
"""


def head_of(stream: socket.socket) -> str:
    """What comes until an empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = stream.recv(1)
        if not more:
            raise ConnectionError("it ended inside a request")
        head += more
    return head.decode()


class Listener:
    """Hands each connection, decrypted if there is a certificate, and its request to `serve`, in a thread of its own."""

    def __init__(self, serve, pair: tuple[str, str] | None = None):
        self.serve = serve
        self.heads: list[str] = []
        self.tls = None
        if pair:
            self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.tls.load_cert_chain(*pair)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self.socket.accept()
                threading.Thread(target=self.work, args=[stream], daemon=True).start()

    def work(self, stream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.tls:
                stream = self.tls.wrap_socket(stream, server_side=True)
            with stream:
                self.heads.append(head_of(stream))
                self.serve(stream, self.heads[-1])


def tunnel(stream: socket.socket, head: str) -> None:
    """Does what CONNECT asks for."""
    host, port = head.split(" ")[1].rsplit(":", 1)
    with socket.create_connection(("127.0.0.1" if host == "localhost" else host, int(port))) as there:
        stream.sendall(b"HTTP/1.1 200 Here you are\r\n\r\n")

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := there.recv(65536):
                    stream.sendall(data)
                stream.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        with contextlib.suppress(OSError):
            while data := stream.recv(65536):
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)
        thread.join()


class Ways(Case):
    def setUp(self) -> None:
        super().setUp()
        self.pair = self.certificate()

    def server(self, **config) -> int:
        port = free_port()
        flow = answers.flow({"url": f"127.0.0.1:{port}", **config})
        (self.folder / "server.troy").write_text(flow)
        self.start("server", [tremor_binary(), "server", "run", "--no-api", "server.troy"])
        wait_for("the server", lambda: is_open(port))
        return port

    def listener(self, serve, pair: tuple[str, str] | None = None) -> Listener:
        listener = Listener(serve, pair)
        self.addCleanup(listener.socket.close)
        return listener

    def client(self, config: dict, **more) -> Program:
        program = self.tremor(CLIENT.format(config=patient(config)), stdin=subprocess.PIPE, **more)
        program.process.stdin.write(b"hello\n")
        program.process.stdin.flush()
        return program

    def assert_answered(self, program: Program, place: str) -> None:
        wait_for("the answer", lambda: program.out.read_text() == f"hello from {place}\n" or program.process.poll() is not None)
        self.assertEqual(program.out.read_text(), f"hello from {place}\n", program.text())
        self.assert_quiet_end(program)

    def test_a_proxy_that_speaks_tls_leads_to_a_plain_server(self) -> None:
        port, proxy = self.server(), self.listener(tunnel, self.pair)
        way = {"url": f"https://me:pw@localhost:{proxy.port}", "tls": {"cafile": self.pair[0]}}
        client = self.client({"url": f"ws://127.0.0.1:{port}/a", "proxy": way})
        self.assert_answered(client, f"http 127.0.0.1:{port}/a")
        self.assertTrue(proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n"), proxy.heads)
        self.assertIn("Proxy-Authorization: Basic bWU6cHc=\r\n", proxy.heads[0])

    def test_tls_goes_through_a_tunnel_whether_that_is_encrypted_or_not(self) -> None:
        cert, key = self.pair
        port = self.server(tls={"cert": cert, "key": key})
        for scheme, pair in (("http", None), ("https", self.pair)):
            proxy = self.listener(tunnel, pair)
            way = {"url": f"{scheme}://localhost:{proxy.port}"}
            if pair:
                way["tls"] = {"cafile": cert}
            client = self.client({"url": f"wss://localhost:{port}/b", "tls": {"cafile": cert}, "proxy": way})
            self.assert_answered(client, f"https localhost:{port}/b")
            self.assertEqual(len(proxy.heads), 1)
            self.assertTrue(proxy.heads[0].startswith(f"CONNECT localhost:{port} "), proxy.heads)

    def test_a_proxy_that_is_not_trusted_is_not_told_who_we_are(self) -> None:
        port, proxy = self.server(), self.listener(tunnel, self.pair)
        client = self.client({"url": f"ws://127.0.0.1:{port}/", "proxy": f"https://me:pw@localhost:{proxy.port}"})
        self.assertEqual(client.wait(), 1, client.text())
        self.assertIn(f"through the proxy https://localhost:{proxy.port}", client.text())
        self.assertIn("certificate", client.text())
        self.assertNotIn("pw", client.err.read_text())
        self.assertEqual(proxy.heads, [])

    def test_a_redirect_leads_from_plain_to_encrypted(self) -> None:
        cert, key = self.pair
        port = self.server(tls={"cert": cert, "key": key})
        for location in (f"wss://localhost:{port}/c", f"https://localhost:{port}/c"):
            answer = f"HTTP/1.1 308 There\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
            first = self.listener(lambda stream, _head: stream.sendall(answer))
            config = {"url": f"ws://127.0.0.1:{first.port}/", "max_redirects": 1, "headers": {"X-Token": "secret"}}
            # Whom the system trusts is trusted where a redirect leads.
            client = self.client(config, env={"SSL_CERT_FILE": cert})
            self.assert_answered(client, f"https localhost:{port}/c")
            self.assertIn("X-Token: secret", first.heads[0])

    def test_whom_the_system_trusts_is_trusted_besides_a_file_only_where_that_is_said(self) -> None:
        cert, key = self.pair
        port, (other, _) = self.server(tls={"cert": cert, "key": key}), self.certificate("other")
        url, env = f"wss://localhost:{port}/d", {"SSL_CERT_FILE": cert}
        client = self.client({"url": url, "tls": {"cafile": other, "add_system_roots": True}}, env=env)
        self.assert_answered(client, f"https localhost:{port}/d")
        client = self.client({"url": url, "tls": {"cafile": other}}, env=env)
        self.assertEqual(client.wait(), 1, client.text())
        self.assertIn("TLS handshake with `localhost` failed", client.text())

    def test_a_redirect_from_encrypted_to_plain_is_not_followed(self) -> None:
        port = self.server()
        answer = f"HTTP/1.1 307 There\r\nLocation: ws://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n".encode()
        first = self.listener(lambda stream, _head: stream.sendall(answer), self.pair)
        client = self.client({"url": f"wss://localhost:{first.port}/", "max_redirects": 1, "tls": {"cafile": self.pair[0]}})
        self.assertEqual(client.wait(), 1, client.text())
        self.assertIn("the server redirects (307) from TLS to a connection without, which is never followed", client.text())


if __name__ == "__main__":
    unittest.main()
