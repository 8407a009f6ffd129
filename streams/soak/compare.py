"""Alerts as they came against alerts as they should be: by id, and by contents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMED = 10  # of each kind, at most, are named in the report


class Received:
    """Alerts from the topic, each kept once.

    Attributes:
        records: how many came, repetitions among them.
        by_id: the first of each id, as it came.
        repeated: how often an alert came again with the same contents.
        contradicted: ids that came with unequal contents.
    """

    def __init__(self) -> None:
        self.records = 0
        self.by_id: dict[str, bytes] = {}
        self.repeated = 0
        self.contradicted: set[str] = set()

    def add(self, value: bytes) -> dict[str, Any] | None:
        """Take a record; the alert if it is the first of its id, else None."""
        self.records += 1
        alert: dict[str, Any] = orjson.loads(value)
        first = self.by_id.setdefault(alert["id"], value)
        if first is value:
            return alert
        if first == value:
            self.repeated += 1
        else:
            self.contradicted.add(alert["id"])
        return None


@dataclass(frozen=True)
class Comparison:
    """What a comparison found; lists are of ids, in a fixed order.

    Attributes:
        expected: how many alerts there should be.
        received: how many there are, each id counted once.
        repeated: alerts that came again, the same.
        missing: expected, and did not come.
        invented: came, and are not expected.
        different: expected, and came with other contents, at least once.
        by_rule: of the expected.
    """

    expected: int
    received: int
    repeated: int
    missing: list[str]
    invented: list[str]
    different: list[str]
    by_rule: dict[str, int] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether every alert came, no other, and with the right contents."""
        return not (self.missing or self.invented or self.different)


def compare(expected: Iterable[bytes], received: Received, closed: int | None = None) -> Comparison:
    """Compare.

    Args:
        expected: alerts as JSON, one each.
        received: what came.
        closed: alerts from this event time on are left out on both sides: they are about the end of the load itself, which a
            replay takes for the end of everything and a worker does not.
    """
    should: dict[str, bytes] = {}
    by_rule: dict[str, int] = {}
    for value in expected:
        alert = orjson.loads(value)
        if closed is None or alert["event_time"] < closed:
            should[alert["id"]] = value
            by_rule[alert["rule"]] = by_rule.get(alert["rule"], 0) + 1
    have = {
        alert_id: value
        for alert_id, value in received.by_id.items()
        if closed is None or orjson.loads(value)["event_time"] < closed
    }
    different = {i for i in should.keys() & have.keys() if not _equal(should[i], have[i])}
    return Comparison(
        expected=len(should),
        received=len(have),
        repeated=received.repeated,
        missing=sorted(should.keys() - have.keys()),
        invented=sorted(have.keys() - should.keys()),
        different=sorted(different | received.contradicted),
        by_rule=dict(sorted(by_rule.items())),
    )


def _equal(one: bytes, other: bytes) -> bool:
    return one == other or bool(orjson.loads(one) == orjson.loads(other))
