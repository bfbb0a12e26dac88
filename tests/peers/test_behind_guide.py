"""The configurations of docs/guides/websocket-behind.md, with nginx and HAProxy as they are."""

import csv
import json
import pathlib
import re
import socket
import ssl
import unittest

from websockets.exceptions import InvalidStatus

from harness import ROOT, Case, connect, free_port, is_open, wait_for
from proxies import start_nginx
from test_guides import Blocks

HOST, CLIENT = "edge.example", "127.0.0.7"
# What a client says of itself, which nobody is to believe.
LIES = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Forwarded": "for=192.0.2.2"}
FLOW = """
define flow main
flow
{definition}
  define pipeline who
  pipeline
    select {{"peer": $ws_server.peer.host, "authority": $ws_server.authority, "scheme": $ws_server.scheme}} from in into out;
  end;
  create connector {name};
  create pipeline who;
  connect /connector/{name} to /pipeline/who;
  connect /pipeline/who to /connector/{name};
end;
deploy flow main;
"""


class Behind(Case):
    def setUp(self) -> None:
        super().setUp()
        self.guide = Blocks(ROOT / "docs/guides/websocket-behind.md")
        cert, key = self.certificate()
        self.tls = ssl.create_default_context(cafile=cert)
        # It is for another name.
        self.tls.check_hostname = False
        self.port, self.front = free_port(), free_port()
        pair = self.folder / "pair.pem"
        pair.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        self.places = {"/etc/ssl/edge-with-key.pem": str(pair), "/etc/ssl/edge.pem": cert, "/etc/ssl/edge.key": key}
        self.places |= {"127.0.0.1:8080": f"127.0.0.1:{self.port}", "127.0.0.1:8443": f"127.0.0.1:{self.port}"}
        self.places |= {"listen 443": f"listen 127.0.0.1:{self.front}", "bind :443": f"bind 127.0.0.1:{self.front}"}

    def here(self, text: str) -> str:
        return re.sub("|".join(map(re.escape, self.places)), lambda found: self.places[found[0]], text)

    def serve(self, words: str) -> None:
        definition = self.here(self.guide.after(words))
        name = re.match(r"define connector (\w+)", definition)[1]
        self.program = self.tremor(FLOW.format(definition=definition, name=name), wait_port=self.port)

    def haproxy(self, config: str) -> None:
        stats = self.folder / "haproxy.sock"
        (self.folder / "haproxy.cfg").write_text(f"global\n  stats socket {stats}\n\n{config}")
        self.start("haproxy", ["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")])
        wait_for("HAProxy", lambda: is_open(self.front))

        def status() -> str:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.connect(str(stats))
                asked.sendall(b"show stat\n")
                rows = csv.DictReader(asked.makefile())
                return next(row["check_status"] for row in rows if row["svname"] == "one")

        wait_for("HAProxy to find it well", lambda: status() == "L7OK")

    def who(self, lies: dict | None = None) -> dict:
        tcp = socket.create_connection(("127.0.0.1", self.front), source_address=(CLIENT, 0))
        with connect(f"wss://{HOST}/", sock=tcp, ssl=self.tls, additional_headers=lies) as client:
            client.send("1")
            return json.loads(client.recv())

    def refusal(self) -> tuple[int, str]:
        with self.assertRaises(InvalidStatus) as refused:
            self.who({"Forwarded": "for=192.0.2.2"})
        response = refused.exception.response
        return response.status_code, response.body.decode().strip()

    def assert_known(self) -> None:
        for lies in (None, LIES):
            self.assertEqual(self.who(lies), {"peer": CLIENT, "authority": HOST, "scheme": "https"}, lies)

    def test_nginx(self) -> None:
        self.serve("## The server")
        server = self.here(self.guide.after("## nginx"))
        program = start_nginx(self, server, self.front)
        self.assert_known()
        self.assertEqual(program.terminate(), 0)
        table = self.guide.text.partition("## When it does not work")[2]
        for without in (["proxy_http_version"], ["Upgrade", "Connection"], ["Host"], ["Forwarded "]):
            lines = [line for line in server.splitlines() if not any(name in line for name in without)]
            program = start_nginx(self, "\n".join(lines), self.front)
            status, why = self.refusal()
            self.assertIn(f"| {status}, ", table)
            self.assertIn(why, table)
            self.assertEqual(program.terminate(), 0)
        self.assert_quiet_end(self.program)

    def test_haproxy(self) -> None:
        self.serve("## The server")
        self.haproxy(self.here(self.guide.after("## HAProxy")))
        self.assert_known()
        self.assert_quiet_end(self.program)

    def test_tls_that_goes_through(self) -> None:
        limits = self.guide.after("## HAProxy").partition("frontend")[0].replace("mode http", "mode tcp")
        self.serve("## TLS that goes through")
        self.haproxy(limits + self.here(self.guide.next()))
        self.assert_known()
        self.assert_quiet_end(self.program)


if __name__ == "__main__":
    unittest.main()
