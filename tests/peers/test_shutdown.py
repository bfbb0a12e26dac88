"""`kill -TERM` while many senders have not finished (`spec/runtime.md` 13)."""

import asyncio
import json
import signal
import unittest

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from harness import LIMIT_SECS, Case, free_port

SENDERS = 16
# Echoes, over all senders, after which the signal is sent.
ECHOES_BEFORE_SIGNAL = 4_000

FLOW = """
define flow main
flow
  use integration;
  use tremor::pipelines;
  define connector server from ws_server
  with codec = "json-sorted", config = {{"url": "127.0.0.1:{port}"}} end;
  create connector server;
  create connector received from integration::write_file with file = "received.log" end;
  create pipeline echo from pipelines::passthrough;
  connect /connector/server to /pipeline/echo;
  connect /pipeline/echo to /connector/received;
  connect /pipeline/echo to /connector/server;
end;
deploy flow main;
"""


class Sender:
    """One connection that sends until it is told not to, and counts what comes back."""

    def __init__(self, number: int):
        self.number = number
        self.sent = 0
        self.echoes = 0
        self.close_code = None

    async def run(self, url: str, padding: str) -> None:
        async with connect(url, max_size=None, compression=None, open_timeout=None, ping_interval=None) as socket:
            sending = asyncio.create_task(self.send(socket, padding))
            try:
                while True:
                    echo = json.loads(await socket.recv())
                    if (echo["sender"], echo["n"]) != (self.number, self.echoes):
                        raise AssertionError(f"sender {self.number} got {echo} as echo {self.echoes}")
                    self.echoes += 1
            except ConnectionClosed:
                self.close_code = socket.close_code
            finally:
                sending.cancel()

    async def send(self, socket, padding: str) -> None:
        try:
            while True:
                await socket.send(json.dumps({"sender": self.number, "n": self.sent, "padding": padding}))
                self.sent += 1
                # Sending alone does not let the echoes be read as long as the socket takes more.
                await asyncio.sleep(0)
        except ConnectionClosed:
            pass


class Shutdown(Case):
    def test_terminated_while_senders_are_busy(self) -> None:
        self.terminate_under_load(padding="x" * 50)

    def test_terminated_with_large_messages_under_way(self) -> None:
        self.terminate_under_load(padding="y" * 5_000)

    def terminate_under_load(self, padding: str) -> None:
        port = free_port()
        tremor = self.tremor(FLOW.format(port=port), wait_port=port)
        senders = [Sender(number) for number in range(SENDERS)]

        async def work() -> None:
            url = f"ws://127.0.0.1:{port}/"
            tasks = [asyncio.create_task(sender.run(url, padding)) for sender in senders]
            while sum(sender.echoes for sender in senders) < ECHOES_BEFORE_SIGNAL or not all(
                sender.echoes for sender in senders
            ):
                if failed := [task for task in tasks if task.done()]:
                    failed[0].result()
                    raise AssertionError("a connection ended before the signal")
                await asyncio.sleep(0.01)
            tremor.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(asyncio.gather(*tasks), LIMIT_SECS)

        asyncio.run(work())
        self.assertEqual(tremor.wait(), 0, tremor.text())
        self.assertNotIn("panicked", tremor.text())
        self.assertNotIn("did not finish", tremor.text())
        received: list[list[int]] = [[] for _ in senders]
        with (self.folder / "received.log").open("rb") as lines:
            for line in lines:
                event = json.loads(line)
                received[event["sender"]].append(event["n"])
        for sender, numbers in zip(senders, received):
            label = f"sender {sender.number}: {sender.sent} sent, {sender.echoes} echoes, {len(numbers)} in the file"
            self.assertEqual(numbers, list(range(len(numbers))), f"a gap or another order; {label}")
            self.assertGreaterEqual(len(numbers), sender.echoes, label)
            # The message that was being sent when the connection ended is not counted as sent.
            self.assertLessEqual(len(numbers), sender.sent + 1, label)

    def test_an_idle_client_is_told_goodbye(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with self.subTest(number.name):
                self.assertEqual(self.code_of_goodbye(number), 1001)

    def code_of_goodbye(self, number: signal.Signals) -> int | None:
        port = free_port()
        tremor = self.tremor(FLOW.format(port=port), wait_port=port)

        async def work() -> int | None:
            async with connect(f"ws://127.0.0.1:{port}/", open_timeout=None, ping_interval=None) as socket:
                await socket.send('{"sender":0,"n":0}')
                await socket.recv()
                tremor.process.send_signal(number)
                with self.assertRaises(ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), LIMIT_SECS)
                return socket.close_code

        code = asyncio.run(work())
        self.assertEqual(tremor.wait(), 0, tremor.text())
        return code


if __name__ == "__main__":
    unittest.main()
