"""10 000 messages each way between `tremor` and each peer: each role, plain and TLS."""

import sys
import unittest

from harness import HERE, Case, Program, free_port, wait_for

COUNT = 10_000
PEERS = {
    "node": ["node", str(HERE / "peer.mjs")],
    "python": [sys.executable, str(HERE / "peer.py")],
}

# Every message goes back as the kind of frame that it came as: the metadata says which.
FLOW = """
define flow main
flow
  use tremor::pipelines;
  define connector socket from {kind}
  with
    codec = "binary",
    config = {config},
    reconnect = {{"retry": {{"interval_ms": 100, "max_retries": 3}}}}
  end;
  create connector socket;
  create pipeline echo from pipelines::passthrough;
  connect /connector/socket to /pipeline/echo;
  connect /pipeline/echo to /connector/socket;
end;
deploy flow main;
"""


class Messages(Case):
    def peer(self, name: str, *args: str) -> Program:
        return self.start(name, [*PEERS[name], *args], env={"PYTHONPATH": str(HERE)})

    def as_client(self, name: str, tls: bool) -> None:
        """The peer is the client of our server."""
        port = free_port()
        scheme, options, cafile = "ws", "", []
        if tls:
            cert, key = self.certificate()
            scheme, options, cafile = "wss", f', "tls": {{"cert": "{cert}", "key": "{key}"}}', [cert]
        config = f'{{"url": "{scheme}://127.0.0.1:{port}"{options}}}'
        tremor = self.tremor(FLOW.format(kind="ws_server", config=config), wait_port=port)
        host = "localhost" if tls else "127.0.0.1"
        peer = self.peer(name, "client", f"{scheme}://{host}:{port}/", str(COUNT), *cafile)
        self.assertEqual(peer.wait(), 0, peer.text())
        self.assertIn(f"ok {COUNT}", peer.text())
        self.assert_quiet_end(tremor)

    def as_server(self, name: str, tls: bool) -> None:
        """The peer is the server for our client."""
        scheme, options, pair = "ws", "", []
        if tls:
            pair = list(self.certificate())
            scheme, options = "wss", f', "tls": {{"cafile": "{pair[0]}", "domain": "localhost"}}'
        peer = self.peer(name, "server", str(COUNT), *pair)
        announced = wait_for(f"the port of {name}", lambda: peer.out.read_text().split()[1:2])
        config = f'{{"url": "{scheme}://127.0.0.1:{announced[0]}/path?query=1"{options}}}'
        tremor = self.tremor(FLOW.format(kind="ws_client", config=config))
        self.assertEqual(peer.wait(), 0, peer.text())
        self.assertIn(f"ok {COUNT}", peer.text())
        # The peer is gone by now. A client that gives up after it was connected does not end the process.
        self.assert_quiet_end(tremor)


def add(peer: str, role: str, tls: bool) -> None:
    def test(self: Messages) -> None:
        getattr(self, f"as_{role}")(peer, tls)

    test.__doc__ = f"{peer} as {role}, {'TLS' if tls else 'plain'}"
    setattr(Messages, f"test_{peer}_as_{role}_{'tls' if tls else 'plain'}", test)


for peer in PEERS:
    for role in ("client", "server"):
        for tls in (False, True):
            add(peer, role, tls)

if __name__ == "__main__":
    unittest.main()
