"""A browser as client (`spec/websocket.md` 4, 5, 7.1, 10, 11, 16): what only browsers do, and what they insist on."""

import base64
import hmac
import json
import shutil
import subprocess
import time
import unittest

import answers
from harness import HERE, Case, Program, free_port, wait_for

TEXT = "grüße — ✓ 𝄞"
LONG = "the same words again and again, " * 4_000
# A token, and how it is written where only letters, digits and a few signs are allowed.
TOKEN = "let me in!"
TOKEN_WRITTEN = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
BYTES = [0, 255, 128, 10, 13]
SECRET = b"0123456789abcdef0123456789abcdef"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwt(claims: dict) -> str:
    """A token with these claims, signed with `SECRET`."""
    parts = [{"alg": "HS256", "kid": "one"}, claims]
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    signature = hmac.digest(SECRET, signed.encode(), "sha256")
    return f"{signed}.{base64url(signature)}"


class Browser(Case):
    def visit(self, steps: list[dict], config, scheme: str = "ws") -> tuple[list[dict], Program]:
        """What each of `steps` (see browser.mjs) saw at a server with what `config` makes of the port of the pages."""
        port = free_port()
        steps = [{"page": "127.0.0.1", **step, "url": f"{scheme}://127.0.0.1:{port}{step.get('path', '/')}"} for step in steps]
        steps = [step | {key: f"https://127.0.0.1:{port}{step[key]}" for key in ["home"] if key in step} for step in steps]
        args = ["node", str(HERE / "browser.mjs"), shutil.which("chromium"), *map(json.dumps, steps)]
        # What the browser keeps of itself is below its home.
        home = {name: str(self.folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")}
        browser = self.start("browser", args, stdin=subprocess.PIPE, env=home)
        pages = wait_for("the port of the pages", lambda: browser.out.read_text().partition("\n")[0].removeprefix("port "))
        tremor = self.tremor(answers.flow({"url": f"127.0.0.1:{port}", **config(int(pages))}), wait_port=port)
        browser.process.stdin.write(b"up\n")
        browser.process.stdin.flush()
        self.assertEqual(browser.wait(), 0, browser.text())
        seen = [json.loads(line) for line in browser.out.read_text().splitlines()[1:]]
        self.assertEqual(len(seen), len(steps))
        return seen, tremor

    def test_messages_compression_subprotocols_and_closes(self) -> None:
        messages = [TEXT, BYTES, "", [], LONG]
        steps = [
            {"send": messages, "close": [1000, "done"]},
            {"send": [TEXT], "protocols": ["chat.v9", "chat.v2"], "close": [4999, "grüße — ✓"]},
            {"path": "/leave", "send": ["bye"]},
            {"path": "/who", "send": [LONG], "close": [1000, ""]},
            # A browser offers compression always; it lives with none.
            {"path": "/plain", "send": messages, "close": [3000, ""]},
        ]

        def config(_: int) -> dict:
            routes = [
                {"when": [{"path": "/plain"}], "exit": "plain", "options": {"echo_close_codereason": True}},
                {"exit": "all", "options": {"echo_close_codereason": True, "compression": {"deflate": {}}}},
            ]
            return {"subprotocols": ["chat.v1", "chat.v2"], "routes": routes}

        seen, tremor = self.visit(steps, config)
        who = json.loads(seen[3].pop("received")[0])
        self.assertEqual((who["compressed"], who["size"]), (True, len(LONG)))
        self.assertEqual([one.get("received") for one in seen], [messages, [TEXT], ["bye"], None, messages])
        self.assertEqual([one["protocol"] for one in seen], ["", "chat.v2", "", "", ""])
        self.assertEqual([one["extensions"].split(";")[0] for one in seen], ["permessage-deflate"] * 4 + [""])
        closes = [[1000, "done"], [4999, "grüße — ✓"], answers.LEFT, [1000, ""], [3000, ""]]
        self.assertEqual([one["closed"] for one in seen], [[*close, True] for close in closes])
        ends = [(end["code"], end["reason"], end["by"]) for end in answers.closed(tremor, 5)]
        self.assertEqual(ends, [(*close, "local" if close == answers.LEFT else "peer") for close in closes])
        self.assert_quiet_end(tremor)

    def test_tls(self) -> None:
        cert, key = self.certificate()
        steps = [{"send": [TEXT, BYTES], "close": [1000, ""]}]
        seen, tremor = self.visit(steps, lambda _: {"tls": {"cert": cert, "key": key}}, "wss")
        self.assertEqual((seen[0]["received"], seen[0]["closed"]), ([TEXT, BYTES], [1000, "", True]))
        self.assert_quiet_end(tremor)

    def test_http2(self) -> None:
        """A browser opens WebSockets on an HTTP/2 connection that it has, here since the page came by it."""
        cert, key = self.certificate()
        steps = [
            {"home": "/page", "path": "/who", "send": ["?"], "close": [1000, ""]},
            {"home": "/page", "stay": True, "send": [TEXT, BYTES, "", LONG], "protocols": ["chat"], "close": [4999, "grüße — ✓"]},
            {"home": "/page", "stay": True, "path": "/leave", "send": ["bye"]},
            # Of another host it has no page, so it comes by HTTP/1.1.
            {"path": "/who", "send": ["?"], "close": [1000, ""]},
        ]

        def config(_: int) -> dict:
            options = {"echo_close_codereason": True, "compression": {"deflate": {}}, "subprotocols": ["chat"]}
            tls = {"tls": {"cert": cert, "key": key}, "http2": True}
            return {**options, **tls, "enable_webstatus": True, "expose_headers": "all"}

        seen, tremor = self.visit(steps, config, "wss")
        self.assertEqual(seen[1]["received"], [TEXT, BYTES, "", LONG])
        self.assertEqual([one["protocol"] for one in seen], ["", "chat", "", ""])
        self.assertEqual([one["extensions"].split(";")[0] for one in seen], ["permessage-deflate"] * 4)
        closes = [[1000, "", True], [4999, "grüße — ✓", True], [*answers.LEFT, True], [1000, "", True]]
        self.assertEqual([one["closed"] for one in seen], closes)
        by_http2, by_http1 = (json.loads(seen[n]["received"][0]) for n in (0, 3))
        # Only a request by HTTP/1.1 has this header.
        self.assertNotIn("upgrade", by_http2["headers"])
        self.assertIn("upgrade", by_http1["headers"])
        self.assertEqual((by_http2["tls"], by_http2["scheme"]), (True, "https"))
        self.assert_quiet_end(tremor)

    def test_only_pages_of_the_origin_that_is_allowed_are_let_in(self) -> None:
        steps = [{"send": ["in"], "close": [1000, ""]}, {"page": "localhost", "send": ["in"], "close": [1000, ""]}]
        seen, tremor = self.visit(steps, lambda pages: {"allowed_origins": [f"http://127.0.0.1:{pages}"]})
        self.assertEqual([one["opened"] for one in seen], [True, False])
        self.assertEqual(seen[0]["received"], ["in"])
        # Which is all that a browser tells of it to the page.
        self.assertEqual(seen[1]["closed"], [1006, "", False])
        rejected = [one["status"] for one in answers.rejected(tremor, 1)]
        self.assertEqual(rejected, [403])
        self.assert_quiet_end(tremor)

    def test_credentials_in_a_subprotocol_and_in_a_cookie(self) -> None:
        """The two places that a page in a browser has for them, besides the URL."""
        steps = [
            {"path": "/who", "protocols": [f"bearer.{TOKEN_WRITTEN}", "chat"], "send": ["?"], "close": [1000, ""]},
            {"path": "/who", "cookie": f"sid={TOKEN_WRITTEN}; path=/", "send": ["?"], "close": [1000, ""]},
            {"path": "/who", "protocols": ["bearer.Z3Vlc3M", "chat"], "send": ["?"], "close": [1000, ""]},
            {"path": "/who", "cookie": "sid=guess; path=/", "send": ["?"], "close": [1000, ""]},
            {"path": "/who", "send": ["?"], "close": [1000, ""]},
        ]

        def config(pages: int) -> dict:
            ann = {"identity": "ann", "roles": ["read"]}
            return {
                # One as it is in a subprotocol, one as it is in a cookie.
                "guards": {"tokens": {"type": "bearer", "options": {"tokens": {TOKEN: ann, TOKEN_WRITTEN: ann}}}},
                "credentials": {"cookies": {"sid": "{credentials}"}, "protocols": "bearer.{credentials}"},
                "routes": [{"guarded": {"tokens": ["read"]}, "exit": "in_side"}],
                "subprotocols": ["chat"],
                "allowed_origins": [f"http://127.0.0.1:{pages}"],
                "expose_headers": "all",
            }

        seen, tremor = self.visit(steps, config)
        self.assertEqual([one["opened"] for one in seen], [True, True, False, False, False])
        self.assertEqual([one["protocol"] for one in seen[:2]], ["chat", ""])
        for one in seen[:2]:
            who = json.loads(one["received"][0])
            self.assertEqual((who["identity"], who["roles"], who["guard"]), ("ann", ["read"], "tokens"))
            for secret in (TOKEN, TOKEN_WRITTEN):
                self.assertNotIn(secret, one["received"][0] + tremor.text())
        self.assertEqual([one["status"] for one in answers.rejected(tremor, 3)], [401] * 3)
        self.assert_quiet_end(tremor)

    def test_pages_renew_sessions_with_requests_that_the_browser_lets_them_send(self) -> None:
        """`POST` with fresh credentials from another origin: the browser asks first, and says what the page may see (7.5)."""
        now = time.time()
        soon, later, latest = (jwt({"sub": who, "exp": int(now) + s}) for who, s in [("ann", 600), ("ann", 1200), ("ben", 1800)])
        bearer = {"Authorization": f"Bearer {later}"}
        offers = [f"bearer.{soon}", "chat"]
        steps = [
            # In a header, which no page may send to another origin unless that says so; the first one is no good.
            {
                "protocols": offers,
                "renew": [{"headers": {"Authorization": "Bearer x"}}, {"headers": bearer}],
                # Whoever goes at once is not told of any more.
                "send": ["?"],
                "close": [1000, ""],
            },
            # In a cookie, which a browser adds, if the page asks for that.
            {
                "cookie": f"sid={jwt({'sub': 'ben', 'exp': int(now) + 600})}; path=/",
                "renew": [{}, {"cookie": f"sid={latest}; path=/", "credentials": "include"}],
                "send": ["?"],
                "close": [1000, ""],
            },
            # A header that holds no credentials here; and a page of an origin that may not connect.
            {"protocols": offers, "renew": [{"headers": {**bearer, "X-Other": "1"}}], "close": [1000, ""]},
            {"page": "localhost", "protocols": offers, "renew": [{"headers": bearer}], "close": [1000, ""]},
        ]

        def config(pages: int) -> dict:
            keys = [{"kty": "oct", "kid": "one", "k": base64url(SECRET)}]
            return {
                "guards": {"staff": {"type": "jwt", "options": {"keys": keys}}},
                "credentials": {
                    "headers": {"authorization": "Bearer {credentials}"},
                    "cookies": {"sid": "{credentials}"},
                    "protocols": "bearer.{credentials}",
                },
                "routes": [{"guarded": {"staff": []}, "exit": "all"}],
                "subprotocols": ["chat"],
                "allowed_origins": [f"http://127.0.0.1:{pages}"],
            }

        seen, tremor = self.visit(steps, config)
        self.assertEqual([one["opened"] for one in seen], [True, True, True, False])
        malformed = 'Bearer realm="staff", error="invalid_token", error_description="the token is malformed"'
        expected = [[[401, malformed], [204, None]], [[401, 'Bearer realm="staff"'], [204, None]], [None], [None]]
        self.assertEqual([one["renewed"] for one in seen], expected)
        extended = [(one["identity"], one["expires_at"]) for one in answers.awaited(tremor, "reauthenticated", 2)]
        self.assertEqual(extended, [("ann", (int(now) + 1200) * 1000), ("ben", (int(now) + 1800) * 1000)])
        # The last two are the socket and the question of the browser; the request itself is never sent.
        rejected = [(one["status"], one["reason"]) for one in answers.rejected(tremor, 4)]
        self.assertEqual(rejected, [(401, "malformed"), (401, "no_credentials"), (403, "origin"), (403, "origin")])
        self.assert_quiet_end(tremor)

    def test_a_browser_is_known_again_by_its_cookie(self) -> None:
        visit = {"path": "/who", "send": ["?"], "close": [1000, ""]}
        seen, tremor = self.visit([visit, {**visit, "stay": True}, visit], lambda _: {"cookie": {}})
        first, again, another = (json.loads(one["received"][0])["cookie"] for one in seen)
        self.assertEqual(len(first), 24)
        self.assertEqual(first, again)
        self.assertNotEqual(first, another)
        # The browser keeps it from the scripts of the page.
        self.assertEqual([one["cookies"] for one in seen], [""] * 3)
        self.assert_quiet_end(tremor)


if __name__ == "__main__":
    unittest.main()
