"""Rules on history: how often they would have alerted, for whom, and what is different from the version in force."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from m1cep import Engine
from streams.replay import Counts, rare_collections, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from m1cep import Alert, Lookups, Rule, Stream

_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000
_IN_FORCE = "@in-force"  # no rule's id has such a sign
_SEEN = 10_000  # repetitions are dropped as a worker does


@dataclass
class Found:
    """The alerts of one rule.

    Attributes:
        keys: alerts by key, as text.
        matches: alerts by key and event time, by which versions are compared.
    """

    rule: Rule
    alerts: int = 0
    keys: Counter[str] = field(default_factory=Counter)
    matches: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, alert: Alert) -> None:
        """Count an alert."""
        self.alerts += 1
        self.keys[alert.key_text] += 1
        self.matches[alert.key_text, alert.event_time] += 1


@dataclass
class Report:
    """What a history has brought.

    Attributes:
        counts: of the events.
        span_us: event time from the first event to the last.
        new: by rule id.
        old: of the versions that the rules were compared with, by rule id.
    """

    counts: Counts
    span_us: int
    new: dict[str, Found]
    old: dict[str, Found]

    @property
    def days(self) -> float:
        """The span in days."""
        return self.span_us / _DAY_US

    def _daily(self, alerts: int) -> float | None:
        """Alerts a day; None of a span too short to say."""
        return alerts / self.days if self.span_us >= _HOUR_US else None

    def rows(self, most: int = 10) -> list[dict[str, Any]]:
        """One dictionary a rule, for ``--json``; at most so many keys and examples."""
        return [self._row(name, found, most) for name, found in self.new.items()]

    def _row(self, name: str, found: Found, most: int) -> dict[str, Any]:
        row = {
            "rule": name,
            "version": found.rule.version,
            "events": self.counts.events,
            "late": self.counts.late,
            "dead_letters": self.counts.dead_letters,
            "days": self.days,
            "alerts": found.alerts,
            "alerts_per_day": self._daily(found.alerts),
            "keys": [{"key": key, "alerts": count} for key, count in found.keys.most_common(most)],
            "different_keys": len(found.keys),
            "against": None,
        }
        if (old := self.old.get(name)) is not None:
            both = found.matches & old.matches
            row["against"] = {
                "version": old.rule.version,
                "alerts": old.alerts,
                "alerts_per_day": self._daily(old.alerts),
                "both": both.total(),
                "only_new": found.alerts - both.total(),
                "only_old": old.alerts - both.total(),
                "examples_only_new": _examples(found.matches - both, most),
                "examples_only_old": _examples(old.matches - both, most),
            }
        return row


def _examples(matches: Counter[tuple[str, int]], most: int) -> list[dict[str, Any]]:
    return [{"key": key, "event_time": time} for key, time in sorted(matches, key=lambda one: (one[1], one[0]))[:most]]


def backtest(
    rules: Sequence[Rule],
    against: Mapping[str, Rule],
    inputs: Mapping[str, tuple[Stream, BinaryIO]],
    lookups: Lookups | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Report:
    """Run rules, and those that they are compared with, over a history.

    Args:
        rules: to be looked at.
        against: by id, other versions of some of them.
        inputs: by stream name, the stream and its lines, as for a replay.
        lookups: lists and parameters.
        on_bytes: called with the number of bytes read, for a progress bar.

    Raises:
        EngineError: a list or parameter is not there.
        RuleFailure: a rule fails on an event.
    """
    old = {name: replace(rule, id=f"{name}{_IN_FORCE}") for name, rule in against.items()}
    found = {rule.id: Found(rule) for rule in [*rules, *old.values()]}
    engine, counts = Engine([one.rule for one in found.values()], lookups, _SEEN), Counts()
    first_us: int | None = None

    def emit(alerts: list[Alert]) -> None:
        for alert in alerts:
            found[alert.rule].add(alert)

    with rare_collections():
        for name in engine.inputs - set(inputs):
            emit(engine.end(name))  # no events of it: it holds nobody back
        for stream, rows, _ in read(inputs, counts, lambda _letter: None, on_bytes):
            if rows is None:
                emit(engine.end(stream.name))
                continue
            begins_us = getattr(rows[0], stream.time_attr) * (1 if stream.time_unit == "us" else 1000)
            first_us = begins_us if first_us is None else min(first_us, begins_us)
            emit(engine.push_rows(stream.name, rows))
            counts.late += len(engine.take_late())
        newest_us = engine.newest_us
        emit(engine.finish())
    span_us = max(0, newest_us - first_us) if newest_us is not None and first_us is not None else 0
    new = {rule.id: found[rule.id] for rule in rules}
    return Report(counts, span_us, new, {name: found[rule.id] for name, rule in old.items()})
