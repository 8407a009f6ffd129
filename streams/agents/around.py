"""What agents share that do more than read: a lone reader of topics, and work beside it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterable, Mapping

    from faust.types import TP

    from streams.agents.solo import Solo
    from streams.agents.stats import AgentStats


class AroundSolo:
    """An agent whose topics are read by a :class:`Solo`.

    Args:
        feed: reads the topics.
    """

    def __init__(self, feed: Solo) -> None:
        self._feed = feed
        self.failed: asyncio.Future[None] = feed.failed

    @property
    def stats(self) -> AgentStats:
        """Counters."""
        return self._feed.stats

    @property
    def topics(self) -> Collection[str]:
        """What it reads."""
        return self._feed.topics

    def trouble(self) -> BaseException | None:
        """Nothing beside what ``run`` raises."""
        return self._feed.trouble()

    def positions(self) -> Mapping[TP, int]:
        """The next offset of everything that is read."""
        return self._feed.positions()

    def measure(self) -> None:
        """Bring the counters up to date that are not kept as things happen."""
        self._feed.measure()

    def abandon(self) -> None:
        """Save nothing."""
        self._feed.abandon()


async def first_to_end(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run all of it until one has ended, and end the others. Raises what that one did."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
