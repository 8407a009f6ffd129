"""What a worker gives to each of its agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams import codec
from streams.errors import ServerError, ShellError
from streams.transport import BatchApp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from m1cep import Lookups, Rule, Stream
    from streams.agents.outbox import Outbox
    from streams.agents.stats import AgentStats
    from streams.transport import BatchHandler

#: What every agent writes to.
OUTPUT_TOPICS = (codec.ALERTS, codec.DEAD_LETTERS, codec.LATE)


@dataclass(frozen=True)
class AgentContext:
    """Rules, what they look up, streams, connections and settings.

    Attributes:
        broker: ``host:port``.
        group: prefix of the agents' consumer groups.
        state_dir: folder for what must survive a restart.
        idle_timeout_s: a topic silent for so long no longer holds back others.
        silence_s: event time goes on in a silent partition, so far behind the clock; 0: it stands still.
        seen: how many events of a topic and partition are remembered to drop repetitions; 0 drops none.
        max_waiting: a topic with so many events that wait for other topics is not read further for now.
        commit_every_s: how often an agent commits, at most.
        session_timeout_s: see :class:`BatchApp`.
        fetch_max_wait_ms: see :class:`BatchApp`.
    """

    rules: Sequence[Rule]
    streams: Mapping[str, Stream]
    outbox: Outbox
    stats: AgentStats
    broker: str
    group: str
    state_dir: Path
    idle_timeout_s: float
    commit_every_s: float
    session_timeout_s: float
    fetch_max_wait_ms: int
    lookups: Lookups | None = None
    silence_s: float = 5.0
    seen: int = 10_000
    max_waiting: int = 20_000

    async def check_topics(self, topics: Iterable[str]) -> None:
        """Check that the topics exist, with as many partitions each, and that there is somewhere to write to.

        Raises:
            ServerError: a topic does not exist.
            ShellError: partition counts differ.
        """
        inputs = sorted(topics)
        found = (await self.outbox.look((*inputs, *OUTPUT_TOPICS))).partitions
        missing = [topic for topic in (*inputs, *OUTPUT_TOPICS) if not found.get(topic)]
        if missing:
            raise ServerError(
                f"the broker at {self.broker} has no topic {', '.join(missing)}", "make them: m1cep topics create"
            )
        if len({found[topic] for topic in inputs}) > 1:
            counts = ", ".join(f"{topic} {found[topic]}" for topic in inputs)
            raise ShellError(
                f"the topics that the rules read have different numbers of partitions: {counts}",
                "partition p of all of them is processed together: make the numbers equal",
            )

    def new_app(self, agent: str, handler: BatchHandler, topics: Iterable[str]) -> BatchApp:
        """A Faust app for an agent, in the consumer group ``<group>-<agent>``, not started."""
        return BatchApp(
            f"{self.group}-{agent}",
            topics=topics,
            handler=handler,
            broker=self.broker,
            data_dir=self.state_dir / "faust",
            fetch_max_wait_ms=self.fetch_max_wait_ms,
            session_timeout_s=self.session_timeout_s,
        )
