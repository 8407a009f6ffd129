"""When a lane counts as silent: its writer said so, and nothing has come to its source partition since.

A re-keyed topic cannot tell the second by itself. Nothing in it may mean that nothing happens, or that the worker who writes it
is dead while events pile up in the source. So the ends of the source are asked for, several times a second:

    the lane's last word: nothing behind 30      source ends at 30       silent
                                                 source ends at 31       not silent: its event is on the way
                                                 no answer               nobody is silent

What comes to a silent lane after the question is newer than what had come from the others before it. So much is promised for it,
less ``SLACK_US``, for events do not reach Kafka in one moment. However fast or slow event time goes, and whatever the clocks say.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from faust.types import TP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep import Stream
    from streams.agents.host import Host
    from streams.agents.lanes import LaneReader
    from streams.agents.outbox import Outbox
    from streams.agents.partition import Outcome, Partition

#: So far may an event of one source partition reach Kafka behind newer ones of another, in event time.
SLACK_US = 1_000_000
_ANSWER_WITHIN_S = 2.0


class LaneSilence:
    """What one partition knows of the silence of its lanes.

    Args:
        readers: of its re-keyed topics, by topic.
    """

    def __init__(self, readers: Mapping[str, LaneReader]) -> None:
        self._readers = readers
        self._newest_us: int | None = None  # that a lane has reached
        self._asked_us: int | None = None  # the same, when the ends of the sources were asked for
        self._promised: tuple[int, list[Stream]] | None = None  # up to when, and for which lanes
        self._untouched = False  # nothing has come from a lane since
        self.over_all = False  # all lanes are idle, and the engine was told so

    def broken(self) -> None:
        """Something has come from a lane."""
        self._untouched = self.over_all = False

    def reached(self, time_us: int) -> None:
        """A lane has come so far."""
        self._newest_us = max(self._newest_us or time_us, time_us)

    def before_asking(self) -> None:
        """The ends of the sources are about to be asked for."""
        self._asked_us, self._untouched = self._newest_us, True

    def judged_by(self, ends: Mapping[TP, int]) -> list[tuple[Stream, int | None]]:
        """Lanes for which nobody need wait any longer: up to a time, in the unit of the lane; None: not at all.

        Args:
            ends: where the partitions of the sources end, asked for after ``before_asking``; without those that nobody knows.

        Returns:
            Nothing where that was said before.
        """
        silent = [
            lane
            for reader in self._readers.values()
            for number, lane in enumerate(reader.lanes)
            if reader.silent(number, ends.get(TP(reader.source.topic, number)))
        ]
        all_silent = len(silent) == sum(len(reader.lanes) for reader in self._readers.values())
        self.over_all = self.over_all and all_silent
        if self._untouched and all_silent:
            told, self.over_all = self.over_all, True
            return [] if told else [(lane, None) for lane in silent]
        if self._asked_us is None or self._promised == (self._asked_us, silent):
            return []
        self._promised = self._asked_us, silent
        time_us = self._asked_us - SLACK_US
        return [(lane, time_us if lane.time_unit == "us" else time_us // 1000) for lane in silent]


async def watch_lanes(host: Host, outbox: Outbox, topics: Iterable[str], partitions: int, every_s: float) -> None:
    """Tell the partitions of the risk agent how far the sources are, for ever.

    Args:
        host: of the agent.
        outbox: knows the broker.
        topics: the sources.
        partitions: of each.
        every_s: how often to ask.
    """
    wanted = [TP(topic, number) for topic in topics for number in range(partitions)]
    while True:
        await asyncio.sleep(every_s)
        ends: Mapping[TP, int] = {}
        await host.each(_before_asking)
        with suppress(KafkaError, TimeoutError):
            ends = await asyncio.wait_for(outbox.ends(wanted), _ANSWER_WITHIN_S)
        await host.each(partial(_tell, ends))


def _before_asking(partition: Partition) -> None:
    partition.before_asking()  # type: ignore[attr-defined]  # the host's partitions are those of the risk agent


def _tell(ends: Mapping[TP, int], partition: Partition) -> Outcome | None:
    return partition.sources_end(ends)  # type: ignore[attr-defined, no-any-return]
