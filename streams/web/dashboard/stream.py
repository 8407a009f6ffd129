"""Server-sent events: a client's request answered for as long as it reads.

Whoever does not take what is written for ``WRITE_TIMEOUT_S`` is let go. Until then it holds at most some buffers of 64 kB here,
and what the kernel keeps of its socket.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from streams.web.dashboard.alerts import Filter, Position
from streams.web.dashboard.hub import CHUNK_BYTES, RESET, event, frames_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.web.dashboard.alerts import Kept
    from streams.web.dashboard.board import Board
    from streams.web.dashboard.hub import Client

WRITE_TIMEOUT_S = 10.0
HEARTBEAT_S = 15.0
RETRY_MS = 2_000
_REPLAYED_AT_ONCE = 200
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def events(request: web.Request, board: Board) -> web.StreamResponse:
    """Alerts, one an event; after ``Last-Event-ID`` (or ``?after=``) what came since first."""
    query = request.query
    wanted = Filter(query.get("severity", ""), query.get("rule", ""), query.get("account", ""))
    after = request.headers.get("Last-Event-ID") or query.get("after", "")
    client = board.hub.join_alerts(wanted)
    # Taken down before anything is waited for: what comes later comes through the client.
    now = board.store.position
    position = Position.parse(after) if after else now
    missed = None if position is None else board.store.since(position)
    if missed is None:
        first = iter((b"id: %s\n" % str(now).encode() + RESET,))
    else:
        first = _replayed(str(position), [one for one in missed if wanted.takes(one, "open")])
    return await _answer(request, board, client, first)


async def live(request: web.Request, board: Board) -> web.StreamResponse:
    """Documents as they change, and states of alerts; first how everything is."""
    client = board.hub.join_live()
    for name in board.documents.names:
        client.replace(name, event(name, board.documents.get(name) or b"{}"))
    return await _answer(request, board, client, iter(()))


def _replayed(position: str, missed: Sequence[Kept]) -> Iterator[bytes]:
    """What a client has missed; made bit by bit, as it takes it."""
    yield b"id: %s\n\n" % position.encode()  # who hears nothing else can come again with it
    for n in range(0, len(missed), _REPLAYED_AT_ONCE):
        yield from frames_of(missed[n : n + _REPLAYED_AT_ONCE])


async def _answer(request: web.Request, board: Board, client: Client, first: Iterator[bytes]) -> web.StreamResponse:
    """Write until the client is gone, was dropped, or does not read."""
    answer = web.StreamResponse(headers=_HEADERS)
    try:
        await answer.prepare(request)
        if (transport := request.transport) is not None:
            # Else the kernel keeps megabytes for each that does not read.
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK_BYTES)
        await _write(answer, b"retry: %d\n\n" % RETRY_MS)  # headers go with the first bytes
        for frame in first:
            await _write(answer, frame)
        while frame := await client.next(HEARTBEAT_S):
            await _write(answer, frame)
    except ConnectionError:
        pass  # there is nobody to tell
    finally:
        board.hub.leave(client)
        if request.transport is not None:
            request.transport.abort()  # a clean end would wait until everything was taken
    return answer


async def _write(answer: web.StreamResponse, frame: bytes) -> None:
    """Raises ConnectionError where nobody takes it."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await answer.write(frame)
    except TimeoutError:
        raise ConnectionResetError("the client does not read") from None
