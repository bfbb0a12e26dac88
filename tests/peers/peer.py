"""Python's `websockets` or `autobahn` as client or as server; the same command line and messages as peer.mjs.

    peer.py LIBRARY client SESSION...   one connection after the other
    peer.py LIBRARY server SESSION...   a server for each, which takes one connection; prints `ports A B ...` first

A `SESSION` is what happens on one connection, as JSON; all of it may be left out:

    url                 where a client connects
    count, edge_every   so many messages are sent and have to come back; each `edge_every`th has a special length
    fragment            messages are sent in frames of so many bytes
    deflate             the parameters of permessage-deflate as in RFC 7692; without it: no compression
    protocols           subprotocols to offer, or to choose from
    pings               so many pings are sent at the end, and have to be answered
    close               code and reason for closing (1000)
    leave               a text to send instead of closing: the other side closes then
    deaf                pings are not answered (peer.mjs only)
    cafile, cert, key   TLS

Prints what was seen on each connection as a line of JSON: which `session` it was, whether messages are `compressed` and
with which `params`, the `protocol`, how many `pings` came (`null`: cannot tell) and with what the other side `closed`.
Exits with 1 and says why if anything was not as it should be.
"""

import asyncio
import json
import ssl
import sys

import messages
import peer_autobahn
import peer_websockets

LIBRARIES = {"autobahn": peer_autobahn, "websockets": peer_websockets}


def client_tls(session: dict) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=session["cafile"]) if "cafile" in session else None


def server_tls(session: dict) -> ssl.SSLContext | None:
    if "cert" not in session:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(session["cert"], session["key"])
    return context


async def converse(socket, session: dict) -> None:
    """All that a session says, on an open connection; then prints what was seen."""
    count, edge_every = session.get("count", 0), session.get("edge_every", messages.EDGE_EVERY)

    async def send() -> None:
        for i in range(count):
            await socket.send(messages.make(i, edge_every), session.get("fragment"))

    sending = asyncio.create_task(send())
    for i in range(count):
        messages.check(i, await socket.receive(), edge_every)
    await sending
    for i in range(session.get("pings", 0)):
        await socket.ping(f"ping {i}".encode())
    if "leave" in session:
        await socket.send(session["leave"], None)
        closed = await socket.wait_closed()
    else:
        closed = await socket.close(*session.get("close", (1000, "")))
    params = socket.params()
    seen = {"session": session["number"], "compressed": params is not None, "params": params}
    seen |= {"protocol": socket.protocol(), "pings": socket.pings(), "closed": list(closed)}
    print(json.dumps(seen), flush=True)


async def client(library, sessions: list[dict]) -> None:
    for session in sessions:
        await library.client(session["url"], session, client_tls(session), converse)


async def server(library, sessions: list[dict]) -> None:
    """Ends when every session was held once."""
    serving = [await library.server(session, server_tls(session), converse) for session in sessions]
    print("ports", *(port for port, _ in serving), flush=True)
    await asyncio.gather(*(done for _, done in serving))


def main() -> None:
    name, role, *rest = sys.argv[1:]
    sessions = [{"number": number, **json.loads(session)} for number, session in enumerate(rest)]
    try:
        asyncio.run({"client": client, "server": server}[role](LIBRARIES[name], sessions))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
