"""The risk agent: batches of events through the rules to alerts, dead letters and late events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep import Engine, RuleFailure
from streams import codec
from streams.agents.partition import Outcome
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep import Alert, Stream
    from streams.agents.context import AgentContext
    from streams.agents.host import Host
    from streams.transport import Batch, Record

_SOURCE = "/m1cep/risk"


class RiskPartition:
    """One engine, and the positions of the topics up to which it has read.

    Args:
        positions: the next offset of each topic.
        engine: its state is that of the positions.
        streams: the stream of each topic.
    """

    def __init__(self, positions: Mapping[str, int], engine: Engine, streams: Mapping[str, Stream]) -> None:
        self.positions = dict(positions)
        self._engine = engine
        self._streams = streams
        self._us = frozenset(rule.id for rule in engine.rules if rule.source.time_unit == "us")

    def take(self, batch: Batch) -> Outcome:
        """Decode the batch's records that are new and push them.

        Raises:
            ShellError: records are missing between the last batch and this one, or a rule fails.
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
            except RuleFailure as failure:
                first, last = records[0].offset, records[-1].offset
                where = f"offsets {first} to {last} of {batch.topic} partition {batch.partition}"
                raise _failed(failure, where) from failure
        self.positions[batch.topic] = max(position, batch.next)
        return outcome

    def idle(self, topic: str) -> Outcome:
        """Let the merge by event time go on without waiting for ``topic``."""
        outcome = Outcome()
        try:
            self._add(self._engine.idle(self._streams[topic].name), outcome)
        except RuleFailure as failure:
            raise _failed(failure, f"events before offset {self.positions[topic]} of {topic}") from failure
        return outcome

    def snapshot(self) -> bytes:
        """The engine's state: open patterns, windows, rows that wait for their turn by event time."""
        return self._engine.snapshot()

    def _push(self, stream: Stream, batch: Batch, records: Sequence[Record], outcome: Outcome) -> None:
        rows, errors, index = stream.decode_many([record.value for record in records])  # type: ignore[misc]
        outcome.events = len(rows)
        self._add(self._engine.push_rows(stream.name, rows), outcome)
        for position, error in errors:
            record = _source(batch, records[position])
            outcome.messages.append(codec.dead_letter(record, error.reason, _SOURCE, column=error.column))
        outcome.dead_letters = len(errors)
        for late in self._engine.take_late():
            record = _source(batch, records[late.index if index is None else index[late.index]])
            outcome.messages.append(codec.late_event(record, late, _SOURCE))
            outcome.late += 1

    def _add(self, alerts: Sequence[Alert], outcome: Outcome) -> None:
        for alert in alerts:
            event_time_ms = alert.event_time // 1000 if alert.rule in self._us else alert.event_time
            outcome.rules.append(alert.rule)
            outcome.messages.append(codec.alert_message(alert, event_time_ms, _SOURCE))


def _source(batch: Batch, record: Record) -> codec.Source:
    return codec.Source(batch.topic, batch.partition, record.offset, record.timestamp, record.key, record.value)


def _failed(failure: RuleFailure, where: str) -> ShellError:
    reason = str(failure).splitlines()[0]
    line = "" if failure.line is None else f" (line {failure.line} of the rule)"
    return ShellError(
        f"{reason}{line}, on {where}",
        "mend or remove the rule and start the worker again: nothing of these events is committed",
    )


async def build(context: AgentContext) -> Host:
    """The host of the risk agent, attached to an app that is not started yet.

    Raises:
        ShellError: there are no rules, or the topics that they read do not fit together.
    """
    rules = tuple(context.options.rules)
    if not rules:
        raise ShellError("there is no rule to run", "give --rules a file or a folder with .sql rules")
    inputs = [context.options.streams[name] for name in sorted(Engine(rules, context.options.lookups).inputs)]
    streams = {stream.topic: stream for stream in inputs}
    if len(streams) < len(inputs):
        names = ", ".join(stream.name for stream in inputs)
        raise ShellError(f"two of the streams {names} have the same topic", "declare one stream for a topic")

    def open_partition(positions: Mapping[str, int], state: bytes | None) -> RiskPartition:
        if state is None:
            engine = Engine(rules, context.options.lookups)
        else:
            engine = Engine.restore(rules, state, changed=True, lookups=context.options.lookups)
        return RiskPartition(positions, engine, streams)

    versions = {rule.id: rule.version for rule in rules}
    return await context.new_host("risk", streams, open_partition, versions)
