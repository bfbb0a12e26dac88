"""`docs/guides/websocket-control.md`: its flow does what the page shows."""

import json
import unittest

from websockets.exceptions import ConnectionClosed

from harness import LIMIT_SECS, ROOT, Case, Program, connect, free_port, tremor_binary, wait_for
from test_guides import Blocks

# What differs from one run to the next.
DIFFERS = {"conn", "rtt_ns", "duration_ns", "in", "out"}


def alike(one: dict, shown: dict) -> bool:
    return one.keys() == shown.keys() and all(name in DIFFERS or one[name] == shown[name] for name in shown)


class ControlGuide(Case):
    def setUp(self) -> None:
        super().setUp()
        self.page = Blocks(ROOT / "docs/guides/websocket-control.md")
        self.port = free_port()
        flow = self.page.after("Write `hall.troy`")
        self.assertIn("127.0.0.1:8080", flow)
        (self.folder / "hall.troy").write_text(flow.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}"))
        args = [tremor_binary(), "server", "run", "--no-api", "hall.troy"]
        self.hall = self.start("hall", args, env={"RUST_LOG": "info", "NO_COLOR": "1"})
        wait_for("the hall", lambda: f"listening on 127.0.0.1:{self.port}" in self.hall.text())

    def guest(self, letter: str):
        return self.enterContext(connect(f"ws://127.0.0.1:{self.port}/?token={letter}-secret", close_timeout=1))

    @staticmethod
    def told(hall: Program) -> list[dict]:
        *lines, _unfinished = hall.out.read_text().split("\n")
        return [json.loads(line) for line in lines]

    def knows(self, guest) -> None:
        """What the guest has sent before is done."""
        guest.send('{"who": true}')
        self.assertIn("you", json.loads(guest.recv(LIMIT_SECS)))

    def follow(self, guest, lines: list[str]) -> None:
        """Sends and hears what is shown."""
        for line in lines:
            if line.startswith("> "):
                guest.send(line[2:])
                if "ping" in line:
                    wait_for("the pong", lambda: any("rtt_ns" in one for one in self.told(self.hall)))
            else:
                heard, shown = json.loads(guest.recv(LIMIT_SECS)), json.loads(line.removeprefix("< "))
                self.assertTrue(alike(heard, shown), f"{heard} in place of {shown}")

    def test_what_guests_type_and_hear_is_what_the_page_shows(self) -> None:
        self.page.after("Start it")
        typed = [self.page.next().splitlines() for _ in "ab"]
        guests = []
        for letter, lines in zip("ab", typed):
            self.assertEqual(lines.pop(0), f"$ python3 -m websockets 'ws://127.0.0.1:8080/?token={letter}-secret'")
            guests.append((self.guest(letter), lines))
        (ann, of_ann), (ben, of_ben) = guests
        said = of_ann.index('> {"say": "anybody here?"}')
        joined = of_ben.index('> {"join": "attic"}') + 1
        self.follow(ann, of_ann[:said])
        self.follow(ben, of_ben[:joined])
        self.knows(ben)
        self.follow(ann, of_ann[said : said + 1])
        self.follow(ben, of_ben[joined:])
        *rest, end = of_ann[said + 1 :]
        self.follow(ann, rest)
        with self.assertRaises(ConnectionClosed) as closed:
            ann.recv(LIMIT_SECS)
        self.assertEqual(end, f"Connection closed: {closed.exception.rcvd.code} (private use) {closed.exception.rcvd.reason}.")

        for line in map(json.loads, self.page.after("The flow shows").splitlines()):
            wait_for(f"{line}", lambda: any(alike(one, line) for one in self.told(self.hall)))

    def test_guests_are_kicked_and_the_slow_ones_are_left_out_until_they_have_caught_up(self) -> None:
        ann, ben, cleo = (self.guest(letter) for letter in "abc")
        ann.send('{"kick": "ben"}')
        with self.assertRaises(ConnectionClosed) as closed:
            ben.recv(LIMIT_SECS)
        self.assertEqual((closed.exception.rcvd.code, closed.exception.rcvd.reason), (4001, "kicked"))

        for guest in (ann, cleo):
            guest.send('{"join": "attic"}')
            self.knows(guest)
        many, large = 500, "x" * 100_000
        for _ in range(many):
            ann.send(json.dumps({"say": large}))
        self.knows(ann)
        ann.send('{"say": "last"}')
        slow = {"kind": "pressure", "identity": "cleo"}
        wait_for("pressure", lambda: slow in self.told(self.hall))
        heard = 0

        def hears_again() -> bool:
            """Reads what is there; says something until that is heard again."""
            nonlocal heard
            ann.send('{"say": "again"}')
            try:
                while (text := json.loads(cleo.recv(0.2))["text"]) == large:
                    heard += 1
            except TimeoutError:
                return False
            return text == "again"

        wait_for("word from the room", hears_again)
        self.assertLess(heard, many)


if __name__ == "__main__":
    unittest.main()
