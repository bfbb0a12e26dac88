// Node's `ws` as client or as server; the same command line and messages as peer.py.
//
//   peer.mjs client URL COUNT [CAFILE]     sends COUNT messages and gets each of them back
//   peer.mjs server COUNT [CERT KEY]       the same from the other side; prints `port N` first

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
const lengthOf = (i) =>
  i % EDGE_EVERY === 0 ? EDGES[(i / EDGE_EVERY) % EDGES.length] : 40 + ((i * 31) % 200);
const digest = (payload) => createHash("sha256").update(payload).digest("hex").slice(0, HASH_DIGITS);

function repeat(unit, bytes) {
  return Buffer.concat(Array.from({ length: bytes }, () => unit));
}

function make(i) {
  const size = lengthOf(i);
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

function check(i, data, isBinary) {
  if (isBinary === isText(i)) throw new Error(`message ${i} came as ${isBinary ? "binary" : "text"}`);
  if (data.length !== lengthOf(i)) {
    throw new Error(`message ${i} has ${data.length} bytes in the place of ${lengthOf(i)}`);
  }
  if (data.length === 0) return;
  const number = Number(data.subarray(0, 8).toString());
  if (number !== i) throw new Error(`message ${number} came in the place of ${i}`);
  const payload = data.subarray(8 + 1 + HASH_DIGITS + 1);
  if (data.subarray(9, 9 + HASH_DIGITS).toString() !== digest(payload)) {
    throw new Error(`message ${i} was changed`);
  }
}

// Sends all messages and checks what comes back, both at once.
function exchange(socket, count) {
  return new Promise((resolve, reject) => {
    let sent = 0;
    let received = 0;
    function send() {
      while (sent < count && socket.bufferedAmount < ENOUGH_WAITING) {
        const i = sent++;
        socket.send(make(i), { binary: !isText(i) }, (error) => (error ? reject(error) : send()));
      }
    }
    socket.on("message", (data, isBinary) => {
      try {
        check(received, data, isBinary);
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

async function client(url, count, cafile) {
  const options = cafile ? { ca: readFileSync(cafile), servername: "localhost" } : {};
  const socket = new WebSocket(url, { ...options, maxPayload: 0 });
  await exchange(socket, count);
  await closed(socket);
}

async function server(count, cert, key) {
  const http = cert
    ? createTls({ cert: readFileSync(cert), key: readFileSync(key) })
    : createPlain();
  const sockets = new WebSocketServer({ server: http, maxPayload: 0 });
  const done = new Promise((resolve, reject) => {
    sockets.on("connection", (socket) => {
      exchange(socket, count).then(() => closed(socket)).then(resolve, reject);
    });
  });
  await new Promise((listening) => http.listen(0, "127.0.0.1", listening));
  console.log(`port ${http.address().port}`);
  await done;
}

function closed(socket) {
  return new Promise((resolve) => {
    socket.removeAllListeners("close");
    socket.on("close", resolve);
    socket.close(1000);
  });
}

const [role, ...rest] = process.argv.slice(2);
const work =
  role === "client" ? client(rest[0], Number(rest[1]), rest[2]) : server(Number(rest[0]), rest[1], rest[2]);
work.then(
  () => {
    console.log(`ok ${role === "client" ? rest[1] : rest[0]}`);
    process.exit(0);
  },
  (error) => {
    console.error(String(error));
    process.exit(1);
  },
);
