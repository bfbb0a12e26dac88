"""permessage-deflate with every window and takeover that peers can ask for, and that we can (`spec/websocket.md` 10)."""

import itertools
import unittest

from harness import PEERS, Case, free_port, patient

# Short messages, so that later ones refer to earlier ones through the windows; all special lengths are among them.
SHORT = {"count": 60, "edge_every": 10}
TAKEOVER = ("server_no_context_takeover", "client_no_context_takeover")
WINDOW = ("server_max_window_bits", "client_max_window_bits")
FLOW = """
define flow main
flow
  use tremor::pipelines;
{connectors}
end;
deploy flow main;
"""
CONNECTOR = """
  define connector {name} from {kind}
  with codec = "binary", config = {config}, reconnect = {{"retry": {{"interval_ms": 100, "max_retries": 3}}}} end;
  create connector {name};
  create pipeline {name}_echo from pipelines::passthrough;
  connect /connector/{name} to /pipeline/{name}_echo;
  connect /pipeline/{name}_echo to /connector/{name};
"""


def combinations(windows: list[tuple[int | None, int | None]]) -> list[dict]:
    """Each pair of windows with each takeover."""
    made = []
    for bits, takeover in itertools.product(windows, itertools.product((False, True), repeat=2)):
        named = [*zip(WINDOW, bits), *((name, True) for name, on in zip(TAKEOVER, takeover) if on)]
        made.append({name: value for name, value in named if value is not None})
    return made


# What peers ask for as clients, and insist on as servers. Windows of 8 bits are for the next test.
WISHES = combinations([(None, None), (9, 12), (15, 9)])
WISHES += [dict(zip(WINDOW, (bits, 24 - bits))) for bits in range(10, 15)]
# What we insist on: the keys of `compression.deflate`, the parameters that have to be agreed on if we are the server, and
# those if we are the client.
OWN = [
    ({"request_no_context_takeover": True}, {"client_no_context_takeover": True}, {"server_no_context_takeover": True}),
    ({"no_context_takeover": True}, {"server_no_context_takeover": True}, {}),
    ({"request_max_window_bits": 9}, {"client_max_window_bits": 9}, {"server_max_window_bits": 9}),
    ({"max_window_bits": 9, "memory_level": 1, "level": 9}, {"server_max_window_bits": 9}, {}),
    ({"level": 0}, {}, {}),
    # Some messages are compressed and others are not.
    ({"min_size": 100}, {}, {}),
]


class Compression(Case):
    def servers(self, configs: list[dict]) -> list[int]:
        """A `ws_server` for each of `configs`, in one program; their ports."""
        ports = [free_port() for _ in configs]
        connectors = [
            CONNECTOR.format(name=f"c{n}", kind="ws_server", config=patient({**config, "url": f"127.0.0.1:{port}"}))
            for n, (config, port) in enumerate(zip(configs, ports))
        ]
        self.program = self.tremor(FLOW.format(connectors="".join(connectors)), wait_port=ports[-1])
        return ports

    def clients(self, configs: list[dict], ports: list[int]) -> None:
        """A `ws_client` for each of `configs` and `ports`, in one program."""
        connectors = [
            CONNECTOR.format(name=f"c{n}", kind="ws_client", config=patient({**config, "url": f"ws://127.0.0.1:{port}/"}))
            for n, (config, port) in enumerate(zip(configs, ports))
        ]
        self.program = self.tremor(FLOW.format(connectors="".join(connectors)))

    def assert_agreed(self, params: dict | None, wish: dict) -> None:
        """All of `wish` is in `params`; windows may be smaller."""
        self.assertIsNotNone(params, wish)
        for name, wanted in wish.items():
            if name in WINDOW:
                self.assertLessEqual(int(params.get(name, 15)), wanted, (name, params))
            else:
                self.assertTrue(params.get(name), (name, params))

    def peer_asks_as_client(self, name: str) -> None:
        port = self.servers([{"compression": {"deflate": {}}}])[0]
        url = f"ws://127.0.0.1:{port}/"
        sessions = [{**SHORT, "url": url, "deflate": wish} for wish in WISHES]
        # In frames: of a message that is compressed as a whole.
        sessions.append({**SHORT, "url": url, "deflate": {}, "fragment": 1_000})
        seen = self.seen_by(self.peer_client(name, sessions))
        self.assertEqual(len(seen), len(sessions))
        for session, one in zip(sessions, seen):
            # A window for its own side is a hint: nobody has to say anything to it.
            wish = {key: value for key, value in session["deflate"].items() if not key.startswith("client_")}
            self.assert_agreed(one["params"], wish)
            self.assertEqual(one["closed"][0], 1000)
        self.assert_quiet_end(self.program)

    def peer_asks_as_server(self, name: str) -> None:
        # `websockets` compresses with what the client offers; what it asks for beyond is in its answer.
        sessions = [{**SHORT, "deflate": wish} for wish in WISHES] + [{**SHORT, "deflate": {}, "fragment": 1_000}]
        peer, ports = self.peer_server(name, sessions)
        self.clients([{"compression": {"deflate": {}}}] * len(sessions), ports)
        seen = self.seen_by(peer)
        self.assertEqual(len(seen), len(sessions))
        self.assertEqual([one["compressed"] for one in seen], [True] * len(seen))
        self.assert_quiet_end(self.program)

    def we_ask(self, name: str) -> None:
        configs = [{"compression": {"deflate": own}} for own, _, _ in OWN]
        # Without compression on one side there is none; our frames are cut as well.
        configs += [{"auto_fragment_size": 1_000}, {"compression": {"deflate": {}}, "auto_fragment_size": 1_000}]
        servers = self.servers(configs)
        sessions = [{**SHORT, "url": f"ws://127.0.0.1:{port}/", "deflate": {}} for port in servers]
        self.assert_own(self.seen_by(self.peer_client(name, sessions)), [wish for _, wish, _ in OWN])
        self.assert_quiet_end(self.program)
        peer, ports = self.peer_server(name, [{**SHORT, "deflate": {}} for _ in configs])
        self.clients(configs, ports)
        self.assert_own(self.seen_by(peer), [wish for _, _, wish in OWN])
        self.assert_quiet_end(self.program)

    def assert_own(self, seen: list[dict], wishes: list[dict]) -> None:
        """`wishes` were granted; of the two connections that followed, only the second one is compressed."""
        for one, wish in zip(seen, wishes):
            self.assert_agreed(one["params"], wish)
        self.assertEqual([one["compressed"] for one in seen], [True] * len(wishes) + [False, True])

    def test_windows_of_8_bits_for_us_are_declined(self) -> None:
        """Nobody can compress with them; messages go plain then."""
        port = self.servers([{"compression": {"deflate": {}}}])[0]
        for name in ("websockets", "node"):
            session = {**SHORT, "url": f"ws://127.0.0.1:{port}/", "deflate": {"server_max_window_bits": 8}}
            seen = self.seen_by(self.peer_client(name, [session]))
            self.assertEqual([one["compressed"] for one in seen], [False])
        self.assert_quiet_end(self.program)


def add(peer: str, what: str) -> None:
    setattr(Compression, f"test_{what}_{peer}", lambda self: getattr(self, what)(peer))


for peer in PEERS:
    for what in ("peer_asks_as_client", "peer_asks_as_server", "we_ask"):
        add(peer, what)

if __name__ == "__main__":
    unittest.main()
