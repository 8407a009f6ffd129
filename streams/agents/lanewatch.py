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

    from streams.agents.host import Host
    from streams.agents.outbox import Outbox
    from streams.agents.partition import Outcome, Partition

#: So far may an event of one source partition reach Kafka behind newer ones of another, in event time.
SLACK_US = 1_000_000
_ANSWER_WITHIN_S = 2.0


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
