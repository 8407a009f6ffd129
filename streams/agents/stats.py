"""What a worker counts, and the file in which it tells others."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from streams.agents.figures import RECORDS, Histogram, Latency
from streams.agents.vitals import Rate
from streams.rules.record import our_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(slots=True)
class RuleStats:
    """What a rule has done in this worker, over all its partitions.

    Attributes:
        mode: active, shadow, quarantined or disabled; ``reason``: of the quarantine; ``since_ms``: it is so.
        origin: file or topic; ``stamp_ms``: time of the record of the rules topic that says so, 0 of a file's rule.
        events: rows of its source that it was given; ``matches``: its alerts, and what was suppressed.
        open: matches that have begun and are not decided; ``keys``: of which something is remembered.
        busy_us: time spent in it, reckoned from a sample of the batches.
    """

    id: str
    version: str
    severity: str
    mode: str = "active"
    events: int = 0
    matches: int = 0
    alerts: int = 0
    open: int = 0
    keys: int = 0
    busy_us: float = 0.0
    reason: str | None = None
    origin: str = "file"
    stamp_ms: int = 0
    since_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"busy_us": round(self.busy_us)}


@dataclass(slots=True)
class AgentStats:
    """Counters of one agent since the worker started.

    Attributes:
        state: starting, ready, rebalancing, stopping, stopped or failed.
        assigned: topic/partition of what it reads.
        events: events taken, by topic; dead letters are not among them.
        alerts: alerts acknowledged or on their way, by rule.
        answers: of the pre-trade check, by outcome.
        deliveries: of the agent notify, by target and outcome: delivered, failed (attempts), given_up.
        undelivered: what waits for each of its targets.
        late: late events by topic and reason.
        duplicates: events that were seen before, by topic.
        lost: offsets that retention deleted before they were read, by topic; what stood there is not known.
        held_back: topic/partition of what is not read now because its events wait for other topics.
        batch_size: most records that are read at once now.
        busy_s: seconds spent in decoding and rules.
        commits: commits that the broker confirmed.
        snapshots: saved; ``snapshot_failures`` those that the store did not take.
        snapshot_bytes: size of the last, by partition number.
        lookups: version by name of the lists and parameters in force; ``lookups_current`` False while the cache is away.
        lookups_changes: taken over, by partition; ``lookups_refused`` those that rules could not read.
        replica_lag_s: age of the ledger's replica, of several shards the oldest; infinite (null in the file) while nobody
            answers, None (not in the file) where nobody looks.
        snapshot_busy_s: seconds in which no event was processed because state was being copied.
        snapshot_s: of copying and storing, each.
        snapshot_age_s: by partition, since when something has changed that is not saved; 0 when nothing has.
        rules: by id.
        watermark_lag_ms: by topic/partition, how far event time is behind the clock; only where events are of now.
        watermark_behind_ms: the same behind the newest event that was read in the partition, whenever events are of.
        event_time_ms: by partition, the time of that event (epoch).
        latency: of alerts, from the time of the record that decided them to the broker's acknowledgement.
        batch_records: records of each batch.
        dead_by_topic: of ``dead_letters``, those whose topic is known.
        grids: by name, as ``Grid.summary`` has it.
        postings: of the ledger, by what came of them.
        signer: its number; None: it is none.
        open_alerts: of a signer: those that nobody has closed, of all accounts; None where nobody counts.
        oldest_alert_ms: time of the oldest of them (epoch); None without any.
        forgotten_symbols: of the pre-trade check, whose prices were let go of because there are too many.
    """

    state: str = "starting"
    assigned: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    dead_letters: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    late: Counter[tuple[str, str]] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    held_back: list[str] = field(default_factory=list)
    batch_size: int = 0
    batches: int = 0
    records: int = 0
    largest_batch: int = 0
    busy_s: float = 0.0
    commits: int = 0
    committed: dict[str, int] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)
    unacknowledged: int = 0
    snapshots: int = 0
    snapshot_failures: int = 0
    snapshot_bytes: dict[int, int] = field(default_factory=dict)
    snapshot_busy_s: float = 0.0
    lookups: dict[str, str] = field(default_factory=dict)
    lookups_current: bool = True
    lookups_changes: int = 0
    lookups_refused: int = 0
    replica_lag_s: float | None = None
    snapshot_s: Histogram = field(default_factory=Histogram)
    snapshot_age_s: dict[int, float] = field(default_factory=dict)
    rules: dict[str, RuleStats] = field(default_factory=dict)
    watermark_lag_ms: dict[str, int] = field(default_factory=dict)
    watermark_behind_ms: dict[str, int] = field(default_factory=dict)
    event_time_ms: dict[int, int] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)
    batch_records: Histogram = field(default_factory=lambda: Histogram(RECORDS))
    dead_by_topic: Counter[str] = field(default_factory=Counter)
    grids: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    postings: Counter[str] = field(default_factory=Counter)
    deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)
    undelivered: dict[str, int] = field(default_factory=dict)
    signer: int | None = None
    open_alerts: int | None = None
    oldest_alert_ms: int | None = None
    forgotten_symbols: int = 0

    @property
    def unsaved_s(self) -> float:
        """The age of the oldest state that has changed and is not saved."""
        return max(self.snapshot_age_s.values(), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "state": self.state,
            "m1cep": our_version(),
            "ready": self.state == "ready",
            "assigned": self.assigned,
            "events": self.events.total(),
            "events_by_topic": dict(self.events),
            "alerts": self.alerts.total(),
            "alerts_by_rule": dict(sorted(self.alerts.items())),
            "dead_letters": self.dead_letters,
            "answers": dict(sorted(self.answers.items())),
            "deliveries": _nested(self.deliveries),
            "undelivered": self.undelivered,
            "late": self.late.total(),
            "late_by_topic": _nested(self.late),
            "duplicates": self.duplicates.total(),
            "duplicates_by_topic": dict(sorted(self.duplicates.items())),
            "lost": self.lost.total(),
            "lost_by_topic": dict(sorted(self.lost.items())),
            "held_back": self.held_back,
            "batch_size": self.batch_size,
            "batches": self.batches,
            "records": self.records,
            "records_per_batch": round(self.records / self.batches, 1) if self.batches else 0.0,
            "largest_batch": self.largest_batch,
            "busy_s": round(self.busy_s, 3),
            "commits": self.commits,
            "committed": self.committed,
            "lag": self.lag,
            "lag_total": sum(self.lag.values()),
            "unacknowledged": self.unacknowledged,
            "snapshots": self.snapshots,
            "snapshot_failures": self.snapshot_failures,
            "snapshot_bytes": sum(self.snapshot_bytes.values()),
            "snapshot_busy_s": round(self.snapshot_busy_s, 3),
            "unsaved_s": round(self.unsaved_s, 3),
            "lookups": self.lookups,
            "lookups_current": self.lookups_current,
            "lookups_changes": self.lookups_changes,
            "lookups_refused": self.lookups_refused,
            **({} if self.replica_lag_s is None else {"replica_lag_s": round(self.replica_lag_s, 3)}),
            **({} if self.open_alerts is None else self._standing()),
        }

    def _standing(self) -> dict[str, Any]:
        return {"signer": self.signer, "open_alerts": self.open_alerts, "oldest_alert_ms": self.oldest_alert_ms}


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (outer, inner), count in sorted(counts.items()):
        found.setdefault(outer, {})[inner] = count
    return found


class StatsFile:
    """Writes the counters of all agents as one JSON object, atomically, so that a reader never sees half of it.

    Args:
        path: the file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started_s = time.time()
        self._rate = Rate()

    def write(self, agents: dict[str, AgentStats], web: str | None = None) -> None:
        """Replace the file.

        Args:
            agents: counters by agent.
            web: where the worker's web server is; None: it has none.
        """
        now_s = time.time()
        events = sum(stats.events.total() for stats in agents.values())
        body = {
            "pid": os.getpid(),
            "time_s": round(now_s, 3),
            "uptime_s": round(now_s - self._started_s, 3),
            "ready": bool(agents) and all(stats.state == "ready" for stats in agents.values()),
            "events_per_s": round(self._rate.of(events, now_s), 1),
            "web": web,
            "agents": {name: stats.as_dict() for name, stats in agents.items()},
        }
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        temporary.write_bytes(orjson.dumps(body))
        temporary.replace(self._path)
