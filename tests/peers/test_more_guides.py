"""What smaller guides show is what happens: clients that come back, a proxy, and a flow that decides who comes in."""

import json
import re
import subprocess
import unittest

from websockets.exceptions import InvalidStatus

from harness import LIMIT_SECS, ROOT, Case, Program, connect, free_port, tremor_binary, is_open, wait_for
from test_guides import Blocks

GUIDES = ROOT / "docs/guides"


class More(Case):
    def serve(self, name: str, flow: str, port: int, **more) -> Program:
        """A flow in a file of its own."""
        (self.folder / f"{name}.troy").write_text(flow)
        program = self.start(name, [tremor_binary(), "server", "run", "--no-api", f"{name}.troy"], env={"RUST_LOG": "info"}, **more)
        wait_for(name, lambda: is_open(port))
        return program

    def test_who_comes_back_is_sent_what_was_missed(self) -> None:
        page, port = Blocks(GUIDES / "websocket-replay.md"), free_port()
        flow, first, again = page.after("Write `news.troy`"), page.after("with its id in front"), page.after("come back with the id")
        server = self.serve("news", flow.replace(":8080", f":{port}"), port, stdin=subprocess.PIPE)
        ids: dict[str, str] = {}

        def say(text: str) -> None:
            server.process.stdin.write(f"{text}\n".encode())
            server.process.stdin.flush()

        def converse(session: str, said: list[str]) -> None:
            command, *shown = session.splitlines()
            url = re.search(r"ws://\S+:8080/[^']*", command)[0].replace(":8080", f":{port}")
            for number, real in ids.items():
                url = url.replace(number, real)
            with connect(url) as client:
                for line in shown:
                    expected = line.removeprefix("< ").replace("\\n", "\n")
                    if said and not expected.startswith("{"):
                        say(said.pop(0))
                    seen = client.recv(timeout=LIMIT_SECS)
                    numbers = re.compile(r"\d{16}")
                    ids.update(zip(numbers.findall(expected), numbers.findall(seen)))
                    for number, real in ids.items():
                        expected = expected.replace(number, real)
                    self.assertEqual(seen, expected)

        converse(first, ['{"temp": 20}'])
        wait_for("the end of the connection", lambda: '"closed"' in server.out.read_text())
        # One more connection sees when both are there.
        with connect(f"ws://127.0.0.1:{port}/") as other:
            other.recv()
            for temp in (21, 22):
                say(json.dumps({"temp": temp}))
                other.recv(timeout=LIMIT_SECS)
        converse(again, [])
        self.assert_quiet_end(server)

    def test_the_proxy_passes_on_what_is_asked_for(self) -> None:
        page, front, back = Blocks(GUIDES / "websocket-proxy.md"), free_port(), free_port()
        flow = page.after("Write `proxy.troy`").replace(":7001", f":{front}").replace(":7000", f":{back}")
        echo = Blocks(GUIDES / "websocket.md").after("Write `gate.troy`").replace(":8080", f":{back}")
        behind = self.serve("gate", echo, back)
        proxy = self.serve("proxy", flow, front)
        with connect(f"ws://127.0.0.1:{front}/") as client:
            client.send('{"a":1}')
            self.assertEqual(client.recv(timeout=LIMIT_SECS), '{"a":1}')
        for program in (proxy, behind):
            self.assert_quiet_end(program)

        # With paths and subprotocols, and servers that speak first.
        opened, there = page.after("## Servers that speak first"), page.after("## Paths, subprotocols, headers")
        start, end = there.index("  define script"), there.index("  create script") + len("  create script as_asked;\n")
        script = there[start:end]
        select = '  select event from in where event.kind == "opened" into '
        self.assertIn(f"{select}out;\n", opened)
        opened = opened.replace(f"{select}out;\n", f"{script}{select}as_asked;\n  select event from as_asked into out;\n")
        old = "  create pipeline there from pipelines::passthrough;\n"
        self.assertIn(old, flow)
        flow = flow.replace(old, there).replace(f'{front}"', f'{front}", "subprotocols": ["chat"]')
        flow = flow.replace("end;\ndeploy", f"{opened}end;\ndeploy")
        spoken = '{"path": $ws_server.path, "all": $ws_server}'
        echo = echo.replace("create pipeline echo from pipelines::passthrough;", f"define pipeline echo pipeline select {spoken} from in into out; end; create pipeline echo;")
        echo = echo.replace(f'{back}"', f'{back}", "subprotocols": ["chat"]')
        behind = self.serve("gate", echo, back)
        proxy = self.serve("proxy", flow, front)
        for path, protocol in (("/", None), ("/hall/7", "chat")):
            with connect(f"ws://127.0.0.1:{front}{path}", subprotocols=[protocol] if protocol else None) as client:
                client.send("1")
                said = json.loads(client.recv(timeout=LIMIT_SECS))
            self.assertEqual((said["path"], said["all"].get("protocol")), (path, protocol))
        for program in (proxy, behind):
            self.assert_quiet_end(program)

    def test_an_order_whose_client_has_gone_holds_up_nobody(self) -> None:
        page, port = Blocks(GUIDES / "wal.md"), free_port()
        flow = page.after("let it store what it reads in a `wal`").replace(":4343", f":{port}")
        (self.folder / "stored").mkdir()
        answers = "  connect /connector/stored to /pipeline/ids;\n"
        self.assertIn(answers, flow)
        shop = self.serve("shop", flow.replace(answers, ""), port)
        with connect(f"ws://127.0.0.1:{port}/") as gone:
            for number in (1, 2):
                gone.send(json.dumps({"id": number}))
        self.assert_quiet_end(shop)
        shop = self.serve("shop", flow, port)
        with connect(f"ws://127.0.0.1:{port}/") as client:
            for number in (3, 4):
                client.send(json.dumps({"id": number}))
                self.assertEqual(client.recv(timeout=LIMIT_SECS), str(number))
        self.assert_quiet_end(shop)

    def test_the_flow_decides_who_comes_in(self) -> None:
        page, port = Blocks(GUIDES / "websocket-control.md"), free_port()
        flow = page.after("## The flow decides")
        server = self.serve("door", flow.replace(":8080", f":{port}"), port)
        with connect(f"ws://127.0.0.1:{port}/open") as client:
            client.send("1")
            self.assertEqual(client.recv(timeout=LIMIT_SECS), "1")
        with self.assertRaises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{port}/").close()
        self.assertEqual(refused.exception.response.status_code, 403)
        self.assert_quiet_end(server)


if __name__ == "__main__":
    unittest.main()
