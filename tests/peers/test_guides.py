"""What the guides show is what happens: their flows pass the check, and the steps of the first one work as written."""

import json
import os
import pathlib
import re
import subprocess
import unittest

from harness import LIMIT_SECS, ROOT, Case, tremor_binary, wait_for

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Blocks:
    """The code blocks of a page, taken in order."""

    def __init__(self, page: pathlib.Path):
        self.text = page.read_text()
        self.at = 0

    def after(self, words: str) -> str:
        """The next block behind `words`."""
        found = self.text.find(words, self.at)
        if found < 0:
            raise AssertionError(f"the page does not say `{words}` any more, or says it earlier")
        self.at = found
        return self.next()

    def next(self) -> str:
        block = BLOCK.search(self.text, self.at)
        self.at = block.end()
        return block.group(1)


class Guides(Case):
    def do(self, *args: str) -> subprocess.CompletedProcess:
        env = {**os.environ, "NO_COLOR": "1", "RUST_LOG": "warn", "TREMOR_BIN": tremor_binary(), "TOKEN": "a"}
        return subprocess.run(
            [tremor_binary(), *args],
            cwd=self.folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECS,
        )  # fmt: skip

    def assert_checks(self, flow: str, what: str) -> None:
        (self.folder / "flow.troy").write_text(flow)
        checked = self.do("check", "flow.troy")
        self.assertEqual((checked.returncode, checked.stdout), (0, ""), f"{what}:\n{checked.stderr}")

    def test_flows_and_definitions_pass_the_check(self) -> None:
        self.certificate()
        secret = {"kty": "oct", "kid": "a", "alg": "HS256", "k": "A" * 43}
        (self.folder / "keys.json").write_text(json.dumps({"keys": [secret]}))
        for page in PAGES:
            blocks = BLOCK.findall(page.read_text())
            for flow in blocks:
                # The one with a mistake is shown together with its report; its test is below.
                if "\ndeploy flow " in flow and "large_errors" not in flow:
                    self.assert_checks(flow, page.name)
            blocks = [block for block in blocks if block.startswith("define connector ")]
            if not blocks:
                continue
            names = re.findall(r"^define connector (\w+)", "".join(blocks), re.MULTILINE)
            creates = "".join(f"create connector {name};\n" for name in names)
            flow = f"define flow main\nflow\n{''.join(blocks)}{creates}end;\ndeploy flow main;\n"
            self.assert_checks(flow, page.name)

    def test_the_flow_of_the_readme_works(self) -> None:
        blocks = Blocks(ROOT / "README.md")
        self.assert_console(blocks.after("## A first flow"), blocks.next())

    def assert_console(self, flow: str, session: str) -> None:
        """`session` is a `printf ... | tremor ...` and what it shows; the flow does not end by itself."""
        command, _, shown = session.partition("\n")
        given = re.fullmatch(r"\$ printf '([^']*)' \| tremor server run \S+", command).group(1)
        tremor = self.tremor(flow, stdin=subprocess.PIPE)
        tremor.process.stdin.write(given.replace("\\n", "\n").encode())
        tremor.process.stdin.flush()
        wait_for("what the page shows", lambda: tremor.out.read_text() == shown)
        self.assertEqual(tremor.terminate(), 0, tremor.text())

    def assert_run(self, flow: str, session: str) -> None:
        """`session` runs `orders.troy` and shows `large.json`."""
        (self.folder / "orders.troy").write_text(flow)
        checked = self.do("check", "orders.troy")
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))
        run, show, *shown = session.splitlines()
        self.assertEqual((run, show), ("$ tremor server run orders.troy", "$ cat large.json"))
        done = self.do("server", "run", "--no-api", "orders.troy")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "large.json").read_text().splitlines(), shown)
        self.assertIn('"source":"main::orders"', done.stderr)

    def test_the_first_flow_works_as_written(self) -> None:
        page = Blocks(ROOT / "docs/guides/first-flow.md")
        self.assert_console(page.after("Write `hello.troy`"), page.after("`passthrough` is the pipeline"))

        (self.folder / "orders.json").write_text(page.after("Write `orders.json`"))
        flow = page.after("and `orders.troy`")
        (self.folder / "orders.troy").write_text(flow)
        checked = self.do("check", "orders.troy")
        self.assertEqual(checked.returncode, 1)
        _, _, report = page.after("Ask what is wrong").partition("\n")
        lines = [line.rstrip() for line in checked.stderr.splitlines()]
        self.assertIn("\n".join(line.rstrip() for line in report.splitlines()), "\n".join(lines))

        first_link = "  connect /connector/orders to"
        flow = flow.replace(first_link, page.after("Add it:") + first_link, 1)
        self.assertIn("together with `use tremor::pipelines;`", page.text)
        flow = flow.replace("  use tremor::connectors;", "  use tremor::connectors;\n  use tremor::pipelines;", 1)
        self.assert_run(flow, page.after("now says nothing and ends with 0"))

        start, end = flow.index("  define pipeline large"), flow.index("  create ")
        flow = flow[:start] + page.after("In place of the pipeline `large`") + flow[end:]
        flow = re.sub(r"^  create pipeline large .*\n", page.after("replaces the line that creates `large`"), flow, flags=re.M)
        flow = flow.replace("end;\n\ndeploy", page.after("Connect it to see it") + "end;\n\ndeploy")
        self.assert_run(flow, page.next())

        test = self.folder = self.folder / "test"
        test.mkdir()
        (test / "orders.troy").write_text(flow)
        (test / "orders.json").write_text((test.parent / "orders.json").read_text())
        (test / "expected.json").write_text(page.after("write `expected.json`"))
        (test / "assert.yaml").write_text(page.after("as well as `assert.yaml`"))
        self.assertEqual(page.next(), "$ tremor test integration .\n")
        tested = self.do("test", "integration", ".")
        self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)

    def test_the_texts_are_taken_apart_as_written(self) -> None:
        page = Blocks(ROOT / "docs/guides/extractors.md")
        (self.folder / "app.log").write_text(page.after("Write `app.log`"))
        script = page.after("and `lines.tremor`")
        (self.folder / "lines.tremor").write_text(script)
        records = self.assert_prints(page.after("The event is a line"))
        (self.folder / "lines.json").write_text(records)
        (self.folder / "fields.tremor").write_text(page.after("Write `fields.tremor`"))
        self.assert_prints(page.after("With these records"))
        (self.folder / "mixed.log").write_text(page.after("Write `mixed.log`"))
        (self.folder / "mixed.tremor").write_text(page.after("and `mixed.tremor`"))
        self.assert_prints(page.next())

        right, wrong = r"(?<day>\\S+) (?<level>WARN\|ERROR) (?<part>\\w+)", r"(?<day>\\S+"
        self.assertIn(right, script)
        (self.folder / "lines.tremor").write_text(script.replace(right, wrong))
        checked = self.do("check", "lines.tremor")
        self.assertEqual(checked.returncode, 1)
        lines = "\n".join(line.rstrip() for line in checked.stderr.splitlines())
        report = page.after("A body that is wrong")
        self.assertIn("\n".join(line.rstrip() for line in report.splitlines()), lines)

    def assert_prints(self, session: str) -> str:
        """`session` is a command and what it prints."""
        command, _, shown = session.partition("\n")
        self.assertEqual(command[:9], "$ tremor ")
        done = self.do(*command[9:].split())
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, shown, ""))
        return shown


if __name__ == "__main__":
    unittest.main()
