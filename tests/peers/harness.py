"""Starts `tremor` and other programs, waits for conditions, and cleans up."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from ssl import TLSVersion

import websockets.sync.client

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# How long anything may take before it counts as hanging. Generous: test machines are slow and busy.
LIMIT_SECS = 180
# The way to 127.0.0.1 leads through no proxy, whatever the way to the network is.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

# The peers, see peer.py; what follows on the command line is a role.
PEERS = {
    "node": ["node", str(HERE / "peer.mjs")],
    "websockets": [sys.executable, str(HERE / "peer.py"), "websockets"],
    "autobahn": [sys.executable, str(HERE / "peer.py"), "autobahn"],
}


def connect(url: str, *, ssl=None, **more) -> websockets.sync.client.ClientConnection:
    """A client that waits for as long as anything may take, and that nobody ends because it has been slow to answer its pings.

    It reads and writes in two threads, which share one object of OpenSSL. A server of TLS 1.3 sends its tickets behind the
    handshake: who writes while the other reads those may wait for ever, with nothing sent. TLS 1.2 has nothing of the kind; the
    peers of peer.py, which have one thread, speak 1.3.
    """
    if ssl is not None:
        ssl.maximum_version = TLSVersion.TLSv1_2
    patience = {"open_timeout": LIMIT_SECS, "close_timeout": LIMIT_SECS, "ping_interval": None}
    return websockets.sync.client.connect(url, ssl=ssl, **{**patience, **more})


def tremor_binary() -> str:
    """`$TREMOR_BIN`, else the newest build."""
    if path := os.environ.get("TREMOR_BIN"):
        return path
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in target.glob("*/tremor") if path.is_file()]
    if not built:
        raise SystemExit(f"no `tremor` below {target}: build it, or set TREMOR_BIN")
    return str(max(built, key=lambda path: path.stat().st_mtime))


# The sockets of `free_port`, for as long as the tests run.
RESERVED: list[socket.socket] = []


def free_port() -> int:
    """A port that the system gives to nobody else: it stays bound, but nobody listens there. Programs that ask for this very
    port get it, since all of them, like this, reuse addresses."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    RESERVED.append(bound)
    return bound.getsockname()[1]


def patient(config: dict) -> str:
    """`config` as JSON, for a connector whose handshakes may take long, at the end too: many peers are scripts on busy machines."""
    return json.dumps({"open_handshake_timeout": 600_000, "close_handshake_timeout": 600_000, **config})


def wait_for(what: str, condition, limit_secs: float = LIMIT_SECS):
    """Returns the first true result of `condition`."""
    until = time.monotonic() + limit_secs
    while True:
        if result := condition():
            return result
        if time.monotonic() > until:
            raise AssertionError(f"waited {limit_secs} s in vain for: {what}")
        time.sleep(0.02)


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECS).close()
        return True
    return False


class Program:
    """A running program; its output goes to files."""

    def __init__(self, name: str, folder: pathlib.Path, args: list[str], stdin=subprocess.DEVNULL, env=None):
        self.name = name
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                args, cwd=folder, stdin=stdin, stdout=out, stderr=err, env={**os.environ, **(env or {})}
            )

    def text(self) -> str:
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def wait(self, limit_secs: float = LIMIT_SECS) -> int:
        return self.process.wait(limit_secs)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


class Case(unittest.TestCase):
    """A test with a folder of its own; programs that it started are ended with it and shown if it failed."""

    maxDiff = 2000

    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tremor-peers-"))
        self.programs: list[Program] = []
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(self.end_programs)

    def end_programs(self) -> None:
        for program in reversed(self.programs):
            program.kill()

    def _callTestMethod(self, method) -> None:
        # Here, not in `tearDown`: there nobody can tell whether the test failed.
        try:
            method()
        except Exception:
            for program in self.programs:
                tail = "\n".join(program.text().splitlines()[-25:])
                print(f"\n--- {self.id()}: end of what {program.name} said\n{tail}\n---", flush=True)
            raise

    def start(self, name: str, args: list[str], **options) -> Program:
        program = Program(name, self.folder, args, **options)
        self.programs.append(program)
        return program

    def tremor(self, flow: str, *options: str, wait_port: int | None = None, **more) -> Program:
        """Starts `tremor server run` with `flow`; waits until `wait_port` is open, if given."""
        (self.folder / "config.troy").write_text(flow)
        if not any(option in ("-a", "--api-host") for option in options):
            options = ("--no-api", *options)
        env = {"RUST_LOG": "info", **more.pop("env", {})}
        args = [tremor_binary(), "server", "run", *options, "config.troy"]
        program = self.start("tremor", args, env=env, **more)
        if wait_port is not None:

            def ready() -> bool:
                if program.process.poll() is not None:
                    raise AssertionError(f"tremor ended with {program.process.returncode}:\n{program.text()}")
                return is_open(wait_port)

            wait_for(f"tremor on port {wait_port}", ready)
        return program

    def peer_client(self, name: str, sessions: list[dict]) -> Program:
        """The peer `name` connects for each of `sessions`, which peer.py describes, one after the other."""
        return self.start(name, [*PEERS[name], "client", *map(json.dumps, sessions)])

    def peer_server(self, name: str, sessions: list[dict]) -> tuple[Program, list[int]]:
        """The peer `name` listens for each of `sessions`, at the ports that are returned."""
        peer = self.start(name, [*PEERS[name], "server", *map(json.dumps, sessions)])

        def ports() -> list[int]:
            if peer.process.poll() is not None:
                raise AssertionError(f"{name} ended with {peer.process.returncode}:\n{peer.text()}")
            first, end, _ = peer.out.read_text().partition("\n")
            return [int(port) for port in first.split()[1:]] if end else []

        return peer, wait_for(f"the ports of {name}", ports)

    def seen_by(self, peer: Program) -> list[dict]:
        """What `peer` tells of each of its sessions, once it has ended well."""
        self.assertEqual(peer.wait(), 0, peer.text())
        seen = [json.loads(line) for line in peer.out.read_text().splitlines() if line.startswith("{")]
        self.assertEqual(sorted(one["session"] for one in seen), list(range(len(seen))))
        return sorted(seen, key=lambda one: one["session"])

    def certificate(self, folder: str = "tls") -> tuple[str, str]:
        """Paths of a certificate for `localhost` and of its key."""
        made = self.folder / folder
        command = [tremor_binary(), "dev-cert", "--out", str(made), "localhost", "127.0.0.1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_SECS)
        return str(made / "cert.pem"), str(made / "key.pem")

    def assert_quiet_end(self, program: Program, code: int = 0) -> None:
        """`program` ends with `code`, and neither panicked nor logged an error."""
        self.assertEqual(program.terminate(), code, program.text())
        self.assertNotIn("panicked", program.text())
