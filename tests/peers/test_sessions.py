"""Subprotocols, fragments, pings and close codes, in both directions and with each peer (`spec/websocket.md` 5, 11, 12.1)."""

import unittest

import answers
from harness import PEERS, Case, free_port, patient, wait_for

FEW = {"count": 20, "edge_every": 4}
CLIENT = """
define flow main
flow
  use tremor::{{connectors, pipelines}};
  define connector client from ws_client
  with codec = "binary", config = {config}, reconnect = {{"retry": {{"interval_ms": 100, "max_retries": 2}}}} end;
  create connector client;
  create connector console from connectors::console;
  create pipeline echo from pipelines::passthrough;
  create pipeline told from pipelines::passthrough;
  connect /connector/client to /pipeline/echo;
  connect /pipeline/echo to /connector/client;
  connect /connector/client/control to /pipeline/told;
  connect /pipeline/told to /connector/console;
end;
deploy flow main;
"""


class Sessions(Case):
    def peer_as_client(self, name: str) -> None:
        port = free_port()
        config = {
            "url": f"127.0.0.1:{port}",
            "subprotocols": ["chat.v1", "chat.v2"],
            "echo_close_codereason": True,
            "auto_fragment_size": 4_096,
            "auto_ping_interval": 20,
            "auto_ping_timeout": 20_000,
        }
        tremor = self.tremor(answers.flow(config), wait_port=port)
        url = f"ws://127.0.0.1:{port}"
        sessions = [
            {**FEW, "url": f"{url}/", "protocols": ["chat.v9", "chat.v2", "chat.v1"], "pings": 5, "close": [1000, "done"]},
            # The same, in fragments. What comes back is in fragments, too.
            {**FEW, "fragment": 1_000, "url": f"{url}/", "close": [4999, "a reason — ✓"]},
            {"url": f"{url}/", "pings": 40, "close": [3000, ""]},
            {**FEW, "url": f"{url}/leave", "count": 0, "leave": "bye"},
        ]
        seen = self.seen_by(self.peer_client(name, sessions))
        self.assertEqual([one["protocol"] for one in seen], ["chat.v2", None, None, None])
        self.assertEqual([one["closed"] for one in seen], [[1000, "done"], [4999, "a reason — ✓"], [3000, ""], answers.LEFT])
        ends = [(end["code"], end["reason"], end["by"], end["clean"]) for end in answers.closed(tremor, 4)]
        expected = [(1000, "done"), (4999, "a reason — ✓"), (3000, "")]
        self.assertEqual(ends, [(*end, "peer", True) for end in expected] + [(*answers.LEFT, "local", True)])
        self.assert_quiet_end(tremor)

    def peer_as_server(self, name: str) -> None:
        session = {**FEW, "fragment": 1_000, "protocols": ["chat.v2"], "pings": 5, "close": [4002, "served"]}
        peer, ports = self.peer_server(name, [session])
        config = {"url": f"ws://127.0.0.1:{ports[0]}/", "subprotocols": ["chat.v1", "chat.v2"], "require_websocket_subprotocol": True}
        config |= {"echo_close_codereason": True, "auto_fragment_size": 4_096}
        tremor = self.tremor(CLIENT.format(config=patient(config)))
        seen = self.seen_by(peer)[0]
        self.assertEqual((seen["protocol"], seen["closed"]), ("chat.v2", [4002, "served"]))
        end = answers.closed(tremor, 1)[0]
        self.assertEqual((end["code"], end["reason"], end["by"], end["clean"]), (4002, "served", "peer", True))
        self.assert_quiet_end(tremor)

    def peer_answers_pings(self, name: str) -> None:
        """One that did not would be dropped; where the library tells of pings, they are counted."""
        port = free_port()
        config = {"url": f"127.0.0.1:{port}", "auto_ping_interval": 10, "auto_ping_timeout": 20_000, "max_lifetime": 2_000}
        tremor = self.tremor(answers.flow({**config, "auto_ping_restart_on_any_traffic": False}), wait_port=port)
        session = {"url": f"ws://127.0.0.1:{port}/", "leave": "and wait"}
        seen = self.seen_by(self.peer_client(name, [session]))[0]
        self.assertEqual(seen["closed"][0], 1001)
        if seen["pings"] is not None:
            # The next one waits for the answer to the last.
            self.assertGreater(seen["pings"], 2)
        self.assert_quiet_end(tremor)

    def test_a_peer_that_answers_no_ping_is_dropped(self) -> None:
        port = free_port()
        config = {"url": f"127.0.0.1:{port}", "auto_ping_interval": 50, "auto_ping_timeout": 200}
        tremor = self.tremor(answers.flow(config), wait_port=port)
        peer = self.peer_client("node", [{"url": f"ws://127.0.0.1:{port}/", "deaf": True, "leave": "and wait"}])
        self.assertEqual(self.seen_by(peer)[0]["closed"], [1006, ""])
        end = answers.closed(tremor, 1)[0]
        self.assertEqual((end["code"], end["by"], end["clean"]), (1006, "timeout", False))
        self.assert_quiet_end(tremor)

    def test_a_server_that_picks_no_subprotocol_is_left(self) -> None:
        peer, ports = self.peer_server("websockets", [{**FEW, "protocols": ["other"]}])
        config = {"url": f"ws://127.0.0.1:{ports[0]}/", "subprotocols": ["chat.v1"], "require_websocket_subprotocol": True}
        tremor = self.tremor(CLIENT.format(config=patient(config)))
        wait_for("the client to give up", lambda: "ERROR" in tremor.text())
        self.assertIn("subprotocol", tremor.text())
        self.assertFalse(peer.out.read_text().splitlines()[1:])


def add(peer: str, what: str) -> None:
    setattr(Sessions, f"test_{what}_{peer}", lambda self: getattr(self, what)(peer))


for peer in PEERS:
    for what in ("peer_as_client", "peer_as_server", "peer_answers_pings"):
        add(peer, what)

if __name__ == "__main__":
    unittest.main()
