"""What `peer.py` needs, by means of `autobahn`."""

import asyncio

from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)

# Bytes that may wait in the socket before we send on.
ENOUGH_WAITING = 1 << 20
# Nobody is ended because the machine is slow.
PATIENT = {"openHandshakeTimeout": 0, "closeHandshakeTimeout": 0}


class Socket:
    """Both roles: what the callbacks of the library say becomes something to wait for."""

    def onConnect(self, _):
        self.arrived = asyncio.Queue()
        self.pongs = asyncio.Queue()
        self.ended = asyncio.get_running_loop().create_future()
        self.pings_seen = 0

    def onOpen(self):
        self.factory.opened(self)

    def onMessage(self, payload, isBinary):
        self.arrived.put_nowait(payload if isBinary else payload.decode())

    def onPing(self, payload):
        self.pings_seen += 1
        self.sendPong(payload)

    def onPong(self, payload):
        self.pongs.put_nowait(payload)

    def onClose(self, wasClean, code, reason):
        if not hasattr(self, "ended"):
            self.factory.failed(ConnectionError(f"no handshake: {reason}"))
            return
        self.ended.set_result((code, reason or ""))
        self.arrived.put_nowait(ConnectionError(f"closed with {code} {reason!r}"))
        self.pongs.put_nowait(ConnectionError(f"closed with {code} {reason!r}"))

    async def send(self, message: str | bytes, fragment: int | None) -> None:
        while self.transport.get_write_buffer_size() > ENOUGH_WAITING:
            await asyncio.sleep(0.001)
        binary = isinstance(message, bytes)
        self.sendMessage(message if binary else message.encode(), binary, fragmentSize=fragment)
        await asyncio.sleep(0)

    async def receive(self) -> str | bytes:
        return given(await self.arrived.get())

    async def ping(self, payload: bytes) -> None:
        self.sendPing(payload)
        if (pong := given(await self.pongs.get())) != payload:
            raise ValueError(f"a pong of {pong!r} for a ping of {payload!r}")

    async def close(self, code: int, reason: str) -> tuple[int, str]:
        self.sendClose(code, reason)
        return await self.ended

    async def wait_closed(self) -> tuple[int, str]:
        return await self.ended

    def params(self) -> dict | None:
        for extension in self.websocket_extensions_in_use:
            names = ("server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits")
            return {name: getattr(extension, name) for name in names}
        return None

    def protocol(self) -> str | None:
        return self.websocket_protocol_in_use

    def pings(self) -> int:
        return self.pings_seen


def given(what):
    if isinstance(what, Exception):
        raise what
    return what


class ClientSocket(Socket, WebSocketClientProtocol):
    pass


class ServerSocket(Socket, WebSocketServerProtocol):
    def onConnect(self, request):
        super().onConnect(request)
        return next((name for name in request.protocols if name in self.factory.wanted), None)


def prepare(factory, protocol, session: dict, **more) -> asyncio.Future:
    """Sets `factory` up; what is returned is the socket when it is open."""
    opened = asyncio.get_running_loop().create_future()
    factory.protocol = protocol
    factory.wanted = session.get("protocols", [])
    factory.opened = opened.set_result
    factory.failed = opened.set_exception
    if isinstance(factory, WebSocketClientFactory):
        more["serverConnectionDropTimeout"] = 0
    factory.setProtocolOptions(maxMessagePayloadSize=0, maxFramePayloadSize=0, **PATIENT, **more)
    return opened


async def client(url: str, session: dict, tls, converse) -> None:
    factory = WebSocketClientFactory(url, protocols=session.get("protocols"))
    compression = {}
    if (wish := session.get("deflate")) is not None:
        offer = PerMessageDeflateOffer(
            accept_no_context_takeover=wish.get("client_no_context_takeover", False),
            accept_max_window_bits=bool(wish.get("client_max_window_bits", True)),
            request_no_context_takeover=wish.get("server_no_context_takeover", False),
            request_max_window_bits=wish.get("server_max_window_bits", 0),
        )

        def accept(response):
            if isinstance(response, PerMessageDeflateResponse):
                return PerMessageDeflateResponseAccept(
                    response,
                    no_context_takeover=wish.get("client_no_context_takeover") or response.client_no_context_takeover,
                )

        compression = {"perMessageCompressionOffers": [offer], "perMessageCompressionAccept": accept}
    opened = prepare(factory, ClientSocket, session, **compression)
    host = {"server_hostname": factory.host} if tls else {}
    await asyncio.get_running_loop().create_connection(factory, factory.host, factory.port, ssl=tls, **host)
    await converse(await opened, session)


async def server(session: dict, tls, converse) -> tuple[int, asyncio.Future]:
    factory = WebSocketServerFactory(protocols=session.get("protocols"))
    compression = {}
    if (wish := session.get("deflate")) is not None:

        def accept(offers):
            for offer in offers:
                if isinstance(offer, PerMessageDeflateOffer):
                    return PerMessageDeflateOfferAccept(
                        offer,
                        request_no_context_takeover=wish.get("client_no_context_takeover", False),
                        request_max_window_bits=wish.get("client_max_window_bits", 0),
                        no_context_takeover=wish.get("server_no_context_takeover"),
                        window_bits=wish.get("server_max_window_bits"),
                    )

        compression = {"perMessageCompressionAccept": accept}
    opened = prepare(factory, ServerSocket, session, **compression)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls)

    async def hold() -> None:
        socket = await opened
        # No further connections: one that comes back finds nobody.
        listening.close()
        await converse(socket, session)

    return listening.sockets[0].getsockname()[1], asyncio.ensure_future(hold())
