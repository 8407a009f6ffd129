"""The risk agent: batches of events through the rules to alerts, dead letters and late events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep import Engine

from streams import codec
from streams.agents.host import Host, Outcome
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep import Alert, Rule, Stream

    from streams.agents.context import AgentContext
    from streams.transport import Batch, Record

_SOURCE = "/m1cep/risk"


class RiskPartition:
    """One engine and the positions of the topics that it has read.

    Args:
        number: of the partition.
        positions: the next offset of each topic.
        engine: with empty state.
        streams: the stream of each topic.
    """

    def __init__(self, number: int, positions: dict[str, int], engine: Engine, streams: dict[str, Stream]) -> None:
        self.number = number
        self.positions = dict(positions)
        self._engine = engine
        self._streams = streams

    def take(self, batch: Batch) -> Outcome:
        """Decode the batch's records that are new and push them.

        Raises:
            ShellError: records are missing between the last batch and this one, or the engine fails.
        """
        position = self.positions[batch.topic]
        if batch.prev_next > position:
            raise ShellError(
                f"records are missing: {batch.topic} partition {batch.partition} is processed up to offset {position}, "
                f"but the next batch begins at {batch.prev_next}",
                "start the worker again: it reads them from the last commit",
            )
        records = batch.records
        if records[0].offset < position:
            records = [record for record in records if record.offset >= position]
        outcome = Outcome()
        if records:
            try:
                self._push(self._streams[batch.topic], batch, records, outcome)
            except Exception as error:
                raise ShellError(
                    f"the rules failed on {batch.topic} partition {batch.partition}, offsets {records[0].offset} to "
                    f"{records[-1].offset}: {type(error).__name__}: {error}",
                    "nothing of this batch is committed; it is read again at the next start",
                ) from error
        self.positions[batch.topic] = max(position, batch.next)
        return outcome

    def idle(self, topic: str) -> Outcome:
        """Let the merge by event time go on without waiting for ``topic``."""
        outcome = Outcome()
        _add_alerts(self._engine.idle(self._streams[topic].name), outcome)
        return outcome

    def _push(self, stream: Stream, batch: Batch, records: Sequence[Record], outcome: Outcome) -> None:
        values = [record.value for record in records]
        rows, errors, index = stream.decode_many(values)  # type: ignore[arg-type]
        for position, error in errors:
            letter = codec.dead_letter(_source(batch, records[position]), error.reason, _SOURCE, column=error.column)
            outcome.messages.append(letter)
        outcome.events = len(rows)
        if rows:
            _add_alerts(self._engine.push_rows(stream.name, rows), outcome)
            for late in self._engine.take_late():
                record = records[late.index if index is None else index[late.index]]
                outcome.late += 1
                outcome.messages.append(
                    codec.late_event(
                        _source(batch, record),
                        _SOURCE,
                        stream=late.stream,
                        event_time=late.event_time,
                        watermark=late.watermark,
                        reason=late.reason,
                    )
                )
        outcome.dead_letters += len(errors)


def _add_alerts(alerts: Sequence[Alert], outcome: Outcome) -> None:
    for alert in alerts:
        outcome.rules.append(alert.rule)
        outcome.messages.append(codec.alert_message(alert, _SOURCE))


def _source(batch: Batch, record: Record) -> codec.Source:
    return codec.Source(batch.topic, batch.partition, record.offset, record.timestamp, record.key, record.value)


def build(context: AgentContext) -> Host:
    """The host of the risk agent, attached to an app that is not started yet.

    Raises:
        ShellError: there are no rules, or the topics that they read do not fit together.
    """
    rules: list[Rule] = list(context.rules)
    if not rules:
        raise ShellError("there is no rule to run", "give --rules a file or a folder with .sql rules")
    inputs = {context.streams[name] for name in Engine(rules).inputs}
    streams = {stream.topic: stream for stream in inputs}
    if len(streams) < len(inputs):
        names = ", ".join(sorted(stream.name for stream in inputs))
        raise ShellError(f"two of the streams {names} read the same topic", "declare one stream for a topic")
    context.check_topics(streams)

    def new_partition(number: int, positions: dict[str, int]) -> RiskPartition:
        return RiskPartition(number, positions, Engine(rules), streams)

    host = Host("risk", frozenset(streams), new_partition, context.outbox, context.stats, context.idle_timeout_s)
    host.attach(context.new_app("risk", host, streams))
    return host
