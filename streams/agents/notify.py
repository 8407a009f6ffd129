"""The agent notify: alerts to webhooks and Alertmanager. One of it is enough; it reads every partition."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from streams import codec
from streams.agents.around import AroundSolo
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import aiohttp

    from streams.agents.context import AgentContext
    from streams.agents.solo import Solo
    from streams.notify.courier import Courier
    from streams.notify.machine import NotifyMachine

_log = structlog.get_logger(__name__)

NAME = "notify"


class Notify(AroundSolo):
    """What the worker runs: the reading, and a courier for each target.

    Args:
        feed: reads the topics into the machine.
        machine: the queues.
        session: of HTTP.
        couriers: of the targets.
    """

    name = NAME

    def __init__(
        self, feed: Solo, machine: NotifyMachine, session: aiohttp.ClientSession, couriers: Iterable[Courier]
    ) -> None:
        super().__init__(feed)
        self._machine, self._session, self._couriers = machine, session, list(couriers)
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            ShellError: the state cannot be used.
        """
        self._tasks = [asyncio.create_task(run()) for run in (self._feed.run, *(one.run for one in self._couriers))]
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _halt(self) -> None:
        """What is under way is broken off, and was perhaps delivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def measure(self) -> None:
        """What waits for each target."""
        self.stats.undelivered = {name: len(queue.pending) for name, queue in self._machine.queues.items()}
        super().measure()

    async def close(self) -> None:
        """Save what waits."""
        await self._halt()
        await self._feed.close()

    async def stop(self) -> None:
        """Let go of the broker, and of the servers."""
        await self._halt()
        await self._session.close()
        await self._feed.stop()


async def build(context: AgentContext) -> Notify:
    """The agent.

    Raises:
        UsageError: there are no targets, or their file is wrong.
        ServerError: a topic is missing.
    """
    from streams.notify.courier import Courier, new_session
    from streams.notify.machine import NotifyMachine
    from streams.notify.targets import load_targets

    options, stats = context.options, context.stats
    if options.targets is None:
        raise UsageError(
            "the agent notify needs to know where to: --targets FILE, or M1CEP_NOTIFY", "see docs/alerts.md"
        )
    targets = load_targets(options.targets)
    machine = NotifyMachine(targets, stats, _now_ms)
    topics = (codec.ALERTS, codec.ALERT_STATES)
    feed = await context.new_solo(
        NAME,
        machine,
        topics,
        outputs=[codec.DEAD_LETTERS],
        tail=dict.fromkeys(topics, 0),  # the very first start tells nobody of the last thirty days
        changed=machine.changed,
    )
    session = new_session()
    couriers = [Courier(one, machine, session, stats, _now_ms) for one in targets.values()]
    _log.info("notify.targets", targets=sorted(targets))
    return Notify(feed, machine, session, couriers)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
