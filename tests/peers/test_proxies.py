"""nginx and HAProxy between peers and `tremor` (`spec/websocket.md` 2.2, 2.3, 12.1)."""

import json
import pathlib
import signal
import socket
import ssl
import subprocess
import unittest

from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

import answers
from harness import LIMIT_SECS, Case, connect, free_port, patient, tremor_binary, wait_for
from proxies import IMPATIENT, IMPATIENT_PATH, haproxy, nginx
from test_reconnect import Server
from test_sessions import CLIENT as CLIENT_FLOW

# Where clients are: not where the proxies are, which is 127.0.0.1.
CLIENT = "127.0.0.7"
SESSION = {"count": 1_000, "edge_every": 100, "protocols": ["chat"], "pings": 3, "close": [4999, "done"]}
SENDER = """
define flow main
flow
  use tremor::{{connectors, pipelines}};
  define connector client from ws_client
  with
    codec = "string",
    config = {{"url": "ws://127.0.0.1:{port}/", "open_handshake_timeout": 600000}},
    reconnect = {{"retry": {{"interval_ms": 50, "growth_rate": 1}}}}
  end;
  create connector client;
  create connector console from connectors::console;
  create pipeline send from pipelines::passthrough;
  connect /connector/console to /pipeline/send;
  connect /pipeline/send to /connector/client;
end;
deploy flow main;
"""
ASKER = """
define flow main
flow
  use tremor::{{connectors, pipelines}};
  define connector client from ws_client
  with codec = "string", config = {config}, reconnect = {{"retry": {{"interval_ms": 100, "max_retries": 2}}}} end;
  create connector client;
  create connector console from connectors::console;
  create pipeline ask from pipelines::passthrough;
  create pipeline hear from pipelines::passthrough;
  connect /connector/console to /pipeline/ask;
  connect /pipeline/ask to /connector/client;
  connect /connector/client to /pipeline/hear;
  connect /pipeline/hear to /connector/console;
end;
deploy flow main;
"""


class Proxies(Case):
    def server(self, config: dict) -> int:
        """A server with `config`; its port."""
        port = free_port()
        self.program = self.tremor(answers.flow({"url": f"127.0.0.1:{port}", **config}), wait_port=port)
        return port

    def who(self, port: int, tls: ssl.SSLContext | None = None, **more) -> dict:
        """What the server knows of a client that comes from `CLIENT` to this port of a proxy."""
        url = f"wss://localhost:{port}/who" if tls else f"ws://127.0.0.1:{port}/who"
        tcp = socket.create_connection(("127.0.0.1", port), source_address=(CLIENT, 0))
        with connect(url, sock=tcp, ssl=tls, **more) as client:
            client.send("who am I?")
            return json.loads(client.recv())

    def converse(self, url: str, **more) -> None:
        """Whole sessions through a proxy: both with and without compression, and one that our side closes."""
        sessions = [{**SESSION, **more, "url": url}, {**SESSION, **more, "url": url, "deflate": {}}]
        sessions.append({**more, "url": f"{url}leave", "leave": "bye"})
        seen = self.seen_by(self.peer_client("node", sessions))
        self.assertEqual([one["closed"] for one in seen], [[4999, "done"], [4999, "done"], answers.LEFT])
        self.assertEqual([one["compressed"] for one in seen], [False, True, False])
        self.assertEqual([one["protocol"] for one in seen], ["chat", "chat", None])

    def assert_pings_keep_it(self, url: str) -> None:
        """A proxy that is impatient there cuts a connection over which nothing goes, but not one over which we ping."""
        with connect(url) as pinged, connect(f"{url}silent") as silent:
            with self.assertRaises(ConnectionClosed):
                silent.recv(timeout=LIMIT_SECS)
            # This one was opened earlier, and nothing has been said on it either.
            pinged.send("still here")
            self.assertEqual(pinged.recv(timeout=LIMIT_SECS), "still here")

    def settings(self, **more) -> dict:
        """Of a server behind a proxy; the route for `/silent` does without pings."""
        options = {"echo_close_codereason": True, "compression": {"deflate": {}}, "subprotocols": ["chat"]}
        pinged = {"auto_ping_interval": 200, "auto_ping_timeout": 20_000}
        routes = [{"when": [{"path": "/silent"}], "exit": "silent"}, {"exit": "all", "options": pinged}]
        return {**options, "routes": routes, **more}

    def test_nginx_passes_everything_on(self) -> None:
        cert, key = self.certificate()
        upstream = self.server(self.settings())
        _, plain, over_tls = nginx(self, upstream, (cert, key))
        self.converse(f"ws://127.0.0.1:{plain}/")
        self.converse(f"wss://localhost:{over_tls}/", cafile=cert)
        self.assert_pings_keep_it(f"ws://127.0.0.1:{plain}{IMPATIENT_PATH}")
        self.assert_quiet_end(self.program)

    def test_nginx_is_believed_if_it_is_trusted(self) -> None:
        cert, key = self.certificate()
        upstream = self.server({"trusted_proxies": ["127.0.0.1"]})
        _, plain, over_tls = nginx(self, upstream, (cert, key))
        # What clients say of themselves stands in front of what the proxy adds.
        lie = {"X-Forwarded-For": "192.0.2.1"}
        shown = self.who(plain, additional_headers=lie)
        self.assertEqual((shown["peer"]["host"], shown["scheme"]), (CLIENT, "http"))
        self.assertEqual(shown["authority"], f"127.0.0.1:{plain}")
        shown = self.who(over_tls, ssl.create_default_context(cafile=cert), additional_headers=lie)
        self.assertEqual((shown["peer"]["host"], shown["scheme"], shown["tls"]), (CLIENT, "https", False))
        self.assertEqual(shown["authority"], f"localhost:{over_tls}")
        # Who is no proxy is not believed.
        shown = self.who(upstream, additional_headers=lie)
        self.assertEqual((shown["peer"]["host"], shown["scheme"]), (CLIENT, "http"))
        self.assert_quiet_end(self.program)

    def test_nginx_is_not_believed_otherwise(self) -> None:
        upstream = self.server({})
        _, plain, _ = nginx(self, upstream)
        self.assertEqual(self.who(plain)["peer"]["host"], "127.0.0.1")
        self.assert_quiet_end(self.program)

    def test_haproxy_passes_everything_on(self) -> None:
        cert, key = self.certificate()
        pair = self.folder / "pair.pem"
        pair.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        upstream = self.server(self.settings(trusted_proxies=["127.0.0.1"], health="/healthz"))
        http = (
            "{bind}\n  mode http\n  option forwardfor\n  http-request set-header X-Forwarded-Proto {scheme}\n"
            "  option httpchk GET {health} HTTP/1.1\n  http-check send hdr Host localhost\n  http-check expect status 200\n"
            f"  server s 127.0.0.1:{upstream} check inter 100ms fall 1"
        )
        plain, over_tls, sick, impatient = haproxy(
            self,
            [
                http.format(bind="", scheme="http", health="/healthz"),
                http.format(bind=f"ssl crt {pair}", scheme="https", health="/healthz"),
                http.format(bind="", scheme="http", health="/"),
                http.format(bind=f"\n  {IMPATIENT}", scheme="http", health="/healthz"),
            ],
        )
        self.converse(f"ws://127.0.0.1:{plain}/")
        self.converse(f"wss://localhost:{over_tls}/", cafile=cert)
        self.assertEqual(self.who(plain)["peer"]["host"], CLIENT)
        self.assertEqual(self.who(over_tls, ssl.create_default_context(cafile=cert))["scheme"], "https")
        self.assert_pings_keep_it(f"ws://127.0.0.1:{impatient}/")

        def is_down() -> bool:
            try:
                with connect(f"ws://127.0.0.1:{sick}/"):
                    pass
            except InvalidStatus as refused:
                return refused.response.status_code == 503
            return False

        # No page is where it looks, so that it does not send anybody there; at the other one it does.
        wait_for("HAProxy to see that nothing is healthy there", is_down)
        self.assert_quiet_end(self.program)

    def test_haproxy_speaks_http2(self) -> None:
        """To us, whatever its clients speak; our client speaks it to HAProxy, too."""
        cert, key = self.certificate()
        pair = self.folder / "pair.pem"
        pair.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        upstream = self.server(self.settings(trusted_proxies=["127.0.0.1"], http2=True, expose_headers="all"))
        http = f"{{bind}}\n  mode http\n  option forwardfor\n  server s 127.0.0.1:{upstream} proto h2"
        binds = ["", f"ssl crt {pair} alpn h2,http/1.1", f"\n  {IMPATIENT}"]
        plain, over_tls, impatient = haproxy(self, [http.format(bind=bind) for bind in binds])
        self.converse(f"ws://127.0.0.1:{plain}/")
        self.converse(f"wss://localhost:{over_tls}/", cafile=cert)
        shown = self.who(plain)
        self.assertEqual(shown["peer"]["host"], CLIENT)
        # Only a request by HTTP/1.1 has this header.
        self.assertNotIn("upgrade", shown["headers"])
        self.assert_pings_keep_it(f"ws://127.0.0.1:{impatient}/")
        config = {"url": f"wss://localhost:{over_tls}/who", "tls": {"cafile": cert}, "http2": True}
        who, said = self.ask(config)
        self.assertNotIn("upgrade", json.loads(who)["headers"])
        self.assertNotIn("HTTP/1.1 is spoken with it", said)
        self.assert_quiet_end(self.program)

    def test_nginx_speaks_http2_but_takes_no_websockets_there(self) -> None:
        cert, key = self.certificate()
        upstream = self.server({"expose_headers": "all"})
        _, _, over_tls = nginx(self, upstream, (cert, key), with_http2=True)
        who, said = self.ask({"url": f"wss://localhost:{over_tls}/who", "tls": {"cafile": cert}, "http2": True})
        self.assertIn("upgrade", json.loads(who)["headers"])
        self.assertIn("takes no WebSockets over HTTP/2, so HTTP/1.1 is spoken with it", said)
        self.assert_quiet_end(self.program)

    def ask(self, config: dict) -> tuple[str, str]:
        """What our client with `config` is answered, and all that its program says."""
        flow = ASKER.format(config=patient(config))
        (self.folder / "asker.troy").write_text(flow)
        args = [tremor_binary(), "server", "run", "--no-api", "asker.troy"]
        asker = self.start("asker", args, stdin=subprocess.PIPE, env={"RUST_LOG": "info"})
        asker.process.stdin.write(b"?\n")
        asker.process.stdin.flush()
        lines = lambda: [line for line in asker.out.read_text().splitlines(keepends=True) if line.startswith("{") and line.endswith("\n")]
        answer = wait_for("an answer", lambda: (found := lines()) and found[0])
        self.assert_quiet_end(asker)
        return answer, asker.text()

    def test_haproxy_says_with_the_proxy_protocol_who_is_there(self) -> None:
        cert, key = self.certificate()
        pair = self.folder / "pair.pem"
        pair.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        config = {"proxy_protocol": "any", "proxy_protocol_from": ["127.0.0.1"], "compression": {"deflate": {}}}
        upstream = self.server({**config, "echo_close_codereason": True, "subprotocols": ["chat"]})
        listener = "{bind}\n  mode tcp\n  server s 127.0.0.1:{upstream} {send}"
        v1, v2 = "send-proxy", "send-proxy-v2 proxy-v2-options unique-id,crc32c\n  unique-id-format %{+X}o%ci-%cp"
        first, second, over_tls = haproxy(
            self,
            [
                listener.format(bind="", upstream=upstream, send=v1),
                listener.format(bind="", upstream=upstream, send=v2),
                listener.format(bind=f"ssl crt {pair}", upstream=upstream, send="send-proxy-v2-ssl proxy-v2-options ssl,authority"),
            ],
        )
        trust = ssl.create_default_context(cafile=cert)
        shown = self.who(first)
        self.assertEqual((shown["peer"]["host"], shown.get("proxy")), (CLIENT, None))
        shown = self.who(second)
        self.assertEqual(shown["peer"]["host"], CLIENT)
        # The address in hexadecimal digits, and the port: HAProxy's own name for the connection.
        self.assertTrue(shown["proxy"]["unique_id"].startswith("7F000007-"), shown)
        shown = self.who(over_tls, trust)
        self.assertEqual(shown["peer"]["host"], CLIENT)
        self.assertEqual(shown["proxy"]["authority"], "localhost")
        self.assertIn("TLS", shown["proxy"]["tls"]["version"])
        for port, scheme, more in ((first, "ws", {}), (second, "ws", {}), (over_tls, "wss", {"cafile": cert})):
            self.converse(f"{scheme}://localhost:{port}/", **more)
        # Who comes without the header, or with one from elsewhere, gets no answer at all.
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
        for source, first_bytes, is_let_in in (("127.0.0.1", header, True), ("127.0.0.1", b"", False), (CLIENT, header, False)):
            tcp = socket.create_connection(("127.0.0.1", upstream), source_address=(source, 0))
            tcp.sendall(first_bytes)
            with self.subTest(source=source, header=first_bytes):
                try:
                    with connect(f"ws://127.0.0.1:{upstream}/", sock=tcp):
                        pass
                except (ConnectionClosed, ConnectionError, InvalidMessage):
                    self.assertFalse(is_let_in)
                else:
                    self.assertTrue(is_let_in)
        self.assert_quiet_end(self.program)

    def test_the_proxy_protocol_stands_in_front_of_our_tls(self) -> None:
        cert, key = self.certificate()
        upstream = self.server({"tls": {"cert": cert, "key": key}, "proxy_protocol": "v2"})
        port = haproxy(self, [f"\n  mode tcp\n  server s 127.0.0.1:{upstream} send-proxy-v2"])[0]
        shown = self.who(port, ssl.create_default_context(cafile=cert))
        self.assertEqual((shown["peer"]["host"], shown["tls"]), (CLIENT, True))
        self.assert_quiet_end(self.program)

    def test_haproxy_takes_the_proxy_protocol_from_our_client(self) -> None:
        """Of these two it speaks to nobody who comes without the header."""
        for version in ("v1", "v2"):
            with self.subTest(version=version):
                peer, ports = self.peer_server("websockets", [SESSION])
                port = haproxy(self, [f"accept-proxy\n  mode http\n  server s 127.0.0.1:{ports[0]}"])[0]
                config = {"url": f"ws://127.0.0.1:{port}/", "subprotocols": ["chat"], "send_proxy_protocol": version}
                tremor = self.tremor(CLIENT_FLOW.format(config=patient({**config, "echo_close_codereason": True})))
                self.assertEqual(self.seen_by(peer)[0]["closed"], [4999, "done"])
                self.assert_quiet_end(tremor)

    def test_a_client_goes_on_when_nginx_reads_its_configuration_again(self) -> None:
        """Nothing is sent twice or out of order. A message counts as delivered once it is written: what was on its way when
        nginx cut the connection is lost, one stretch of messages. Whatever the client gets after it has noticed comes through."""
        upstream = Server(free_port())
        self.addCleanup(upstream.close)
        upstream.up()
        proxy, plain, _ = nginx(self, upstream.port)
        tremor = self.tremor(SENDER.format(port=plain), stdin=subprocess.PIPE)
        sent, sent_when_noticed = 0, None

        def has_come(connection: int) -> bool:
            """Sends one more message; whether this connection has brought some."""
            nonlocal sent, sent_when_noticed
            tremor.process.stdin.write(b"%d\n" % sent)
            tremor.process.stdin.flush()
            sent += 1
            if sent_when_noticed is None and "connecting again" in tremor.text():
                sent_when_noticed = sent
            return len(upstream.connections) > connection and len(upstream.connections[connection]) > 10

        wait_for("messages through nginx", lambda: has_come(0))
        proxy.process.send_signal(signal.SIGHUP)
        wait_for("messages through the new nginx", lambda: has_come(1))
        wait_for("the last message", lambda: upstream.all()[-1] == str(sent - 1))
        first, second = ([int(number) for number in connection] for connection in upstream.connections)
        self.assertEqual(first, list(range(len(first))))
        self.assertEqual(second, list(range(second[0], sent)))
        self.assertGreaterEqual(second[0], len(first))
        self.assertLessEqual(second[0], sent_when_noticed)
        self.assert_quiet_end(tremor)


if __name__ == "__main__":
    unittest.main()
