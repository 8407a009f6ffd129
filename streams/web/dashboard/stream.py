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
    answer = await _open(request)
    client = board.hub.join_alerts(wanted)
    try:
        # Taken down before anything is waited for: what comes later comes through the client.
        position = Position.parse(after) if after else board.store.position
        missed = None if position is None else board.store.since(position)
        if missed is None:
            await _write(request, answer, b"id: %s\n" % str(board.store.position).encode() + RESET)
        else:
            missed = [one for one in missed if wanted.takes(one, "open")]
            for n in range(0, len(missed), _REPLAYED_AT_ONCE):
                for frame in frames_of(missed[n : n + _REPLAYED_AT_ONCE]):
                    await _write(request, answer, frame)
        await _serve(request, answer, client)
    except ConnectionError:
        _hang_up(request)  # it is gone, or does not read: nothing to tell anybody
    finally:
        board.hub.leave(client)
    return answer


async def live(request: web.Request, board: Board) -> web.StreamResponse:
    """Documents as they change, and states of alerts; first how everything is."""
    answer = await _open(request)
    client = board.hub.join_live()
    try:
        for name in board.documents.names:
            client.replace(name, event(name, board.documents.get(name) or b"{}"))
        await _serve(request, answer, client)
    except ConnectionError:
        _hang_up(request)  # it is gone, or does not read: nothing to tell anybody
    finally:
        board.hub.leave(client)
    return answer


async def _open(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers=_HEADERS)
    await answer.prepare(request)
    if (transport := request.transport) is not None:
        # Else the kernel keeps megabytes for each that does not read.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK_BYTES)
    await _write(request, answer, b"retry: %d\n\n" % RETRY_MS)  # headers go with the first bytes
    return answer


async def _serve(request: web.Request, answer: web.StreamResponse, client: Client) -> None:
    """Until the client is gone, or was dropped."""
    while frame := await client.next(HEARTBEAT_S):
        await _write(request, answer, frame)
    _hang_up(request)


async def _write(request: web.Request, answer: web.StreamResponse, frame: bytes) -> None:
    """Raises ConnectionError where nobody takes it."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await answer.write(frame)
    except TimeoutError:
        raise ConnectionResetError("the client does not read") from None


def _hang_up(request: web.Request) -> None:
    """A clean end would wait until everything was taken."""
    if request.transport is not None:
        request.transport.abort()
