"""`docs/guides/websocket-guards.md`: who is let in, and what is told of the others, is what the page shows."""

import subprocess
import unittest

from harness import LIMIT_SECS, ROOT, Case, connect, free_port, tremor_binary, wait_for
from test_guides import Blocks


class GuardsGuide(Case):
    def setUp(self) -> None:
        super().setUp()
        self.page = Blocks(ROOT / "docs/guides/websocket-guards.md")
        self.port = free_port()
        (self.folder / "door.troy").write_text(self.here(self.page.after("Write `door.troy`")))
        args = [tremor_binary(), "server", "run", "--no-api", "door.troy"]
        self.door = self.start("door", args, env={"RUST_LOG": "info", "NO_COLOR": "1"})
        wait_for("the door", lambda: f"listening on 127.0.0.1:{self.port}" in self.door.text())

    def here(self, text: str) -> str:
        self.assertIn("127.0.0.1:8080", text)
        return text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")

    def test_answers_and_reasons_are_those_of_the_page(self) -> None:
        lines = self.here(self.page.after("`curl` shows")).splitlines()
        commands = "\n".join(line[2:] for line in lines if line.startswith("$ "))
        # Each that is let in waits for messages as long as `-m` says.
        done = subprocess.run(
            ["bash", "-c", commands], cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=LIMIT_SECS,
        )  # fmt: skip
        shown = [line for line in lines if not line.startswith("$ ")]
        self.assertEqual(done.stdout.splitlines(), shown, done.stderr)
        told = self.page.after("why not")
        wait_for("what is told", lambda: self.door.out.read_text() == told)

    def test_the_flow_knows_who_says_something(self) -> None:
        address, said, heard = self.here(self.page.after("pip install")).splitlines()
        with connect(address.split("'")[1], close_timeout=1) as ann:
            ann.send(said.removeprefix("> "))
            self.assertEqual(ann.recv(LIMIT_SECS), heard.removeprefix("< "))


if __name__ == "__main__":
    unittest.main()
