"""`docs/guides/websocket-schemas.md` done step by step, with the ports replaced by free ones."""

import json
import os
import re
import subprocess
import sys
import unittest

from harness import LIMIT_SECS, ROOT, Case, Program, free_port, is_open, tremor_binary, wait_for
from test_guides import Blocks


class SchemasGuide(Case):
    def setUp(self) -> None:
        super().setUp()
        self.page = Blocks(ROOT / "docs/guides/websocket-schemas.md")
        self.ports = {"8080": str(free_port()), "8081": str(free_port())}

    def here(self, text: str) -> str:
        """`text` with the ports of this test."""
        for shown, port in self.ports.items():
            text = text.replace(f":{shown}", f":{port}").replace(f" {shown} ", f" {port} ")
        return text

    def command(self, block: str) -> str:
        """What stands behind `$` in `block`."""
        commands = "\n".join(line[2:] for line in self.here(block).splitlines() if line.startswith("$ "))
        return commands.replace("python3", sys.executable)

    def shell(self, block: str, code: int = 0) -> str:
        command = re.sub(r"\btremor\b", lambda _: tremor_binary(), self.command(block), count=1)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env={**os.environ, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECS,
        )  # fmt: skip
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def serve(self, block: str) -> Program:
        words = self.command(block).split()
        self.assertEqual(words[:2], ["RUST_LOG=info", "tremor"])
        server = self.start("server", [tremor_binary(), *words[2:]], env={"RUST_LOG": "info", "NO_COLOR": "1"})
        wait_for("the server", lambda: f"listening on 127.0.0.1:{self.ports['8080']}" in server.text())
        return server

    @staticmethod
    def told(server: Program) -> list[dict]:
        *lines, _unfinished = server.out.read_text().split("\n")
        return [json.loads(line) for line in lines]

    def test_the_steps_work_as_written(self) -> None:
        flow = self.here(self.page.after("Write `readings.troy`"))
        (self.folder / "readings.troy").write_text(flow)
        start = self.page.after("Start it")
        server = self.serve(start)
        send = self.page.next()
        self.shell(send)
        shown = [json.loads(line) for line in self.page.next().splitlines()]
        wait_for("both events", lambda: len(self.told(server)) == 2)
        # Whether both messages come with one read is up to the network.
        told = self.told(server)
        for bad in (told[1], shown[1]):
            self.assertIn(bad.pop("pull_id"), (0, 1))
        self.assertEqual(told, shown)
        self.assertEqual(server.terminate(), 0, server.text())

        self.shell(self.page.after("## Schemas from a registry"))
        first, end = flow.index('        "catalogs"'), flow.index('        "in"')
        flow = flow[:first] + self.here(self.page.after("put this in the place")) + flow[end:].replace('"here"', '"reg"')
        (self.folder / "readings.troy").write_text(flow)
        alone = self.page.next()
        refused = self.here(alone.splitlines()[1].removeprefix("… "))
        self.assertIn(refused, self.shell(alone, code=1))
        registry = self.start("registry", self.command(self.page.next()).split())
        wait_for("the registry", lambda: is_open(int(self.ports["8081"])))
        server = self.serve(start)

        def refuses(count: int) -> None:
            self.shell(send)
            wait_for("both events", lambda: len(self.told(server)) == 2 * count)
            good, bad = self.told(server)[-2:]
            self.assertEqual(good, {"site": "north", "celsius": 20})
            self.assertEqual(bad["contract"]["schema"], 7)

        refuses(1)
        asked = "GET /subjects/reading/versions/latest"
        registry.kill()
        refuses(2)
        self.assertIn(asked, registry.text())
        self.assertEqual(server.terminate(), 0, server.text())

    def test_its_table_says_what_there_is(self) -> None:
        """The kinds of catalogs in the page are those that the program knows."""
        kinds = re.findall(r"^\| `([\w-]+)` \|", self.page.text, re.MULTILINE)
        for kind in [*kinds, "apicurio-registry-v3"]:
            flow = """define flow main flow define connector door from ws_server with codec = "json",
                config = {"url": "127.0.0.1:0", "schema": {"catalogs": {"a": {"type": "KIND", "subjects": {}, "url": "http://127.0.0.1"}}}}
                end; create connector door; end; deploy flow main;"""
            (self.folder / "kind.troy").write_text(flow.replace("KIND", kind))
            said = self.shell("$ tremor check kind.troy", code=1)
            self.assertEqual("catalogs.a.type" in said, kind not in kinds, said)


if __name__ == "__main__":
    unittest.main()
