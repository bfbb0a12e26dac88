"""Python's `websockets` as client or as server.

    peer.py client URL COUNT [CAFILE]     sends COUNT messages and gets each of them back
    peer.py server COUNT [CERT KEY]       the same from the other side; prints `port N` first

Prints `ok COUNT` at the end, or what went wrong, and then exits with 1.
"""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import messages


async def exchange(socket, count: int) -> None:
    """Sends all messages and checks what comes back, both at once."""

    async def send() -> None:
        for i in range(count):
            await socket.send(messages.make(i))

    sending = asyncio.create_task(send())
    for i in range(count):
        messages.check(i, await socket.recv())
    await sending


async def client(url: str, count: int, cafile: str | None = None) -> None:
    options = {}
    if cafile:
        options = {"ssl": ssl.create_default_context(cafile=cafile), "server_hostname": "localhost"}
    async with connect(url, max_size=None, **options) as socket:
        await exchange(socket, count)


async def server(count: int, cert: str | None = None, key: str | None = None) -> None:
    context = None
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    done = asyncio.get_running_loop().create_future()

    async def handle(socket) -> None:
        try:
            await exchange(socket, count)
            await socket.close()
        except Exception as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(None)

    async with serve(handle, "127.0.0.1", 0, ssl=context, max_size=None) as listening:
        print("port", listening.sockets[0].getsockname()[1], flush=True)
        await done


def main() -> None:
    role, *rest = sys.argv[1:]
    if role == "client":
        url, count, *tls = rest
        work = client(url, int(count), *tls)
    else:
        count, *tls = rest
        work = server(int(count), *tls)
    try:
        asyncio.run(work)
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print("ok", count, flush=True)


if __name__ == "__main__":
    main()
