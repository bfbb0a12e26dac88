// Node's `ws` as client or as server; the same command line, sessions and messages as peer.py, which describes them.
//
//   peer.mjs client SESSION...
//   peer.mjs server SESSION...

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer as createPlain } from "node:http";
import { createServer as createTls } from "node:https";
import { WebSocket, WebSocketServer } from "ws";

const EDGES = [0, 125, 126, 65_535, 65_536, 1_048_576];
const EDGE_EVERY = 499;
const TEXT_UNIT = Buffer.from("aé€𝄞");
const BINARY_UNIT = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const HASH_DIGITS = 16;
// Bytes that may wait in the socket before we send on.
const ENOUGH_WAITING = 1 << 20;

const isText = (i) => i % 2 === 0;
const lengthOf = (i, edgeEvery) =>
  i % edgeEvery === 0 ? EDGES[(i / edgeEvery) % EDGES.length] : 40 + ((i * 31) % 200);
const digest = (payload) => createHash("sha256").update(payload).digest("hex").slice(0, HASH_DIGITS);

function repeat(unit, bytes) {
  return Buffer.concat(Array.from({ length: bytes }, () => unit));
}

function make(i, edgeEvery) {
  const size = lengthOf(i, edgeEvery);
  if (size === 0) return Buffer.alloc(0);
  const head = `${String(i).padStart(8, "0")} `;
  const room = size - head.length - HASH_DIGITS - 1;
  let payload;
  if (isText(i)) {
    const units = repeat(TEXT_UNIT, Math.floor(room / TEXT_UNIT.length));
    payload = Buffer.concat([units, Buffer.alloc(room - units.length, "a")]);
  } else {
    const units = repeat(BINARY_UNIT, Math.floor(room / 256) + 1).subarray(i % 256);
    payload = Buffer.alloc(room, 0xff);
    units.copy(payload, 0, 0, room);
  }
  return Buffer.concat([Buffer.from(`${head}${digest(payload)} `), payload]);
}

function check(i, data, isBinary, edgeEvery) {
  if (isBinary === isText(i)) throw new Error(`message ${i} came as ${isBinary ? "binary" : "text"}`);
  if (data.length !== lengthOf(i, edgeEvery)) {
    throw new Error(`message ${i} has ${data.length} bytes in the place of ${lengthOf(i, edgeEvery)}`);
  }
  if (data.length === 0) return;
  const number = Number(data.subarray(0, 8).toString());
  if (number !== i) throw new Error(`message ${number} came in the place of ${i}`);
  const payload = data.subarray(8 + 1 + HASH_DIGITS + 1);
  if (data.subarray(9, 9 + HASH_DIGITS).toString() !== digest(payload)) {
    throw new Error(`message ${i} was changed`);
  }
}

// Sends a message in frames of `fragment` bytes, or in one.
function sendMessage(socket, data, binary, fragment, done) {
  if (!fragment || data.length <= fragment) {
    socket.send(data, { binary }, done);
    return;
  }
  for (let at = 0; at < data.length; at += fragment) {
    const fin = at + fragment >= data.length;
    socket.send(data.subarray(at, at + fragment), { binary, fin }, fin ? done : undefined);
  }
}

// Sends all messages and checks what comes back, both at once.
function exchange(socket, { count = 0, edge_every: edgeEvery = EDGE_EVERY, fragment }) {
  return new Promise((resolve, reject) => {
    let sent = 0;
    let received = 0;
    function send() {
      while (sent < count && socket.bufferedAmount < ENOUGH_WAITING) {
        const i = sent++;
        sendMessage(socket, make(i, edgeEvery), !isText(i), fragment, (error) => (error ? reject(error) : send()));
      }
      if (count === 0) resolve();
    }
    socket.on("message", (data, isBinary) => {
      try {
        check(received, data, isBinary, edgeEvery);
      } catch (error) {
        reject(error);
        return;
      }
      received += 1;
      if (received === count) resolve();
    });
    socket.on("error", reject);
    socket.on("close", (code) => reject(new Error(`closed with ${code} after ${received} messages`)));
    if (socket.readyState === WebSocket.OPEN) send();
    else socket.on("open", send);
  });
}

// All that a session says; then prints what was seen.
async function converse(socket, session) {
  let pings = 0;
  socket.on("ping", () => (pings += 1));
  await exchange(socket, session);
  for (let i = 0; i < (session.pings ?? 0); i += 1) await ping(socket, `ping ${i}`);
  const compressed = "permessage-deflate" in socket._extensions;
  const params = compressed ? socket._extensions["permessage-deflate"].params : null;
  const protocol = socket.protocol || null;
  if ("leave" in session) socket.send(session.leave);
  const closed = await ended(socket, "leave" in session ? null : (session.close ?? [1000, ""]));
  console.log(JSON.stringify({ session: session.number, compressed, params, protocol, pings, closed }));
}

function ping(socket, payload) {
  return new Promise((resolve, reject) => {
    socket.once("pong", (data) =>
      data.toString() === payload ? resolve() : reject(new Error(`a pong of ${data} for a ping of ${payload}`)),
    );
    socket.ping(payload);
  });
}

// Closes with `parting`, if any, and gives what the other side closed with.
function ended(socket, parting) {
  return new Promise((resolve) => {
    socket.removeAllListeners("close");
    socket.removeAllListeners("message");
    socket.on("close", (code, reason) => resolve([code, reason.toString()]));
    if (parting) socket.close(...parting);
  });
}

// The names of RFC 7692 as this library has them.
function deflate(session) {
  if (!session.deflate) return false;
  const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  const named = Object.entries(session.deflate).map(([name, value]) => [camel(name), value]);
  // By itself it sends short messages plain.
  return { ...Object.fromEntries(named), threshold: 0 };
}

async function client(sessions) {
  for (const session of sessions) {
    const tls = session.cafile ? { ca: readFileSync(session.cafile), servername: "localhost" } : {};
    const options = { ...tls, maxPayload: 0, perMessageDeflate: deflate(session), autoPong: !session.deaf };
    await converse(new WebSocket(session.url, session.protocols ?? [], options), session);
  }
}

// A server of its own for each session, and what its end can be waited for with.
async function serve(session) {
  const http = session.cert
    ? createTls({ cert: readFileSync(session.cert), key: readFileSync(session.key) })
    : createPlain();
  const wanted = session.protocols ?? [];
  const sockets = new WebSocketServer({
    server: http,
    maxPayload: 0,
    perMessageDeflate: deflate(session),
    handleProtocols: (offered) => wanted.find((name) => offered.has(name)) ?? false,
  });
  const done = new Promise((resolve, reject) => {
    sockets.on("connection", (socket) => {
      // No further connections: one that comes back finds nobody.
      http.close();
      converse(socket, session).then(resolve, reject);
    });
  });
  await new Promise((listening) => http.listen(0, "127.0.0.1", listening));
  return { port: http.address().port, done };
}

async function server(sessions) {
  const serving = await Promise.all(sessions.map(serve));
  console.log(`ports ${serving.map(({ port }) => port).join(" ")}`);
  await Promise.all(serving.map(({ done }) => done));
}

const [role, ...rest] = process.argv.slice(2);
const sessions = rest.map((session, number) => ({ number, ...JSON.parse(session) }));
(role === "client" ? client(sessions) : server(sessions)).then(
  () => process.exit(0),
  (error) => {
    console.error(String(error));
    process.exit(1);
  },
);
