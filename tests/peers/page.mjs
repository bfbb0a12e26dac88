// The page of docs/guides/websocket-browser.md in a headless Chromium.
//
//   page.mjs EXECUTABLE VISIT...
//
// A visit is JSON: `url` of the page, `token` to connect with, `say`. Prints what the page shows, as JSON, one line for each: when
// it has shown an answer or the end of the connection.

import { chromium } from "playwright-core";

const LIMIT_MS = 180_000;
const [executablePath, ...visits] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args, headless: true, timeout: LIMIT_MS });
for (const { url, token, say } of visits.map((visit) => JSON.parse(visit))) {
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  await page.goto(url);
  const shows = (text) => page.waitForFunction((text) => document.getElementById("log").textContent.includes(text), text);
  await page.fill("#token", token);
  await page.click("#connect");
  if (say) {
    await shows("open");
    await page.fill("#text", say);
    await page.click("#send");
  }
  await shows(say ? `"said":` : "closed");
  console.log(JSON.stringify(await page.textContent("#log")));
  await page.close();
}
await browser.close();
process.exit(0);
