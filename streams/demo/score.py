"""What the demo measures: alerts against planted attacks, and how long alerts took."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.demo.attacks import Planted

RULE_OF = {
    "layering": "layering",
    "wash_trade": "wash-trade",
    "account_takeover": "account-takeover",
    "withdrawal_structuring": "structuring",
}
SETTLED_MS = 10_000  # an attack counts as fed once the feed is so much later than its end


@dataclass
class Marks:
    """When events were sent: event time against wall time, both growing."""

    times_ms: list[int] = field(default_factory=list)
    walls_s: list[float] = field(default_factory=list)
    sent: int = 0
    passes: int = 0
    done: bool = False

    def add(self, mark: Any) -> None:
        """Take a line of the feeder's file."""
        if mark == "done":
            self.done = True
            return
        time_ms, wall_s, self.sent, number = mark
        self.passes = max(self.passes, number + 1)
        self.times_ms.append(time_ms)
        self.walls_s.append(wall_s)

    def sent_at_s(self, time_ms: int) -> float | None:
        """Wall time at which events of ``time_ms`` were sent (that of the mark before: a latency is never flattered)."""
        at = bisect_right(self.times_ms, time_ms) - 1
        return self.walls_s[at] if at >= 0 else None


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """p50 and p99, in the unit of the values, rounded to a tenth."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None}
    return {f"p{q}": round(ordered[min(len(ordered) - 1, len(ordered) * q // 100)], 1) for q in (50, 99)}


def planted_score(planted: Iterable[Planted], alerts: Iterable[dict[str, Any]], fed_until_ms: int) -> dict[str, Any]:
    """How many of the attacks fed were found, and alerts of their rules that no attack explains.

    Args:
        planted: all attacks of the passes.
        alerts: as JSON objects.
        fed_until_ms: event time that the feed has reached.
    """
    by_event: dict[tuple[str, str], list[int]] = {}
    for n, alert in enumerate(found := [a for a in alerts if a["rule"] in RULE_OF.values()]):
        for event in alert["events"]:
            by_event.setdefault((alert["rule"], event), []).append(n)
    explained: set[int] = set()
    complete = missed = 0
    missed_names: list[str] = []
    for attack in planted:
        rule = RULE_OF[attack.rule_family]
        hits = {n for event in attack.event_ids for n in by_event.get((rule, event), [])}
        explained |= hits
        if attack.end_ms + SETTLED_MS > fed_until_ms:
            continue
        complete += 1
        if not hits:
            missed += 1
            missed_names.append(f"{attack.rule_family} {attack.account} at {attack.start_ms}")
    return {
        "planted": complete,
        "found": complete - missed,
        "missed": missed_names,
        "unexplained": len(found) - len(explained),
    }
