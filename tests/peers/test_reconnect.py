"""When `ws_client` connects again, when it gives up, and what happens to events meanwhile (`spec/websocket.md` 8)."""

import asyncio
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

from websockets.asyncio.server import serve

from harness import LIMIT_SECS, Case, Program, free_port, wait_for

FLOW = """
define flow main
flow
  use tremor::{{connectors, pipelines}};
  define connector client from ws_client
  with
    codec = "string",
    config = {{"url": "ws://127.0.0.1:{port}", "open_handshake_timeout": 600000, "write_timeout": 600000}},
    reconnect = {{"retry": {{"interval_ms": {interval}, "growth_rate": {growth}, "max_retries": {tries}, "randomized": false}}}}
  end;
  create connector client;
  create connector console from connectors::console;
  create pipeline send from pipelines::passthrough;
  connect /connector/console to /pipeline/send;
  connect /pipeline/send to /connector/client;
end;
deploy flow main;
"""


def get(url: str) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_SECS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


class GiveUp(Case):
    def test_attempts_are_made_at_their_times_and_then_no_more(self) -> None:
        # It accepts and hangs up at once: an attempt that fails, and whose time is known.
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port, attempts = listener.getsockname()[1], []

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    attempts.append(time.monotonic())
                    connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        api = free_port()
        tremor = self.tremor(
            FLOW.format(port=port, interval=500, growth=2, tries=3),
            "--keep-running", "-a", f"127.0.0.1:{api}",
            stdin=subprocess.PIPE,
        )  # fmt: skip
        tremor.process.stdin.write(b"never sent\n")
        tremor.process.stdin.flush()

        def failed() -> bool:
            status, body = get(f"http://127.0.0.1:{api}/v1/status")
            return status == 503 and body == {"all_running": False, "num_flows": 1, "flows": {"failed": 1}}

        wait_for("a status that says that the flow failed", failed)
        gaps = [after - before for before, after in zip(attempts, attempts[1:])]
        self.assertEqual(len(attempts), 3, gaps)
        # How late they may be depends on the machine.
        for gap, wanted in zip(gaps, (0.5, 1.0)):
            self.assertGreaterEqual(gap, wanted - 0.05, gaps)
        _, connector = get(f"http://127.0.0.1:{api}/v1/flows/main/connectors/client")
        self.assertEqual((connector["status"], connector["connectivity"]), ("failed", "disconnected"))
        last = [line for line in tremor.text().splitlines() if "ERROR" in line]
        self.assertEqual(len(last), 1, tremor.text())
        for part in ("main::client", f"127.0.0.1:{port}", "3 tries"):
            self.assertIn(part, last[0])
        self.assertEqual(tremor.terminate(), 0, tremor.text())
        self.assertEqual(len(attempts), 3)

    def test_the_only_flow_that_fails_ends_the_process(self) -> None:
        tremor = self.tremor(FLOW.format(port=free_port(), interval=50, growth=2, tries=3))
        self.assertEqual(tremor.wait(), 1, tremor.text())
        self.assertIn("connection refused", tremor.text())


class Server:
    """A server that collects what each connection brings, and can be stopped roughly."""

    def __init__(self, port: int):
        self.port = port
        self.connections: list[list[str]] = []
        # How many messages a connection is read for; beyond, everything in front of us fills up.
        self.hold_after: int | None = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = None
        self.sockets: list = []

    def up(self) -> None:
        self.do(self._up())

    def down(self) -> None:
        """Ends the listener and all connections without a goodbye."""
        self.do(self._down())

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(LIMIT_SECS)

    def close(self) -> None:
        if self.server:
            self.down()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LIMIT_SECS)
        self.loop.close()

    async def _up(self) -> None:
        self.server = await serve(self.handle, "127.0.0.1", self.port, max_size=None, open_timeout=None, ping_interval=None)

    async def _down(self) -> None:
        self.server.close(close_connections=False)
        for connection in self.sockets:
            connection.transport.abort()
        self.sockets.clear()
        self.hold_after = None
        await self.server.wait_closed()
        self.server = None

    async def handle(self, connection) -> None:
        self.sockets.append(connection)
        received: list[str] = []
        self.connections.append(received)
        with contextlib.suppress(Exception):
            async for message in connection:
                received.append(message)
                while self.hold_after is not None and len(received) >= self.hold_after:
                    await asyncio.sleep(0.01)

    def all(self) -> list[str]:
        return [message for received in list(self.connections) for message in list(received)]


class Feeder:
    """Writes numbered messages of one length to a program, for as long as it takes them."""

    PAYLOAD_BYTES = 1_000
    # Two bytes, two for the length, four for the mask (RFC 6455, section 5.2).
    FRAME_BYTES = 8 + PAYLOAD_BYTES

    def __init__(self, tremor: Program):
        self.pipe = tremor.process.stdin.fileno()
        os.set_blocking(self.pipe, False)
        self.next = 0
        self.waiting = b""

    def feed(self) -> bool:
        """Writes what fits; `False` if nothing did."""
        wrote = False
        with contextlib.suppress(BlockingIOError):
            while True:
                if not self.waiting:
                    self.waiting = b"%0*d\n" % (self.PAYLOAD_BYTES, self.next)
                    self.next += 1
                self.waiting = self.waiting[os.write(self.pipe, self.waiting) :]
                wrote = True
        return wrote

    def last(self) -> int:
        """Number of the last message, once all of it is written."""

        def flushed() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.waiting = self.waiting[os.write(self.pipe, self.waiting) :]
            return not self.waiting

        wait_for("the last message to be taken", flushed)
        return self.next - 1


def bytes_under_way(port: int) -> int:
    """What the two sockets of each connection with `port` hold at this moment: written, but not read."""
    total = 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues, *_ = line.split()
        if state == "01" and port in (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)):
            total += sum(int(queue, 16) for queue in queues.split(":"))
    return total


def is_asleep(process: int) -> bool:
    """Each of its threads waits for something, and none for a processor only."""
    with contextlib.suppress(FileNotFoundError):
        return all(stat.read_text().rpartition(") ")[2].startswith("S") for stat in pathlib.Path(f"/proc/{process}/task").glob("*/stat"))
    return False


class ComesBack(Case):
    def start_both(self) -> tuple[Server, Program]:
        server = Server(free_port())
        self.addCleanup(server.close)
        server.up()
        tremor = self.tremor(
            FLOW.format(port=server.port, interval=50, growth=1, tries=1_000), stdin=subprocess.PIPE
        )
        return server, tremor

    @staticmethod
    def feed(tremor: Program, numbers: range) -> None:
        tremor.process.stdin.write(b"".join(b"%d\n" % n for n in numbers))
        tremor.process.stdin.flush()

    @staticmethod
    def last(server: Server) -> int:
        return int((server.all() or ["-1"])[-1])

    def test_nothing_is_lost_or_reordered_if_nothing_was_under_way(self) -> None:
        server, tremor = self.start_both()
        self.feed(tremor, range(100))
        wait_for("the first 100", lambda: len(server.all()) == 100)
        server.down()
        wait_for("the loss to be noticed", lambda: "connecting again" in tremor.text())
        # More than the client keeps (1 024): what is beyond waits in the pipe.
        self.feed(tremor, range(100, 3_000))
        server.up()
        wait_for("everything", lambda: len(server.all()) >= 3_000)
        self.assertEqual(server.all(), [str(n) for n in range(3_000)])
        self.assertEqual(tremor.terminate(), 0, tremor.text())

    @unittest.skipUnless(pathlib.Path("/proc/net/tcp").exists(), "the system does not tell what its sockets hold")
    def test_what_was_under_way_is_in_doubt_and_nothing_else(self) -> None:
        # What the peer itself may have read without handing it on: one read of 256 KiB, behind a queue of 16 messages,
        # and the begin of one more.
        in_peer = 256 * 1024 // Feeder.FRAME_BYTES + 16 + 1
        queue = 1_024
        self.assertLess(in_peer, queue // 2)
        server, tremor = self.start_both()
        feeder, in_doubt = Feeder(tremor), []
        for _ in range(3):
            server.hold_after = 100
            samples: list[int] = []

            def all_is_full() -> bool:
                if feeder.feed() or not is_asleep(tremor.process.pid):
                    samples.clear()
                samples.append(bytes_under_way(server.port))
                return len(samples) >= 10 and samples[-1] > 0 and len(set(samples[-10:])) == 1

            wait_for("every buffer and queue to be full", all_is_full)
            in_doubt.append(samples[-1] // Feeder.FRAME_BYTES + in_peer)
            taken = len(server.all())
            self.assertGreater(feeder.next - taken, in_doubt[-1] + queue // 2, "the queue was not full")
            connections = len(server.connections)
            server.down()
            server.up()
            wait_for("the next connection", lambda: any(server.connections[connections:]))
        last = feeder.last()
        wait_for("the last message", lambda: self.last(server) == last)
        # Each connection carried an unbroken run. Between two of them is missing what was in the buffers of two sockets
        # and in the peer: with the queue of the client it would be far more.
        runs = [[int(text) for text in received] for received in server.connections if received]
        self.assertEqual(len(runs), len(in_doubt) + 1)
        for run in runs:
            self.assertEqual(run, list(range(run[0], run[0] + len(run))))
        self.assertEqual(runs[0][0], 0)
        for before, after, most in zip(runs, runs[1:], in_doubt):
            missing = after[0] - before[-1] - 1
            self.assertGreaterEqual(missing, 0)
            self.assertLessEqual(missing, most)
        self.assertEqual(tremor.terminate(), 0, tremor.text())


if __name__ == "__main__":
    unittest.main()
