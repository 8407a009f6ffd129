"""How everything goes: workers by what they say of themselves, figures over time, alerts by rule."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import msgspec

from streams.web.dashboard.columns import Columns

HISTORY_S = 900
BUCKET_S, BUCKETS = 10, 360
MOST_WORKERS = 200
MOST_RULES = 200
#: Who has been silent for so long does not count in the figures; and is forgotten.
SILENT_MS, FORGOTTEN_MS = 5_000, 300_000
_MINUTE_MS = 60_000
_FIGURES = (
    "events_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "watermark_lag_ms",
    "watermark_behind_ms",
    "consumer_lag",
)


class _Latency(msgspec.Struct):
    p50: float
    p99: float
    count: int = 1


class _EventTime(msgspec.Struct):
    newest_ms: int
    behind_ms: int


class _Agent(msgspec.Struct):
    state: str | None = None
    lag_total: int = 0
    dead_letters: int = 0
    late: int = 0


class RuleStatus(msgspec.Struct):
    """A rule as a worker tells it; counters since the worker's start."""

    id: str
    version: str | None = None
    severity: str | None = None
    mode: str = "active"
    events: int | None = 0
    matches: int | None = 0
    alerts: int | None = 0
    open: int | None = 0
    busy_us: float | None = 0
    reason: str | None = None


class WorkerStatus(msgspec.Struct):
    """A worker's record (docs/metrics.md), as far as it is shown.

    Attributes:
        heard_ms: time stamp of the record.
    """

    agents: dict[str, _Agent]
    worker: str = ""
    host: str | None = None
    pid: int | None = None
    started_ms: int | None = None
    ready: bool = False
    events_per_s: float = 0.0
    rules: list[RuleStatus] = []
    watermark_lag_ms: dict[str, float | None] | None = None
    event_time: _EventTime | None = None
    alert_latency_ms: _Latency | None = None
    web: str | None = None
    heard_ms: int = 0


_parse = msgspec.json.Decoder(WorkerStatus).decode


class Overview:
    """Figures of now and of the last quarter of an hour; alerts by rule of the last hour."""

    def __init__(self) -> None:
        self.workers: dict[str, WorkerStatus] = {}
        self._history = Columns("t_s", *_FIGURES, most=HISTORY_S)
        self._buckets: dict[int, Counter[str]] = {}
        self._recent: deque[int] = deque(maxlen=100_000)

    def status(self, key: bytes | None, value: bytes | None, time_ms: int) -> None:
        """A record of m1cep.status.v1.

        Args:
            key: the worker's name.
            value: what it says; None: it has ended.
            time_ms: time stamp of the record.
        """
        name = (key or b"").decode(errors="replace")
        if value is None:
            self.workers.pop(name, None)
            return
        try:
            said = _parse(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # what does not fit could not be shown
        if name in self.workers or len(self.workers) < MOST_WORKERS:
            said.worker, said.heard_ms = name, time_ms
            self.workers[name] = said

    def alert(self, rule: str, received_ms: int) -> None:
        """An alert was raised."""
        self._recent.append(received_ms)
        bucket = received_ms // 1000 // BUCKET_S
        counts = self._buckets.setdefault(bucket, Counter())
        counts[rule if rule in counts or len(counts) < MOST_RULES else "others"] += 1
        while len(self._buckets) > BUCKETS:
            del self._buckets[min(self._buckets)]

    def tick(self, now_ms: int) -> None:
        """A second has passed: note the figures, forget who is gone."""
        for name in [n for n, w in self.workers.items() if now_ms - w.heard_ms > FORGOTTEN_MS]:
            del self.workers[name]
        now = self._now(now_ms)
        self._history.add(now_ms // 1000, *(now[name] for name in _FIGURES))

    def plain(self, now_ms: int) -> dict[str, Any]:
        """The document ``overview``."""
        return {
            "time_ms": now_ms,
            "workers": [_worker(one, now_ms) for _, one in sorted(self.workers.items())],
            "now": self._now(now_ms),
            "history": self._history.plain(),
            "alerts_by_rule": self._by_rule(now_ms),
        }

    def alerts_per_hour(self, rule: str, now_ms: int) -> int:
        """Alerts of a rule in the last hour."""
        first = now_ms // 1000 // BUCKET_S - BUCKETS
        return sum(counts[rule] for bucket, counts in self._buckets.items() if bucket > first)

    def _now(self, now_ms: int) -> dict[str, Any]:
        here = [one for one in self.workers.values() if now_ms - one.heard_ms <= SILENT_MS]
        judging = [one for one in here if "risk" in one.agents]  # others read the same events once more
        agents = [agent for one in here for agent in one.agents.values()]
        latencies = [one.alert_latency_ms for one in here if one.alert_latency_ms is not None]
        weights = sum(one.count for one in latencies)
        times = [one.event_time for one in here if one.event_time is not None]
        lags = [ms for one in here for ms in (one.watermark_lag_ms or {}).values() if ms is not None]
        return {
            "events_per_s": round(sum(one.events_per_s for one in judging), 1),
            "alerts_per_min": sum(1 for ms in self._recent if ms > now_ms - _MINUTE_MS),
            # Of several workers: the mean of the medians by the number of their alerts, and the worst of the worst.
            "latency_p50_ms": round(sum(one.p50 * one.count for one in latencies) / weights, 1) if weights else None,
            "latency_p99_ms": max((one.p99 for one in latencies), default=None),
            "watermark_lag_ms": max(lags, default=None),
            "watermark_behind_ms": max((one.behind_ms for one in times), default=None),
            "event_time_ms": max((one.newest_ms for one in times), default=None),
            "consumer_lag": sum(agent.lag_total for agent in agents),
            "dead_letters": sum(agent.dead_letters for agent in agents),
            "late": sum(agent.late for agent in agents),
        }

    def _by_rule(self, now_ms: int) -> dict[str, Any]:
        last = now_ms // 1000 // BUCKET_S
        buckets = list(range(last - BUCKETS + 1, last + 1))
        known = [self._buckets.get(b, Counter()) for b in buckets]
        rules = sorted({rule for counts in known for rule in counts})
        begin = next((n for n, counts in enumerate(known) if counts), len(buckets) - 1)  # nothing was before
        return {
            "t_s": [b * BUCKET_S for b in buckets[begin:]],
            "rules": {rule: [counts[rule] for counts in known[begin:]] for rule in rules},
        }


def _worker(one: WorkerStatus, now_ms: int) -> dict[str, Any]:
    return {
        "worker": one.worker,
        "host": one.host,
        "pid": one.pid,
        "agents": sorted(one.agents),
        "ready": one.ready,
        "states": {name: agent.state for name, agent in one.agents.items()},
        "events_per_s": one.events_per_s,
        "lag": sum(agent.lag_total for agent in one.agents.values()),
        "started_ms": one.started_ms,
        "age_ms": max(0, now_ms - one.heard_ms),
        "web": one.web,
    }
