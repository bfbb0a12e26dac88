// A headless Chromium whose pages open WebSockets.
//
//   browser.mjs EXECUTABLE STEP...
//
// A step is JSON: `page` (host name of the page; all pages are at the same port, which takes the place of PORT in the rest),
// or `home` (URL of a page elsewhere), `url`, `protocols`, `cookie` (set by the page first), `send` (a list of messages, each a text or a list of bytes), `close`
// (code and reason; without it the server is to close), `renew` (a list of requests with fresh credentials, which are sent to
// the same address when the socket is open, or did not open: `headers`, `cookie` to set first, `credentials` as `fetch` has it), `stay` (as the same browser as in the step before: it has the
// cookies of that). Prints `port N`, reads a line (the server is up), then prints for each
// step a line of JSON: whether it was `opened`, `protocol`, `extensions`, what was `received`, `closed`, what the page sees as `cookies`,
// and of each request in `renew` the status and `WWW-Authenticate` as the page sees them, or null if it may not see the answer.

import { once } from "node:events";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// How long anything may take before it counts as hanging.
const LIMIT_MS = 180_000;

const [executablePath, ...rest] = process.argv.slice(2);
const steps = rest.map((step) => JSON.parse(step));
const pages = createServer((_, answer) => {
  answer.setHeader("Content-Type", "text/html");
  answer.end("<!doctype html><title>page</title>");
});
pages.listen(0, "127.0.0.1");
await once(pages, "listening");
const { port } = pages.address();
console.log(`port ${port}`);
const [browser] = await Promise.all([
  chromium.launch({ executablePath, args: FLAGS, headless: true, timeout: LIMIT_MS }),
  once(process.stdin, "data"),
]);
let context = null;
for (const step of steps) {
  if (!step.stay) {
    await context?.close();
    context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(LIMIT_MS);
  }
  const page = await context.newPage();
  await page.goto(step.home ?? `http://${step.page}:${port}/`);
  console.log(JSON.stringify(await page.evaluate(visit, step)));
  await page.close();
}
await browser.close();
process.exit(0);

// Runs in the page.
function visit({ url, protocols = [], cookie, send = [], close, renew = [] }) {
  if (cookie) document.cookie = cookie;
  async function renewals() {
    const seen = [];
    for (const { headers, cookie, credentials = "omit" } of renew) {
      if (cookie) document.cookie = cookie;
      const type = { "Content-Type": "application/x-challenge-response" };
      const request = { method: "POST", headers: { ...type, ...headers }, credentials };
      const answer = await fetch(url.replace(/^ws/, "http"), request).catch(() => null);
      seen.push(answer && [answer.status, answer.headers.get("WWW-Authenticate")]);
    }
    return seen;
  }
  return new Promise((resolve) => {
    const seen = { opened: false, received: [] };
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    socket.onopen = async () => {
      seen.opened = true;
      seen.protocol = socket.protocol;
      seen.extensions = socket.extensions;
      seen.renewed = await renewals();
      for (const message of send) socket.send(typeof message === "string" ? message : new Uint8Array(message));
      if (send.length === 0 && close) socket.close(...close);
    };
    socket.onmessage = ({ data }) => {
      seen.received.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
      if (seen.received.length === send.length && close) socket.close(...close);
    };
    socket.onclose = async ({ code, reason, wasClean }) => {
      seen.renewed ??= await renewals();
      resolve({ ...seen, closed: [code, reason, wasClean], cookies: document.cookie });
    };
  });
}
