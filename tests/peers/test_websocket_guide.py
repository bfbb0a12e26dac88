"""`docs/guides/websocket.md` done step by step, with the ports replaced by free ones."""

import csv
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import unittest

from websockets.exceptions import ConnectionClosed

from harness import LIMIT_SECS, ROOT, Case, Program, connect, free_port, tremor_binary, wait_for
from test_guides import Blocks

# What the rows of the table of mistakes stand in the place of, in their order.
RIGHT = [
    '"key": "tls/key.pem"',
    '"keys": "keys.json"',
    '"guarded": {"staff": ["orders:write"]}',
    '"exit": "echo"',
    '"compression": {"deflate": {}}',
    '"health": "/healthz"',
    '"url": "127.0.0.1:{port}"',
    '"health": "/healthz"',
]
HAPROXY = """
global
  stats socket {folder}/haproxy.sock
defaults
  mode http
  timeout connect 5s
  timeout client 180s
  timeout server 180s
  # Of a check; without it the time between two checks, in which a busy server may not get round to answer.
  timeout check 60s
  default-server inter 50ms fall 1 rise 1
frontend in
  bind 127.0.0.1:{port}
  default_backend edge
{backend}
"""


class WebSocketGuide(Case):
    def setUp(self) -> None:
        super().setUp()
        self.page = Blocks(ROOT / "docs/guides/websocket.md")
        self.ports = {"8080": str(free_port()), "8443": str(free_port())}
        self.port = int(self.ports["8443"])

    def here(self, text: str) -> str:
        """`text` with the ports of this test."""
        for shown, port in self.ports.items():
            text = text.replace(shown, port)
        return text

    def write(self, name: str, words: str) -> str:
        """Writes the file that the page shows behind `words`."""
        text = self.here(self.page.after(words))
        (self.folder / name).write_text(text)
        return text

    def shell(self, block: str, env: dict | None = None, code: int = 0) -> str:
        """Does what stands behind `$` in `block`; what was printed."""
        commands = "\n".join(line[2:] for line in self.here(block).splitlines() if line.startswith("$ "))
        commands = re.sub(r"\btremor\b", lambda _: tremor_binary(), commands)
        done = subprocess.run(
            ["bash", "-c", commands], cwd=self.folder, env={**os.environ, "NO_COLOR": "1", **(env or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECS,
        )  # fmt: skip
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def serve(self, file: str, port: str, **more) -> Program:
        env = {"RUST_LOG": "info", "NO_COLOR": "1", **more.pop("env", {})}
        program = self.start(file, [tremor_binary(), "server", "run", "--no-api", file], env=env, **more)
        if port:
            wait_for("the server", lambda: f"listening on 127.0.0.1:{port}" in program.text())
        return program

    def assert_echo(self, url: str) -> None:
        """Python's client of the page gets back what it sends."""
        client = self.start(
            "typed", [sys.executable, "-m", "websockets", url], stdin=subprocess.PIPE,
            env={"SSL_CERT_FILE": "tls/cert.pem", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        wait_for("the connection", lambda: "Connected to" in client.text())
        client.process.stdin.write(b'{"a": 1}\n')
        client.process.stdin.flush()
        wait_for("the echo", lambda: '< {"a":1}' in client.text())
        client.process.stdin.close()
        self.assertEqual(client.wait(), 0, client.text())

    def assert_refused(self, session: str) -> None:
        """`session` ends with 1 and says what it shows behind the dots."""
        shown = self.here(session.splitlines()[1].removeprefix("… "))
        self.assertIn(shown, self.shell(session, code=1))

    def prepare(self) -> str:
        """Everything up to the flow of the endpoint, which is given."""
        self.shell(self.page.after("## A certificate"))
        self.shell(self.page.after("make a key of your own"))
        self.write("make_token.py", "Write `make_token.py`")
        return self.write("edge.troy", "Write `edge.troy`")

    def test_from_nothing_to_an_endpoint(self) -> None:
        self.write("gate.troy", "Write `gate.troy`")
        gate = self.serve("gate.troy", self.ports["8080"])
        self.assert_echo(f"ws://localhost:{self.ports['8080']}/")
        self.assert_quiet_end(gate)

        self.prepare()
        checked, _ = self.page.after("* What pipelines can know").splitlines()
        self.assertEqual(self.shell(checked), "")
        edge = self.serve("edge.troy", self.ports["8443"])
        self.assert_echo(f"wss://localhost:{self.port}/echo")
        self.write("ask.troy", "Write `ask.troy`")

        session = self.page.next()
        token, ask, *shown = session.splitlines()
        token = self.shell(f"$ {token.partition('$(')[2].rstrip(')')}").strip()
        asking = self.serve("ask.troy", "", stdin=subprocess.PIPE, env={"TOKEN": token})
        given = re.fullmatch(r"\$ printf '([^']*)' \| tremor server run --no-api ask.troy", ask).group(1)
        asking.process.stdin.write(given.replace("\\n", "\n").encode())
        asking.process.stdin.close()
        wait_for("the answers", lambda: asking.out.read_text().splitlines() == shown)
        self.assertEqual(asking.terminate(), 0, asking.text())

        self.assert_refused(self.page.after("A token that is none"))
        self.assert_refused(self.page.next())
        told = [json.loads(line) for line in self.page.after("The server has told").splitlines()]
        wait_for("what the page shows", lambda: all(any(map(lambda one: self.is_like(one, line), self.told(edge))) for line in told))

        health = self.page.after("## Is it well?")
        self.assertIn(health.splitlines()[1], self.shell(health.replace("curl", "curl --silent --show-error")))
        self.assert_haproxy(self.page.next())
        figure = json.loads(self.page.after("## Figures"))
        wait_for("a figure", lambda: any(self.is_like(one, figure) for one in self.told(edge)))

        with connect(f"wss://localhost:{self.port}/echo", ssl=ssl.create_default_context(cafile=self.folder / "tls/cert.pem")) as open_one:
            open_one.send("1")
            self.assertEqual(open_one.recv(), "1")
            edge.process.send_signal(signal.SIGTERM)
            with self.assertRaises(ConnectionClosed) as closed:
                open_one.recv()
            self.assertEqual(closed.exception.rcvd.code, 1001)
        self.assertEqual(edge.wait(), 0, edge.text())

    @staticmethod
    def told(program: Program) -> list[dict]:
        *lines, _unfinished = program.out.read_text().split("\n")
        return [json.loads(line) for line in lines]

    @classmethod
    def is_like(cls, one: object, shown: object) -> bool:
        """The same members, and the same values but for numbers of connections, times and counts of bytes."""
        if isinstance(shown, dict):
            same = isinstance(one, dict) and one.keys() == shown.keys()
            differs = {"conn", "timestamp", "duration_ns", "bytes"}
            return same and all(name in differs or cls.is_like(one[name], value) for name, value in shown.items())
        return one == shown

    def assert_haproxy(self, backend: str) -> None:
        """HAProxy finds the server well with this backend, but not with the version that it would ask with by itself."""
        for version, expected in (("HTTP/1.1", "L7OK"), ("HTTP/1.0", "L7STS")):
            text = self.here(backend).replace("HTTP/1.1", version)
            self.assertIn(version, text)
            port = free_port()
            (self.folder / "haproxy.cfg").write_text(HAPROXY.format(folder=self.folder, port=port, backend=text))
            program = self.start(f"haproxy-{expected}", ["haproxy", "-db", "-f", "haproxy.cfg"])

            def status() -> str | None:
                try:
                    with socket.socket(socket.AF_UNIX) as stats:
                        stats.connect(str(self.folder / "haproxy.sock"))
                        stats.sendall(b"show stat\n")
                        rows = csv.DictReader(stats.makefile())
                        return next(row["check_status"] for row in rows if row["svname"] == "one")
                except OSError:
                    return None

            wait_for(f"HAProxy to see {expected}", lambda: status() == expected)
            if expected == "L7OK":
                with connect(f"ws://127.0.0.1:{port}/echo") as through:
                    through.send("[2]")
                    self.assertEqual(through.recv(), "[2]")
            program.kill()

    def test_mistakes_say_what_the_page_says(self) -> None:
        edge = self.prepare()
        table = self.page.text.partition("| in `edge.troy` |")[2].partition("\n\n")[0].splitlines()[2:]
        self.assertEqual(len(table), len(RIGHT))
        for row, right in zip(table, RIGHT):
            _, wrong, expected, _ = (re.sub(r"^`+ ?| ?`+$", "", cell.strip()) if "``" in cell or cell.count("`") == 2 else cell.strip() for cell in row.split("|"))
            right = right.replace("{port}", str(self.port))
            self.assertIn(right, edge)
            (self.folder / "edge.troy").write_text(edge.replace(right, self.here(wrong)))
            said = self.shell("$ tremor check edge.troy", code=1)
            self.assertIn(expected.strip(), said, row)

    def test_who_connects_wrongly_is_told_what_the_page_says(self) -> None:
        self.prepare()
        ask = self.write("ask.troy", "Write `ask.troy`").replace('"interval_ms": 500', '"interval_ms": 1, "max_retries": 1')
        self.serve("edge.troy", self.ports["8443"])
        token = self.shell("$ python3 make_token.py alice orders:write 3600").strip()
        text = self.page.text.partition("| at the client |")[2]
        for right, wrong, expected in [
            ('"tls": {"cafile": "tls/cert.pem"},', "", "the certificate is marked as a CA; name this very certificate in `tls.cafile` to trust it"),
            ('"tls/cert.pem"}', '"tls/cert.pem", "domain": "example.com"}', "the certificate is not for "),
            ('"auth": {"bearer": {"token": {"env": "TOKEN"}}},', "", "the server answered 401 and opens no WebSocket: credentials are needed"),
            ("/orders/oulu", "/order/oulu", "the server answered 404 and opens no WebSocket"),
            (f":{self.port}", f":{self.ports['8080']}", "connection refused"),
        ]:
            self.assertIn(expected, text)
            self.assertIn(right, ask)
            (self.folder / "ask.troy").write_text(ask.replace(right, wrong))
            said = self.shell("$ tremor server run --no-api ask.troy", env={"TOKEN": token}, code=1)
            self.assertIn(expected, said)


if __name__ == "__main__":
    unittest.main()
