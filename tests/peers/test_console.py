"""What a user pipes `tremor server run` into."""

import json
import shutil
import subprocess
import unittest

from harness import LIMIT_SECS, ROOT, Case, free_port, tremor_binary, wait_for

ENDLESS = """
define flow main
flow
  use tremor::{connectors, pipelines};
  define connector clock from metronome with config = {"interval": 1000000} end;
  create connector clock;
  create connector console from connectors::console;
  create pipeline show from pipelines::passthrough;
  connect /connector/clock to /pipeline/show;
  connect /pipeline/show to /connector/console;
end;
deploy flow main;
"""


class Console(Case):
    def test_jq_shows_the_events_of_the_example_and_nothing_else(self) -> None:
        example = ROOT / "docs/examples/ws-tls-echo"
        flow = (example / "config.troy").read_text().replace(":24242", f":{free_port()}")
        (self.folder / "config.troy").write_text(flow)
        shutil.copy(example / "in.json", self.folder)
        self.certificate()
        command = f"'{tremor_binary()}' server run --no-api config.troy | jq ."
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_SECS,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        pretty = subprocess.run(["jq", ".", example / "expected.json"], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, pretty.stdout)
        self.assertIn("tremor version: ", done.stderr)
        written = (self.folder / "out.log").read_text()
        self.assertEqual(written, (example / "expected.json").read_text())

    def test_a_reader_that_goes_away_ends_it_quietly(self) -> None:
        (self.folder / "config.troy").write_text(ENDLESS)
        command = f"'{tremor_binary()}' server run --no-api config.troy 2> err.txt | head -1"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_SECS,
        )  # fmt: skip
        errors = (self.folder / "err.txt").read_text()
        self.assertEqual(done.returncode, 0, errors)
        self.assertEqual(json.loads(done.stdout)["id"], 0)
        for word in ("panicked", "ERROR", "Error", "Broken pipe"):
            self.assertNotIn(word, errors)

    def test_the_process_id_is_written_and_ends_the_process(self) -> None:
        tremor = self.tremor(ENDLESS, "--pid", "tremor.pid")
        pid = wait_for("the pid file", lambda: (self.folder / "tremor.pid").exists() and (self.folder / "tremor.pid").read_text())
        self.assertEqual(pid, f"{tremor.process.pid}\n")
        wait_for("an event", lambda: tremor.out.read_text())
        self.assertEqual(tremor.terminate(), 0, tremor.text())


if __name__ == "__main__":
    unittest.main()
