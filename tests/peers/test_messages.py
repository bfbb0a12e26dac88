"""10 000 messages each way between `tremor` and each peer: each role, plain, compressed and over TLS."""

import unittest

from harness import PEERS, Case, free_port, patient

COUNT = 10_000
WAYS = ("plain", "deflate", "tls")

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
    def check(self, seen: list[dict], way: str) -> None:
        self.assertEqual([one["compressed"] for one in seen], [way == "deflate"])
        self.assertEqual(seen[0]["closed"][0], 1000)

    def as_client(self, name: str, way: str) -> None:
        """The peer is the client of our server."""
        port = free_port()
        scheme, host, config, session = "ws", "127.0.0.1", {}, {"count": COUNT}
        if way == "tls":
            cert, key = self.certificate()
            scheme, host, config["tls"], session["cafile"] = "wss", "localhost", {"cert": cert, "key": key}, cert
        if way == "deflate":
            config["compression"], session["deflate"] = {"deflate": {}}, {}
        config["url"] = f"{scheme}://127.0.0.1:{port}"
        tremor = self.tremor(FLOW.format(kind="ws_server", config=patient(config)), wait_port=port)
        self.check(self.seen_by(self.peer_client(name, [{**session, "url": f"{scheme}://{host}:{port}/"}])), way)
        self.assert_quiet_end(tremor)

    def as_server(self, name: str, way: str) -> None:
        """The peer is the server for our client."""
        scheme, config, session = "ws", {}, {"count": COUNT}
        if way == "tls":
            cert, key = self.certificate()
            session |= {"cert": cert, "key": key}
            scheme, config["tls"] = "wss", {"cafile": cert, "domain": "localhost"}
        if way == "deflate":
            config["compression"], session["deflate"] = {"deflate": {}}, {}
        peer, ports = self.peer_server(name, [session])
        config["url"] = f"{scheme}://127.0.0.1:{ports[0]}/path?query=1"
        tremor = self.tremor(FLOW.format(kind="ws_client", config=patient(config)))
        self.check(self.seen_by(peer), way)
        # The peer is gone by now. A client that gives up after it was connected does not end the process.
        self.assert_quiet_end(tremor)


def add(peer: str, role: str, way: str) -> None:
    def test(self: Messages) -> None:
        getattr(self, f"as_{role}")(peer, way)

    test.__doc__ = f"{peer} as {role}, {way}"
    setattr(Messages, f"test_{peer}_as_{role}_{way}", test)


for peer in PEERS:
    for role in ("client", "server"):
        for way in WAYS:
            add(peer, role, way)

if __name__ == "__main__":
    unittest.main()
