"""What the rules of a partition have done, added to the agent's counters: often what is cheap, seldom what is not.

How many matches are open is counted by looking at every key: with a hundred thousand of them that takes longer than may be taken
between two batches each second. So rules are asked one after the other, and together no more than a two-hundredth of the time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep import Engine
    from m1cep.engine import Usage
    from streams.agents.stats import RuleStats

#: Of a worker's time, what counting may take; and how much of it may be put by.
_SHARE = 1 / 200
_MOST_CREDIT_S = 0.005
#: One batch in so many is timed.
_TIMED_EVERY = 16


class RuleTally:
    """Counts of the rules of one partition.

    Args:
        engine: that runs them. What it has done before is not counted.
        clock_s: monotonic.
    """

    def __init__(self, engine: Engine, clock_s: Callable[[], float] = time.perf_counter) -> None:
        self._engine, self._clock_s = engine, clock_s
        self._before: dict[str, Usage] = {usage.rule: usage for usage in engine.usage()}
        self._suppressed = {rule: counts.get("suppressed", 0) for rule, counts in engine.counters().items()}
        self._cost_ns: dict[str, float] = {}  # of a row
        self._standing: dict[str, tuple[int, int]] = {}  # open, keys
        self._to_ask: list[str] = []
        self._credit_s, self._asked_s = _MOST_CREDIT_S, clock_s()
        self._batches = 0

    def time_batch(self) -> None:
        """Another batch comes: let the engine time it, or not; those at the beginning until something is known."""
        due = not self._cost_ns or self._batches % _TIMED_EVERY == 0
        self._engine.clock_ns = time.thread_time_ns if due else None
        self._batches += 1

    def add_to(self, rules: Mapping[str, RuleStats]) -> None:
        """Add what has been done since the last call, and what is open now, or was when it was asked last."""
        for usage in self._engine.usage():
            stats, before = rules.get(usage.rule), self._before.get(usage.rule)
            self._before[usage.rule] = usage
            if stats is None:
                continue
            if before is None or usage.alerts < before.alerts or usage.timed_rows < before.timed_rows:
                before = usage._replace(alerts=0, timed_ns=0, timed_rows=0)  # the rule has begun anew
            events, alerts = max(0, usage.events - before.events), usage.alerts - before.alerts
            if rows := usage.timed_rows - before.timed_rows:
                self._cost_ns[usage.rule] = (usage.timed_ns - before.timed_ns) / rows
            stats.events += events
            stats.alerts += alerts
            stats.matches += alerts
            stats.busy_us += events * self._cost_ns.get(usage.rule, 0.0) / 1000
        self._ask(rules)
        for rule, (open_, keys) in self._standing.items():
            if rule in rules:
                rules[rule].open += open_
                rules[rule].keys += keys

    def _ask(self, rules: Mapping[str, RuleStats]) -> None:
        now_s = self._clock_s()
        self._credit_s = min(_MOST_CREDIT_S, self._credit_s + (now_s - self._asked_s) * _SHARE)
        self._asked_s = now_s
        self._to_ask = self._to_ask or list(rules)
        while self._credit_s > 0 and self._to_ask:
            rule = self._to_ask.pop()
            counts = self._engine.counters_of(rule)
            if counts is not None:
                suppressed = counts.get("suppressed", 0)
                rules[rule].matches += max(0, suppressed - self._suppressed.get(rule, 0))
                self._suppressed[rule] = suppressed
                open_ = counts.get("open", counts.get("waiting", counts.get("groups", 0)))
                self._standing[rule] = open_, counts.get("keys", counts.get("groups", 0))
            self._credit_s -= (after_s := self._clock_s()) - now_s
            now_s = after_s
