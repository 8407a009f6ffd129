"""What a rule did with the events of a key, and what was missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """An event by its id, with its event time in the stream's unit."""

    id: str
    time: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition and what it came to.

    Attributes:
        sql: the condition.
        line, column: where it stands in the rule, from 1.
        excerpt: that line with carets below the condition.
        holds: True, False, or None for unknown.
        why: with the values on both sides.
        values: by what the condition names, the values.
    """

    sql: str
    line: int
    column: int
    excerpt: str
    holds: bool | None
    why: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """An event that a pattern took in, and the variable to which it was mapped.

    Attributes:
        late: after WITHIN had run out.
        free: the variable takes any event.
    """

    variable: str
    event: Event
    late: bool = False
    free: bool = False


@dataclass(frozen=True, slots=True)
class Near:
    """An attempt that came near to a match.

    Attributes:
        what: in a sentence, how it ended.
        event: the event on which it failed, if it was one.
        variable: for which the pattern tried that event.
        findings: of every condition on it, in the order written.
        steps: what the pattern had taken before.
        missing: rows that the pattern still wanted.
        bound: first and last event time that mattered: WITHIN, a frame, a window.
        ended: of a pattern, the condition nearest to hold on the event that ended the attempt, where that is another one.
        others: further attempts that failed in the same way.
        rank: the nearest has the least.
    """

    what: str
    event: Event | None = None
    variable: str | None = None
    findings: tuple[Finding, ...] = ()
    steps: tuple[Step, ...] = ()
    missing: int = 0
    bound: tuple[int, int] | None = None
    ended: Near | None = None
    others: int = 0
    rank: tuple[Any, ...] = ()

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The conditions that were not true."""
        return tuple(f for f in self.findings if f.holds is not True)


@dataclass(frozen=True, slots=True)
class Match:
    """A match; ``suppressed``: the rule's ``suppress`` kept it from being an alert."""

    event_time: int
    events: tuple[str, ...]
    row: dict[str, Any]
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An event that WHERE left out, with its conditions."""

    event: Event
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class LateEvent:
    """An event that came behind the watermark."""

    event: Event
    stream: str
    watermark: int
    reason: str


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key: how many events the rule saw of it, what it matched, what came near (nearest first), what was kept from it."""

    key: dict[str, Any]
    events: int
    matches: tuple[Match, ...] = ()
    near: tuple[Near, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    left_out_count: int = 0
    late: tuple[LateEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer for a rule.

    Attributes:
        unit: of event times, ``ms`` or ``us``.
        keys: nearest to a match first.
        key_count: of keys that had events; ``keys`` are the nearest of them.
        notes: what was not looked at, and why.
    """

    rule: str
    form: str
    unit: str
    keys: tuple[KeyReport, ...]
    key_count: int
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        found = asdict(self)
        for key in found["keys"]:
            for near in key["near"]:
                del near["rank"]
                if near["ended"] is not None:
                    del near["ended"]["rank"]
        return found
