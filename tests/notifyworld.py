"""An HTTP server in the test's process, and the agent notify's parts around a clock that the test moves."""

import asyncio
import base64
import hashlib
import hmac
import json
import random
from contextlib import asynccontextmanager
from types import SimpleNamespace

from aiohttp import web

from streams import codec
from streams.agents.stats import AgentStats
from streams.notify.courier import Courier, new_session
from streams.notify.machine import NotifyMachine
from streams.notify.targets import load_targets

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
START_MS = 1_800_000_000_000


def alert(name, severity="high", rule="spoofing", **row):
    about = {"id": name, "rule": rule, "severity": severity, "key": {"account": "ann"}}
    return about | {"row": row or {"symbol": "BTC-USD"}, "event_time": 1, "events": ["e1", "e2"]}


def verified(request, key=KEY):
    """The webhook's id, if it is signed by the key: by the words of the specification, not by our code."""
    content = b".".join((request.id.encode(), request.headers["webhook-timestamp"].encode(), request.body))
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + content).digest()
    mac = hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()  # HMAC as in RFC 2104, written out
    wanted = "v1," + base64.b64encode(mac).decode()
    assert any(hmac.compare_digest(wanted, one) for one in request.headers["webhook-signature"].split(" "))
    return request.id


class Receiver:
    """A server that keeps what it is sent, and answers what ``answer(request)`` says: a status, a response, or a coroutine."""

    def __init__(self):
        self.requests, self.answer, self.port = [], lambda _request: 200, None

    async def _take(self, request):
        body = await request.read()
        seen = SimpleNamespace(
            path=request.path, headers=dict(request.headers.items()), body=body, transport=request.transport
        )
        seen.headers = {name.lower(): value for name, value in seen.headers.items()}
        seen.id = seen.headers.get("webhook-id")
        seen.http = request
        self.requests.append(seen)
        found = self.answer(seen)
        if asyncio.iscoroutine(found):
            found = await found
        return (
            web.Response(status=found, text="no: <b>\x1b[31m" if found >= 300 else "")
            if isinstance(found, int)
            else found
        )

    @asynccontextmanager
    async def running(self):
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def ids(self):
        return [one.id for one in self.requests]

    def posted(self):
        """Alertmanager's alerts, of all requests."""
        return [one for request in self.requests for one in json.loads(request.body)]


def targets_file(folder, text):
    (folder / "hook.secret").write_text(SECRET + "\n")
    path = folder / "targets.toml"
    path.write_text(text)
    return path


class House:
    """Machine and couriers; ``hear`` is the topic, ``step`` lets time pass."""

    def __init__(self, path, state=None, now_ms=START_MS):
        self.now_ms, self.stats, self.letters, self.offset = now_ms, AgentStats(), [], 0
        self.machine = NotifyMachine(load_targets(path), self.stats, lambda: self.now_ms, random.Random(1))
        if state is not None:
            self.letters += self.machine.load(state)

    async def __aenter__(self):
        self.session = new_session()
        self.couriers = {
            name: Courier(one, self.machine, self.session, self.stats, lambda: self.now_ms)
            for name, one in self.machine.targets.items()
        }
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    def hear(self, *values, topic=codec.ALERTS, time=None):
        for value in values:
            raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
            headers = [("ce_time", time.encode())] if time else []
            record = SimpleNamespace(offset=self.offset, timestamp=self.now_ms, key=b"k", value=raw, headers=headers)
            self.letters += self.machine.take(topic, 0, record)
            self.offset += 1

    async def step(self, ms=0):
        """Every courier delivers what is due, so often as something is."""
        self.now_ms += ms
        self.letters += self.machine.tick(self.now_ms)
        while any([await one.deliver() for one in self.couriers.values()]):
            pass
        self.letters += self.machine.tick(self.now_ms)

    def dead(self):
        """Target, alert and reason of the dead letters."""
        bodies = [json.loads(one.value) for one in self.letters]
        assert {one.topic for one in self.letters} <= {codec.DEAD_LETTERS}
        return [(body.get("target"), body.get("alert"), body["reason"]) for body in bodies]
