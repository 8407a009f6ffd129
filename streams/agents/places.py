"""Which records a :class:`~streams.agents.solo.Solo` reads next, and what becomes of those that were deleted before it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from streams.agents.stats import AgentStats

_log = structlog.get_logger(__name__)


class Places:
    """The next offset of each partition.

    Args:
        name: of the agent, for messages.
        tail: topics that need not be heard in full; of a fresh state so many of each partition's last records are.
        stats: counts what is lost.

    Attributes:
        at: the offsets.
    """

    def __init__(self, name: str, tail: Mapping[str, int], stats: AgentStats) -> None:
        self._name, self._tail, self._stats = name, dict(tail), stats
        self.at: dict[TopicPartition, int] = {}

    async def begin(self, consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> bool:
        """Where to begin: the consumer goes there.

        Returns:
            Whether that must be kept: a crash before the first record would begin later still.

        Raises:
            ShellError: records were deleted that the state should have heard.
        """
        first = await consumer.beginning_offsets(list(tps))
        self._check_lost({tp: at for tp in tps if (at := self.at.get(tp)) is not None and at < first[tp]}, first)
        fresh = [tp for tp in tps if self.at.get(tp, -1) < first.get(tp, 0)]
        # Who was away for longer than the topic keeps records takes what is left; with a tail of some, no more than that.
        skipping = [tp for tp in fresh if tp.topic in self._tail and (tp not in self.at or self._tail[tp.topic])]
        ends = await consumer.end_offsets(skipping)
        for tp in fresh:
            back = max(0, ends[tp] - self._tail[tp.topic]) if tp in ends else 0
            self.at[tp] = max(first.get(tp, 0), back)
        for tp in tps:
            consumer.seek(tp, self.at[tp])
        return any(tp in ends for tp in fresh)

    async def pass_over(self, consumer: AIOKafkaConsumer, gone: Mapping[TopicPartition, int]) -> None:
        """The broker does not have the offsets that are next: of topics that need not be heard in full, go on with what is left.

        Raises:
            ShellError: records were deleted that should have been heard, or the topic is not the one that it was.
        """
        first = await consumer.beginning_offsets(list(gone))
        if beyond := [f"{tp.topic}/{tp.partition} at {at}" for tp, at in gone.items() if at >= first[tp]]:
            raise ShellError(
                f"the topics have less than {self._name} had read: it was to go on with {', '.join(beyond)}",
                "look whether they were made anew, or the broker has lost records; its state must be made anew then",
            )
        self._check_lost(gone, first)
        for tp in gone:
            consumer.seek(tp, first[tp])
            self.at[tp] = first[tp]

    def _check_lost(self, lost: Mapping[TopicPartition, int], first: Mapping[TopicPartition, int]) -> None:
        """Records before the first ones were not heard: say so and count them where that may be.

        Args:
            lost: the offset that was next, where it is gone.
            first: the offset of the first record that is left.

        Raises:
            ShellError: it must not be.
        """
        if needed := {tp: at for tp, at in lost.items() if tp.topic not in self._tail}:
            where = ", ".join(f"{tp.topic}/{tp.partition} from offset {at} to {first[tp]}" for tp, at in needed.items())
            raise ShellError(
                f"records were deleted before {self._name} had read them: {where}",
                "keep the topics for longer than the agent may be away or behind; its state must be made anew",
            )
        for tp, at in lost.items():
            self._stats.lost[tp.topic] += first[tp] - at
            _log.error("records.lost", topic=tp.topic, partition=tp.partition, offsets=[at, first[tp]])
