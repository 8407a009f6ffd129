"""Posts what is due, and tells the queue what came of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import structlog

from streams.errors import one_line
from streams.logs import without_secrets
from streams.notify.bodies import request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.agents.stats import AgentStats
    from streams.notify.machine import NotifyMachine
    from streams.notify.queue import Delivery
    from streams.notify.targets import Target

_log = structlog.get_logger(__name__)

WEBHOOKS_AT_ONCE = 8
ALERTS_IN_ONE = 64
MOST_RETRY_AFTER_MS = 86_400_000
_LOOK_EVERY_S = 0.05
_REASON_BYTES, _REASON_S = 300, 1.0
_UNFIT = 400
#: Of the answers that say "not like this", those that say "not now".
_NOT_NOW = frozenset({408, 425, 429})


class Answer(NamedTuple):
    """What came of an attempt.

    Attributes:
        status: of HTTP; None: there was none.
        reason: for people.
        retry_after_ms: what the server asks for.
    """

    status: int | None
    reason: str
    retry_after_ms: int | None = None

    @property
    def arrived(self) -> bool:
        """It was taken."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """It never will be."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in _NOT_NOW


def new_session() -> aiohttp.ClientSession:
    """The HTTP client: no cookies, no redirects followed, proxies not taken from the environment."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # each target has its own, for all of an attempt
    )


async def post(session: aiohttp.ClientSession, target: Target, deliveries: Sequence[Delivery], now_ms: int) -> Answer:
    """One attempt. An answer's body is only looked at where it says no, and never for long."""
    body, headers = request(target, deliveries, now_ms)
    try:
        async with asyncio.timeout(target.timeout_s):
            response = await session.post(
                target.url, data=body, headers=headers, allow_redirects=False, ssl=target.tls or True
            )
            try:
                answer = Answer(response.status, "", _retry_after_ms(response.headers.get("retry-after"), now_ms))
                return answer if answer.arrived else answer._replace(reason=await _why(response))
            finally:
                response.release()  # keeps the connection, unless a body may still be coming
    except TimeoutError:
        return Answer(None, f"no answer within {target.timeout_s:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Answer(None, _hidden(target, f"{type(error).__name__}: {error}"))


async def _why(response: aiohttp.ClientResponse) -> str:
    text = b""
    with suppress(TimeoutError, aiohttp.ClientError):
        text = await asyncio.wait_for(response.content.read(_REASON_BYTES), _REASON_S)
    words = one_line(text.decode(errors="replace"))
    return without_secrets(f"status {response.status}" + (f": {words[:200]}" if words else ""))


def _retry_after_ms(text: str | None, now_ms: int) -> int | None:
    """Seconds or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    try:
        wait_ms = (
            int(text) * 1_000 if text.isdigit() else round(parsedate_to_datetime(text).timestamp() * 1_000) - now_ms
        )
    except (ValueError, OverflowError):
        return None
    return min(max(0, wait_ms), MOST_RETRY_AFTER_MS)


def _hidden(target: Target, text: str) -> str:
    return without_secrets(one_line(text.replace(target.url, "its address")))[:300]


class Courier:
    """Delivers to one target.

    Args:
        target: where to.
        machine: has its queue.
        session: of HTTP.
        stats: counters.
        clock_ms: epoch.
    """

    def __init__(
        self,
        target: Target,
        machine: NotifyMachine,
        session: aiohttp.ClientSession,
        stats: AgentStats,
        clock_ms: Callable[[], int],
    ) -> None:
        self._target, self._machine, self._session = target, machine, session
        self._queue, self._stats, self._clock_ms = machine.queues[target.name], stats, clock_ms

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not await self.deliver():
                await asyncio.sleep(_LOOK_EVERY_S)

    async def deliver(self) -> int:
        """Try what is due now; how many that was."""
        batches = self._due()
        await asyncio.gather(*map(self._try, batches))
        return len(batches)

    def _due(self) -> list[list[Delivery]]:
        if self._target.kind == "webhook":
            return [[one] for one in self._queue.due(self._clock_ms(), WEBHOOKS_AT_ONCE)]
        found = self._queue.due(self._clock_ms(), ALERTS_IN_ONE)
        together = [one for one in found if not one.alone]
        return [*([together] if together else []), *([one] for one in found if one.alone)]

    async def _try(self, deliveries: list[Delivery]) -> None:
        name, queue = self._target.name, self._queue
        try:
            answer = await post(self._session, self._target, deliveries, self._clock_ms())
        except (TypeError, ValueError) as error:  # nested deeper than can be written, for one
            answer = Answer(_UNFIT, f"it cannot be posted: {error}")
        except BaseException:
            queue.let_go(deliveries)
            raise
        self._machine.touched()
        if answer.arrived:
            queue.delivered(deliveries)
            self._stats.deliveries[name, "delivered"] += len(deliveries)
        elif answer.refused:
            self._machine.bury(name, queue.refused(deliveries, answer.reason))
        else:
            queue.failed(deliveries, self._clock_ms(), answer.reason, answer.retry_after_ms)
            self._stats.deliveries[name, "failed"] += len(deliveries)
            _log.warning("notify.failed", target=name, deliveries=len(deliveries), reason=answer.reason)
