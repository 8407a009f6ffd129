"""From one source to many browsers: every frame is encoded once, and shared; nobody's slowness costs the others anything.

A frame is the bytes of server-sent events. What waits for a client is references to frames, bounded; who is further behind is
dropped, comes again with ``Last-Event-ID`` and gets what it has missed from :class:`~streams.web.dashboard.alerts.AlertStore`.
Documents wait once each: only the newest counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.web.dashboard.alerts import Filter, Kept

MOST_CLIENTS = 500
MOST_FRAMES, MOST_FRAME_BYTES = 1_000, 1024 * 1024
#: Alerts that come closer together are one frame: two hundred clients are written to once for all of them.
GATHER_S = 0.05
#: Of a frame; a client that has missed more gets several.
CHUNK_BYTES = 64 * 1024
RESET = b"event: reset\ndata: {}\n\n"
HEARTBEAT = b":\n\n"


class Client:
    """What waits for one browser."""

    __slots__ = ("_documents", "_frames", "_size", "_wake", "dropped")

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._documents: dict[str, bytes] = {}
        self._size = 0
        self._wake = asyncio.Event()
        self.dropped = False

    def put(self, frame: bytes) -> None:
        """A frame that must not be missed: the client is dropped when there are too many."""
        if len(self._frames) >= MOST_FRAMES or self._size + len(frame) > MOST_FRAME_BYTES + CHUNK_BYTES:
            self.drop()
        if not self.dropped:
            self._frames.append(frame)
            self._size += len(frame)
        self._wake.set()

    def replace(self, name: str, frame: bytes) -> None:
        """A frame in place of the one of that name that waits."""
        if not self.dropped:
            self._documents[name] = frame
            self._wake.set()

    def drop(self) -> None:
        """Let go: nothing waits any more, and it is told to end."""
        self.dropped = True
        self._frames.clear()
        self._documents.clear()
        self._size = 0
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Bytes of frames that must not be missed."""
        return self._size

    async def next(self, timeout_s: float) -> bytes:
        """What is to be written now, at least one frame; a heartbeat when nothing came; nothing: it was dropped."""
        if not (self._frames or self._documents or self.dropped):
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return HEARTBEAT
        if self._frames:
            frame = self._frames.popleft()
            self._size -= len(frame)
            return frame
        if self._documents:
            return self._documents.pop(next(iter(self._documents)))
        return b""


class Hub:
    """Everybody who watches.

    Attributes:
        dropped: clients that were too slow, since the start.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._alerts: dict[Client, Filter] = {}
        self._live: set[Client] = set()
        self._gathered: list[Kept] = []
        self._flushing: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._alerts) + len(self._live)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self) >= MOST_CLIENTS

    @property
    def watched(self) -> bool:
        """Whether anybody wants documents."""
        return bool(self._live)

    def join_alerts(self, wanted: Filter) -> Client:
        """A client that gets every alert from now on that the filter takes."""
        self.flush()  # what came before is not for it
        client = Client()
        self._alerts[client] = wanted
        return client

    def join_live(self) -> Client:
        """A client that gets changed documents and states."""
        client = Client()
        self._live.add(client)
        return client

    def leave(self, client: Client) -> None:
        """It is gone."""
        self._alerts.pop(client, None)
        self._live.discard(client)

    def alerts(self, found: Iterable[Kept]) -> None:
        """New alerts."""
        self._gathered += found
        if self._gathered and self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(GATHER_S, self.flush)

    def flush(self) -> None:
        """Hand out what was gathered."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        gathered, self._gathered = self._gathered, []
        if not gathered or not self._alerts:
            return
        frames: dict[Filter, list[bytes]] = {}
        for client, wanted in list(self._alerts.items()):
            if wanted not in frames:
                frames[wanted] = frames_of([one for one in gathered if wanted.takes(one, "open")])
            for frame in frames[wanted]:
                client.put(frame)
            self._count(client)

    def document(self, name: str, data: bytes) -> None:
        """A document has changed; ``data``: its JSON."""
        frame = event(name, data)
        for client in self._live:
            client.replace(name, frame)

    def state(self, record: bytes) -> None:
        """An alert's state has changed; ``record``: its JSON."""
        frame = event("states", record)
        for client in list(self._live):
            client.put(frame)
            self._count(client)

    def close(self) -> None:
        """Let everybody go."""
        if self._flushing is not None:
            self._flushing.cancel()
        for client in [*self._alerts, *self._live]:
            client.drop()

    def _count(self, client: Client) -> None:
        if client.dropped:
            self.dropped += 1
            self.leave(client)


def event(name: str, data: bytes) -> bytes:
    """A server-sent event; the data have no line ends."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def frames_of(alerts: Sequence[Kept]) -> list[bytes]:
    """Alerts as frames of some ``CHUNK_BYTES``."""
    frames, size = [], 0
    parts: list[bytes] = []
    for one in alerts:
        part = b"id: %s\ndata: %s\n\n" % (one.position.encode(), _one_line(one.value))
        if parts and size + len(part) > CHUNK_BYTES:
            frames.append(b"".join(parts))
            parts, size = [], 0
        parts.append(part)
        size += len(part)
    return [*frames, b"".join(parts)] if parts else frames


def _one_line(value: bytes) -> bytes:
    """JSON as it came, unless it has line ends, which would end the event."""
    return orjson.dumps(orjson.loads(value)) if b"\n" in value or b"\r" in value else value
