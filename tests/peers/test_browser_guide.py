"""The page of docs/guides/websocket-browser.md does in a browser what the guide says."""

import functools
import http.server
import json
import shutil
import threading
import unittest

from harness import HERE, ROOT, Case, free_port, wait_for
from test_guides import Blocks


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


class Page(Case):
    def test_the_page_works_as_written(self) -> None:
        guide = Blocks(ROOT / "docs/guides/websocket-browser.md")
        flow, page = guide.after("Write `desk.troy`"), guide.after("and `index.html`")
        answered, refused, told = guide.after("and say `hello`"), guide.after("hears nothing but this"), guide.after("the flow is told all of it")
        pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=self.folder))
        self.addCleanup(pages.server_close)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        self.addCleanup(pages.shutdown)
        port, at = free_port(), pages.server_port
        for wanted, text in ((":8080", flow), (":8000", flow), (":8080", page)):
            self.assertIn(wanted, text)
        (self.folder / "index.html").write_text(page.replace(":8080", f":{port}"))
        tremor = self.tremor(flow.replace(":8080", f":{port}").replace(":8000", f":{at}"), wait_port=port)
        here, elsewhere = (f"http://{host}:{at}/" for host in ("localhost", "127.0.0.1"))
        visits = [
            {"url": here, "token": "let me in!", "say": "hello"},
            {"url": here, "token": "let me out"},
            {"url": elsewhere, "token": "let me in!"},
        ]
        home = {name: str(self.folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")}
        browser = self.start("browser", ["node", str(HERE / "page.mjs"), shutil.which("chromium"), *map(json.dumps, visits)], env=home)
        self.assertEqual(browser.wait(), 0, browser.text())
        seen = [json.loads(line) for line in browser.out.read_text().splitlines()]
        self.assertEqual(seen, [answered, refused, refused])
        expected = told.replace(":8000", f":{at}")
        wait_for("what the flow is told", lambda: tremor.out.read_text() == expected)
        self.assert_quiet_end(tremor)


if __name__ == "__main__":
    unittest.main()
