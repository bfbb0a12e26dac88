"""What `peer.py` needs, by means of `websockets`."""

import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.headers import parse_extension

# Nobody is ended because the machine is slow.
PATIENT = {"open_timeout": None, "close_timeout": None, "ping_interval": None}


class Socket:
    def __init__(self, connection):
        self.connection = connection

    async def send(self, message: str | bytes, fragment: int | None) -> None:
        if not fragment or len(message) <= fragment:
            await self.connection.send(message)
            return
        await self.connection.send(message[at : at + fragment] for at in range(0, len(message), fragment))

    async def receive(self) -> str | bytes:
        return await self.connection.recv()

    async def ping(self, payload: bytes) -> None:
        await (await self.connection.ping(payload))

    async def close(self, code: int, reason: str) -> tuple[int, str]:
        await self.connection.close(code, reason)
        return await self.wait_closed()

    async def wait_closed(self) -> tuple[int, str]:
        await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason

    def params(self) -> dict | None:
        header = self.connection.response.headers.get("Sec-WebSocket-Extensions")
        for name, params in parse_extension(header) if header else []:
            if name == "permessage-deflate":
                return {key: True if value is None else int(value) for key, value in params}
        return None

    def protocol(self) -> str | None:
        return self.connection.subprotocol

    def pings(self) -> None:
        return None


def options(session: dict, factory) -> dict:
    extensions = [factory(**session["deflate"])] if "deflate" in session else None
    # `compression` adds the library's own idea of it if it is not `None`.
    return {"extensions": extensions, "compression": None, "subprotocols": session.get("protocols"), "max_size": None, **PATIENT}


async def client(url: str, session: dict, tls, converse) -> None:
    async with connect(url, ssl=tls, **options(session, ClientPerMessageDeflateFactory)) as connection:
        await converse(Socket(connection), session)


async def server(session: dict, tls, converse) -> tuple[int, asyncio.Future]:
    """The port, and when the session is over."""
    done = asyncio.get_running_loop().create_future()

    async def handle(connection) -> None:
        # No further connections: one that comes back finds nobody.
        listening.server.close()
        try:
            await converse(Socket(connection), session)
        except Exception as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(None)

    listening = await serve(handle, "127.0.0.1", 0, ssl=tls, **options(session, ServerPerMessageDeflateFactory))
    return listening.sockets[0].getsockname()[1], done
