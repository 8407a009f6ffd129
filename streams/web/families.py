"""The metrics of agents: names by Prometheus' conventions, and where in the counters each is found.

``docs/metrics.md`` is this table in words; a test keeps them together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.agents.figures import Histogram
    from streams.agents.stats import AgentStats, RuleStats

    Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True)
class Family:
    """A metric with one value for each of its labels.

    Attributes:
        name: without ``_total``, which is added to that of a counter.
        kind: counter or gauge.
        about: help text.
        labels: beside ``agent``, which comes first.
        of: the values, by those labels.
    """

    name: str
    kind: str
    about: str
    labels: tuple[str, ...]
    of: Callable[[AgentStats], Samples]


@dataclass(frozen=True)
class Distribution:
    """A metric that is a histogram, with the label ``agent`` alone."""

    name: str
    about: str
    of: Callable[[AgentStats], Histogram]


def _one(read: Callable[[AgentStats], float]) -> Callable[[AgentStats], Samples]:
    return lambda stats: [((), float(read(stats)))]


def _by(read: Callable[[AgentStats], Mapping[Any, float]]) -> Callable[[AgentStats], Samples]:
    return lambda stats: [((str(label),), float(value)) for label, value in read(stats).items()]


def _by_partition(
    read: Callable[[AgentStats], Mapping[str, float]], scale: float = 1.0
) -> Callable[[AgentStats], Samples]:
    """Of topic/partition."""
    return lambda stats: [((*tp.rsplit("/", 1),), value * scale) for tp, value in read(stats).items()]


def _by_rule(read: Callable[[RuleStats], float]) -> Callable[[AgentStats], Samples]:
    return lambda stats: [((rule.id,), float(read(rule))) for rule in stats.rules.values()]


def _by_grid(name: str) -> Callable[[AgentStats], Samples]:
    return lambda stats: [((grid,), float(summary[name])) for grid, summary in stats.grids.items()]


def _dead(stats: AgentStats) -> Samples:
    for topic, count in stats.dead_by_topic.items():
        yield (topic,), count
    if rest := stats.dead_letters - stats.dead_by_topic.total():
        yield ("",), rest


def _late(stats: AgentStats) -> Samples:
    return [((topic, reason), count) for (topic, reason), count in stats.late.items()]


def _deliveries(stats: AgentStats) -> Samples:
    return [(label, count) for label, count in stats.deliveries.items()]


def _modes(stats: AgentStats) -> Samples:
    return [((rule.id, rule.version, rule.severity, rule.mode), 1.0) for rule in stats.rules.values()]


def _grid_states(stats: AgentStats) -> Samples:
    return [((grid, str(summary["state"])), 1.0) for grid, summary in stats.grids.items()]


def _open_alerts(stats: AgentStats) -> Samples:
    return [] if stats.open_alerts is None else [((), float(stats.open_alerts))]


def _oldest_alert(stats: AgentStats) -> Samples:
    if stats.open_alerts is None:
        return []
    return [((), 0.0 if stats.oldest_alert_ms is None else max(0.0, time.time() - stats.oldest_alert_ms / 1000))]


_TP = ("topic", "partition")

FAMILIES = (
    Family("m1cep_agent_ready", "gauge", "1 while the agent has its partitions and their state.", (),
           _one(lambda s: s.state == "ready")),
    Family("m1cep_events", "counter", "Events taken, without dead letters.", ("topic",), _by(lambda s: s.events)),
    Family("m1cep_records", "counter", "Records read.", (), _one(lambda s: s.records)),
    Family("m1cep_batch_limit_records", "gauge", "Most records that are read at once now.", (), _one(lambda s: s.batch_size)),
    Family("m1cep_busy_seconds", "counter", "Time spent in decoding and rules.", (), _one(lambda s: s.busy_s)),
    Family("m1cep_dead_letters", "counter", "Records that could not be read, by their topic where it is known.",
           ("topic",), _dead),
    Family("m1cep_late_events", "counter", "Events behind the watermark, by reason: late, idle, silence.",
           ("topic", "reason"), _late),
    Family("m1cep_duplicate_events", "counter", "Repetitions of events that were dropped.", ("topic",),
           _by(lambda s: s.duplicates)),
    Family("m1cep_lost_records", "counter", "Offsets that retention deleted before they were read.", ("topic",),
           _by(lambda s: dict.fromkeys(s.events, 0) | s.lost)),
    Family("m1cep_alerts", "counter", "Alerts acknowledged by the broker or on their way.", ("rule",), _by(lambda s: s.alerts)),
    Family("m1cep_rule_info", "gauge", "1; what the rule is now: its mode is active, shadow, quarantined or disabled.",
           ("rule", "version", "severity", "mode"), _modes),
    Family("m1cep_rule_events", "counter", "Events that the rule was given.", ("rule",), _by_rule(lambda r: r.events)),
    Family("m1cep_rule_matches", "counter", "Alerts of the rule, and matches that were suppressed.", ("rule",),
           _by_rule(lambda r: r.matches)),
    Family("m1cep_rule_open_matches", "gauge", "Matches that have begun and are not decided.", ("rule",),
           _by_rule(lambda r: r.open)),
    Family("m1cep_rule_keys", "gauge", "Keys of which the rule remembers something.", ("rule",), _by_rule(lambda r: r.keys)),
    Family("m1cep_rule_busy_seconds", "counter", "Time spent in the rule, reckoned from one batch in sixteen.", ("rule",),
           _by_rule(lambda r: r.busy_us / 1e6)),
    Family("m1cep_watermark_lag_seconds", "gauge", "How far event time is behind the clock, where events are of now.", _TP,
           _by_partition(lambda s: s.watermark_lag_ms, 0.001)),
    Family("m1cep_watermark_behind_newest_seconds", "gauge", "How far event time is behind the newest event read.", _TP,
           _by_partition(lambda s: s.watermark_behind_ms, 0.001)),
    Family("m1cep_event_time_seconds", "gauge", "The time of the newest event read, epoch.", ("partition",),
           _by(lambda s: {number: ms / 1000 for number, ms in s.event_time_ms.items()})),
    Family("m1cep_consumer_lag_records", "gauge", "Records of the partition that are not processed yet.", _TP,
           _by_partition(lambda s: s.lag)),
    Family("m1cep_held_back_partitions", "gauge", "Partitions not read now because their events wait for other topics.", (),
           _one(lambda s: len(s.held_back))),
    Family("m1cep_unacknowledged_messages", "gauge", "Messages that the broker has not acknowledged.", (),
           _one(lambda s: s.unacknowledged)),
    Family("m1cep_commits", "counter", "Commits of positions that the broker confirmed.", (), _one(lambda s: s.commits)),
    Family("m1cep_snapshots", "counter", "Snapshots saved.", (), _one(lambda s: s.snapshots)),
    Family("m1cep_snapshot_failures", "counter", "Snapshots that the store did not take.", (),
           _one(lambda s: s.snapshot_failures)),
    Family("m1cep_snapshot_bytes", "gauge", "Size of the last snapshot.", ("partition",), _by(lambda s: s.snapshot_bytes)),
    Family("m1cep_snapshot_age_seconds", "gauge", "Since when state has changed that is not saved; 0 when all is.",
           ("partition",), _by(lambda s: s.snapshot_age_s)),
    Family("m1cep_snapshot_copy_seconds", "counter", "Time in which no event was processed because state was copied.", (),
           _one(lambda s: s.snapshot_busy_s)),
    Family("m1cep_pretrade_answers", "counter", "Answers of the pre-trade check.", ("outcome",), _by(lambda s: s.answers)),
    Family("m1cep_pretrade_forgotten_symbols", "counter", "Symbols whose prices were let go of: there are too many.", (),
           _one(lambda s: s.forgotten_symbols)),
    Family("m1cep_notify_deliveries", "counter", "Alerts for targets: delivered, failed (attempts), given_up.",
           ("target", "outcome"), _deliveries),
    Family("m1cep_notify_waiting", "gauge", "Alerts that the target has not taken yet.", ("target",),
           _by(lambda s: s.undelivered)),
    Family("m1cep_custody_open_alerts", "gauge", "Alerts of all accounts that nobody has closed, by the signer's own facts.", (),
           _open_alerts),
    Family("m1cep_custody_oldest_alert_age_seconds", "gauge", "Age of the oldest of them; 0 without any.", (), _oldest_alert),
    Family("m1cep_ledger_postings", "counter", "Records for the books: posted, seen, waiting, expired, refused.", ("result",),
           _by(lambda s: s.postings)),
    Family("m1cep_grid_state", "gauge", "1 for the state that the grid is in.", ("grid", "state"), _grid_states),
    Family("m1cep_grid_generations", "gauge", "How often the grid was created and re-created.", ("grid",),
           _by_grid("generations")),
    Family("m1cep_grid_open_orders", "gauge", "Orders of the grid that are open.", ("grid",), _by_grid("orders")),
    Family("m1cep_grid_fills", "gauge", "Fills that are in the grid's books.", ("grid",), _by_grid("fills")),
    Family("m1cep_grid_profit", "gauge", "Profit of completed pairs, in the quote currency (rounded: the books are exact).",
           ("grid",), _by_grid("grid_profit")),
    Family("m1cep_grid_floating_pnl", "gauge", "Profit or loss on what is held, in the quote currency.", ("grid",),
           _by_grid("floating_pnl")),
    Family("m1cep_grid_unexplained", "gauge", "What the books cannot explain: anything but 0 is an error.", ("grid",),
           _by_grid("unexplained")),
)  # fmt: skip

DISTRIBUTIONS = (
    Distribution("m1cep_batch_records", "Records of each batch.", lambda s: s.batch_records),
    Distribution(
        "m1cep_alert_latency_seconds",
        "From the time of the record that decided an alert to the broker's acknowledgement of the alert.",
        lambda s: s.latency,
    ),
    Distribution("m1cep_snapshot_duration_seconds", "Of saving a snapshot.", lambda s: s.snapshot_s),
)
