"""A dashboard in memory: records in by hand, a real HTTP server, nothing of Kafka."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import orjson
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from streams.files import load_rules, load_streams
from streams.web.access import WebOptions
from streams.web.dashboard.board import Board, BoardOptions
from streams.web.dashboard.contributing import Found
from streams.web.dashboard.pages import Pages
from streams.web.server import web_app

NASTY = '<img src=x onerror="alert(1)"></script>'
_STREAMS = load_streams()
_RULES = [(rule, "packaged") for rule in load_rules(None, _STREAMS) if rule.id in {"wash-trade", "layering"}]


def alert(n, *, rule="wash-trade", severity="high", account="a1", **row):
    return {
        "id": f"{n:032x}", "rule": rule, "severity": severity, "key": {"account": account, "symbol": "BTC-USD"},
        "row": {"account": account, **row}, "event_time": 1_777_000_000_000 + n, "events": [f"e{n}"],
    }  # fmt: skip


class World:
    """The board, and what was written of states."""

    def __init__(self, partitions=2, **more):
        self.board = Board(BoardOptions(_RULES, _STREAMS, **more))
        self.board.alerts_begin((0,) * partitions)
        self.board.caught_up()
        self.written, self.sought = [], []
        self._offsets = [0] * partitions
        self._takers = {source.topic: source.take for source in self.board.sources()}
        self.pages = Pages(self.board, self, self._write)

    async def _write(self, record):
        self.written.append(record)
        self.hear("m1cep.alert-states.v1", record.to_json(), key=record.alert)

    async def of(self, found, streams, received_ms):
        """In place of a search in topics."""
        self.sought.append((found["id"], [stream.name for stream in streams], received_ms))
        return Found([], list(found["events"]), 0)

    def hear(self, topic, value, *, key=None, partition=0, timestamp=1_000):
        """A record of a topic."""
        raw = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
        offset = self._offsets[partition]
        if topic == "m1cep.alerts.v1":
            self._offsets[partition] += 1
        named = None if key is None else key.encode()
        self._takers[topic](
            SimpleNamespace(key=named, value=raw, partition=partition, offset=offset, timestamp=timestamp)
        )

    def raise_alert(self, n, *, partition=0, **more):
        self.hear("m1cep.alerts.v1", alert(n, **more), partition=partition, timestamp=1_000 + n)

    @asynccontextmanager
    async def served(self, **users):
        """A client of the pages; users: token by name."""
        options = WebOptions(users={token: name for name, token in users.items()})
        app = web_app(options, self.pages.routes())
        async with TestServer(app, host="127.0.0.1") as server, ClientSession(server.make_url("/")) as client:
            try:
                yield client
            finally:
                self.board.hub.close()


async def read_events(answer, count, timeout_s=20):
    """So many events of a stream: (event, id, data)."""
    found, lines = [], {}
    async with asyncio.timeout(timeout_s):
        while len(found) < count:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if line:
                name, _, rest = line.partition(":")
                lines[name] = rest.strip()
            elif "data" in lines:
                found.append((lines.get("event", "message"), lines.get("id"), orjson.loads(lines["data"])))
                lines = {}
            else:
                lines = {}
    return found


__all__ = ["NASTY", "World", "alert", "read_events"]
