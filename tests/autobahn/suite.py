"""Runs the Autobahn suite with `tremor` as server, as client, or both, and reads what it reports."""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WSTEST = ROOT / ".tools" / "wstest" / "bin" / "wstest"
DOCS = ROOT / "docs" / "CONFORMANCE.md"
AGENT = "tremor"
PASSED = {"OK", "INFORMATIONAL"}
# Programs have to be there within this time, however slow the machine.
START_SECS = 180
# A single case takes at most 480 s by its own limit; the suite closes the connection then.
CASE_SECS = 600

# Everything but the address is left at its default. `{}` stands for compression with its defaults.
FLOW = """define flow main
flow
  use tremor::pipelines;
  define connector echo from {kind}
  with
    codec = "binary",
    config = {{"url": "{url}"{options}}}{reconnect}
  end;
  create connector echo;
  create pipeline echo from pipelines::passthrough;
  connect /connector/echo to /pipeline/echo;
  connect /pipeline/echo to /connector/echo;
end;
deploy flow main;
"""
COMPRESSION = ', "options": {"compression": {"deflate": {}}}'
# The suite counts connections: a second one for the same case would be taken for its result.
NEVER_AGAIN = ',\n    reconnect = {"retry": {"interval_ms": 36000000, "randomized": false}}'


class Failure(Exception):
    """What keeps the suite from giving results."""


class Program:
    """A running program that writes to a file, and is ended with the block."""

    def __init__(self, args, folder: pathlib.Path, name: str, env=None):
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                args, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})}
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, limit_secs: float) -> re.Match:
        """The first place in what it wrote that matches."""
        until = time.monotonic() + limit_secs
        while not (found := re.search(pattern, self.text(), re.MULTILINE)):
            if self.process.poll() is not None:
                raise Failure(f"{self.process.args[0]} ended:\n{self.text()[-3000:]}")
            if time.monotonic() > until:
                raise Failure(f"{self.process.args[0]} did not say `{pattern}` in {limit_secs} s:\n{self.text()[-3000:]}")
            time.sleep(0.01)
        return found


def tremor(folder: pathlib.Path, name: str, kind: str, url: str, again: bool = True) -> Program:
    """Starts an echo flow."""
    reconnect = "" if again else NEVER_AGAIN
    (folder / f"{name}.troy").write_text(FLOW.format(kind=kind, url=url, options=COMPRESSION, reconnect=reconnect))
    args = [os.environ["TREMOR_BIN"], "server", "run", "--no-api", f"{name}.troy"]
    return Program(args, folder, name, env={"RUST_LOG": "info"})


# The sockets of `free_port`.
RESERVED: list[socket.socket] = []


def free_port() -> int:
    """A port that the system gives to nobody else: it stays bound, but nobody listens there."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    RESERVED.append(bound)
    return bound.getsockname()[1]


def results(folder: pathlib.Path) -> dict:
    index = folder / "reports" / "index.json"
    if not index.is_file():
        raise Failure("the suite wrote no report")
    return json.loads(index.read_text()).get(AGENT, {})


def as_server(folder: pathlib.Path, patterns: list[str]) -> tuple[int, dict]:
    """The suite connects to a `ws_server` once for each case."""
    with tremor(folder, "server", "ws_server", "127.0.0.1:0") as server:
        address = server.wait_for(r"listening on (\S+)$", START_SECS).group(1)
        spec = {
            "outdir": "reports",
            "servers": [{"agent": AGENT, "url": f"ws://{address}"}],
            "cases": patterns,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "fuzzingclient.json").write_text(json.dumps(spec))
        with Program([WSTEST, "-m", "fuzzingclient", "-s", "fuzzingclient.json"], folder, "suite") as suite:
            count = int(suite.wait_for(r"will run (\d+) test cases", START_SECS).group(1))
            if count == 0:
                raise Failure(f"no case is named by {' '.join(patterns)}")
            follow(suite, count)
            with contextlib.suppress(subprocess.TimeoutExpired):
                suite.process.wait(START_SECS)
            if suite.process.poll() is None:
                raise Failure("the suite does not end")
    return count, results(folder)


def follow(suite: Program, count: int) -> None:
    """Waits until the suite has gone through its cases, as long as it goes on."""
    seen, since = 0, time.monotonic()
    while suite.process.poll() is None:
        begun = suite.text().count("Running test case ID")
        if begun > seen:
            seen, since = begun, time.monotonic()
            progress("server", seen, count)
        if time.monotonic() - since > CASE_SECS:
            raise Failure(f"the suite stands still:\n{suite.text()[-500:]}")
        time.sleep(0.05)


def as_client(folder: pathlib.Path, patterns: list[str]) -> tuple[int, dict]:
    """A `ws_client` of a program of its own connects to the suite for each case."""
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    spec = {
        "url": url,
        "outdir": "reports",
        "cases": patterns,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (folder / "fuzzingserver.json").write_text(json.dumps(spec))
    with Program([WSTEST, "-m", "fuzzingserver", "-s", "fuzzingserver.json", "-u", "0"], folder, "suite") as suite:
        count = int(suite.wait_for(r"will run (\d+) test cases", START_SECS).group(1))
        wait_until_open(suite, port)
        if count == 0:
            raise Failure(f"no case is named by {' '.join(patterns)}")
        for case in range(1, count + 1):
            progress("client", case, count)
            visit(folder, f"case{case}", f"{url}/runCase?case={case}&agent={AGENT}")
        visit(folder, "report", f"{url}/updateReports?agent={AGENT}")
    return count, results(folder)


def visit(folder: pathlib.Path, name: str, url: str) -> None:
    """Connects once, and echoes until the suite ends the connection."""
    with tremor(folder, name, "ws_client", url, again=False) as client:
        client.wait_for(r"\[Connector::main::echo\] Connection to \S+ (ended|lost):", CASE_SECS)
        client.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.process.wait(START_SECS)
    client.log.unlink()


def wait_until_open(suite: Program, port: int) -> None:
    until = time.monotonic() + START_SECS
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if suite.process.poll() is not None or time.monotonic() > until:
            raise Failure(f"the suite does not listen:\n{suite.text()[-3000:]}")
        time.sleep(0.05)


def progress(role: str, number: int, count: int) -> None:
    if sys.stdout.isatty():
        print(f"\r{role}: case {number} of {count}", end="", flush=True)


def in_order(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def verdict(case: dict) -> str:
    """The worse one of what the case itself and its close came to."""
    return next((case[key] for key in ("behavior", "behaviorClose") if case[key] not in PASSED), case["behavior"])


def table(found: dict[str, dict]) -> str:
    """The results by group, as Markdown."""
    lines = []
    for role, cases in found.items():
        groups = collections.defaultdict(collections.Counter)
        for name, case in cases.items():
            groups[in_order(name)[0]][verdict(case)] += 1
        informational = [name for name in sorted(cases, key=in_order) if verdict(cases[name]) == "INFORMATIONAL"]
        lines += [f"### As {role}", "", "| group | cases | OK | INFORMATIONAL | other |", "|---:|---:|---:|---:|---:|"]
        for group, counts in sorted(groups.items()):
            lines.append(row(str(group), counts))
        lines += [row("all", sum(groups.values(), collections.Counter())), ""]
        lines += [f"INFORMATIONAL: {', '.join(informational) or 'none'}.", ""]
    return "\n".join(lines)


def row(name: str, counts: collections.Counter) -> str:
    ok, informational = counts["OK"], counts["INFORMATIONAL"]
    return f"| {name} | {counts.total()} | {ok} | {informational} | {counts.total() - ok - informational} |"


def write_docs(found: dict[str, dict]) -> None:
    text = DOCS.read_text()
    start, end = "<!-- results -->\n", "<!-- end of results -->"
    before, rest = text.split(start)
    _, after = rest.split(end)
    DOCS.write_text(f"{before}{start}\n{table(found)}\n{end}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/autobahn/run", description="Runs the Autobahn WebSocket suite.")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/CONFORMANCE.md")
    parser.add_argument("role", nargs="?", default="all", choices=["server", "client", "all"], help="what tremor is")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="cases, such as '7.*'; all of them without any")
    options = parser.parse_args()
    if options.docs and (options.role != "all" or options.patterns):
        parser.error("--docs shows all results: leave out role and patterns")
    roles = {"server": as_server, "client": as_client}
    chosen = list(roles) if options.role == "all" else [options.role]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tremor-autobahn-"))
    found, passed, failed = {}, 0, []
    since = time.monotonic()
    # The suite runs in one thread, so both roles at once take less time than one after the other.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = {}
        for role in chosen:
            (folder / role).mkdir()
            runs[role] = pool.submit(roles[role], folder / role, options.patterns or ["*"])
        for role, run in runs.items():
            try:
                count, cases = run.result()
            except Failure as failure:
                failed.append(f"{role}: {failure}")
                continue
            bad = [name for name in cases if not {cases[name]["behavior"], cases[name]["behaviorClose"]} <= PASSED]
            lines = [f"{role} {name}: {cases[name]['behavior']}, close {cases[name]['behaviorClose']}" for name in bad]
            if len(cases) < count:
                lines.append(f"{role}: the report has {len(cases)} cases instead of {count}")
            found[role], passed, failed = cases, passed + len(cases) - len(bad), failed + lines
            print(f"{role}: {len(cases) - len(bad)} of {count} cases passed after {time.monotonic() - since:.0f} s")
    for line in failed:
        print(line)
    if failed:
        print(f"reports are kept in {folder}")
    else:
        shutil.rmtree(folder)
        if options.docs:
            write_docs(found)
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
