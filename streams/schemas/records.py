"""Records that the code writes as plain mappings, declared: for their schemas alone. Tests hold what is written against them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from m1cep.grid.machine import GridSpec  # noqa: TC001 - msgspec reads the annotations

Severity = Literal["info", "low", "medium", "high", "critical"]
Amount = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="An exact amount as text.")]
Encoding = Literal["utf-8", "base64"]


class Action(msgspec.Struct):
    """What a rule asks for beyond its alert.

    Attributes:
        id: of the alert; an action counts once.
        action: freeze_account, halt_grid or hold_withdrawal.
        account: whose; null where the rule's key has none.
        symbol: of the rule's key, or null.
        rule: id of the rule.
        event_time_ms: of the alert, in epoch milliseconds.
    """

    id: str
    action: Literal["freeze_account", "halt_grid", "hold_withdrawal"]
    account: str | int | None
    symbol: str | None
    rule: str
    severity: Severity
    event_time_ms: int


class Lift(msgspec.Struct):
    """A person takes back what an alert has brought upon an account.

    Attributes:
        id: of this word; said twice it counts once.
        lifts: id of the alert; * for those beyond the hundred that an account names.
        by: who has dealt with it.
        event_time_ms: when, in epoch milliseconds.
    """

    id: str
    action: Literal["lift"]
    account: str
    lifts: str
    by: str
    event_time_ms: int


class DeadLetter(msgspec.Struct):
    """A record that could not be read or carried out, with the reason.

    Attributes:
        topic: where the record stands.
        partition: of the record; null where the letter is about no record.
        offset: of the record.
        timestamp: of the record, in epoch milliseconds.
        key: of the record, cut after 1000 bytes.
        column: that was wrong, where one is to blame.
        reason: what was expected and what came.
        raw: the record's value, cut after 64 KiB.
        encoding: of raw: utf-8, or base64 where the value is not text.
        length: bytes of the value.
        note: that it was cut, or had no value.
    """

    topic: str
    partition: int | None
    offset: int | None
    timestamp: int | None
    key: str | None
    column: str | None
    reason: str
    raw: str | None
    encoding: Encoding | None
    length: int
    note: str | None


class Undelivered(DeadLetter):
    """An alert, or its end, that a target of the agent notify would not take; `m1cep notify` sends it again.

    Attributes:
        target: its name.
        alert: id of the alert.
        what: alert or resolved.
        event_time_ms: of the alert, in epoch milliseconds.
    """

    target: str
    alert: str
    what: Literal["alert", "resolved"]
    event_time_ms: int


class LateEvent(msgspec.Struct):
    """An event that came after the watermark had passed it.

    Attributes:
        topic: where the event stands.
        partition: of the event.
        offset: of the event.
        timestamp: of the record, in epoch milliseconds.
        key: of the record, cut after 1000 bytes.
        stream: the name of its stream.
        event_time: of the event, in the unit of its stream.
        watermark: that had passed it, in the same unit.
        reason: why it counts as late.
        raw: the record's value, cut after 64 KiB.
        encoding: of raw: utf-8, or base64 where the value is not text.
        length: bytes of the value.
        note: that it was cut.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    key: str | None
    stream: str
    event_time: int
    watermark: int
    reason: str
    raw: str | None
    encoding: Encoding | None
    length: int
    note: str | None


class GridOpenOrder(msgspec.Struct):
    """An order of a grid that may be at the venue.

    Attributes:
        ticks: its price; lots: its quantity; filled: lots that are.
    """

    id: str
    side: str
    ticks: int
    lots: int
    filled: int


class GridStatus(msgspec.Struct):
    """How a grid stands; the newest record of a grid counts.

    Attributes:
        grid: its name.
        state: waiting, running, paused, stopped and others.
        reason: of the state.
        generations: how often it was built.
        cause: of the newest generation.
        centre_ticks: around which it is built; null before the first.
        orders: that are open.
        fills: in all.
        lots: held.
        mark_ticks: price at which holdings are valued; 0 before the first trade.
        quarantined: reports that could not be true, in all.
        alerts: that halt it.
        cash: in quote.
        fees: paid, in quote.
        grid_profit: of buys and sells that belong together.
        floating_pnl: of what is held.
        equity_change: since the start.
        unexplained: equity change less profit and floating: 0, or something is wrong.
        time_ms: its clock.
        requests: ids of the newest requests that it has carried out.
        start_ticks: price at which its books begin; 0 before the first generation.
        levels: of the present generation, in ticks.
        open_orders: that may be at the venue.
        spec: what it was told to be.
    """

    grid: str
    state: str
    reason: str
    generations: int
    cause: str
    centre_ticks: int | None
    orders: int
    fills: int
    lots: int
    mark_ticks: int
    quarantined: int
    alerts: list[str]
    cash: Amount
    fees: Amount
    grid_profit: Amount
    floating_pnl: Amount
    equity_change: Amount
    unexplained: Amount
    account: str
    venue: str
    symbol: str
    time_ms: int
    requests: list[str]
    spec: GridSpec
    start_ticks: int = 0
    levels: list[int] = []
    open_orders: list[GridOpenOrder] = []


class RuleFigures(msgspec.Struct):
    """A rule in a worker. Counts are since the worker's start.

    Attributes:
        events: rows that it was given.
        matches: its alerts, and those that were suppressed.
        open: matches that have begun.
        keys: of which something is remembered.
        busy_us: time spent in it, reckoned from samples.
        reason: of a quarantine.
        since_ms: since when it is in this mode.
        origin: file or topic.
        stamp_ms: time of the record of the rules topic that says so; 0 of a file's rule.
    """

    id: str
    version: str
    severity: str
    mode: Literal["active", "shadow", "quarantined", "disabled"]
    events: int
    matches: int
    alerts: int
    open: int
    keys: int
    busy_us: int
    reason: str | None
    since_ms: int
    origin: Literal["file", "topic"] = "file"
    stamp_ms: int = 0


class Latency(msgspec.Struct):
    """From an event's record to its alert's, of the last ten seconds, in milliseconds."""

    p50: float
    p99: float
    count: int


class EventTime(msgspec.Struct):
    """The time of the newest event that was read, and how far the watermark furthest behind it is, in milliseconds."""

    newest_ms: int
    behind_ms: int


class WorkerStatus(msgspec.Struct):
    """How a worker does: a record a second, a tombstone at a clean end.

    Attributes:
        group: its consumer group.
        time_ms: of the record, in epoch milliseconds.
        agents: figures by agent.
        watermark_lag_ms: by topic/partition.
        alert_latency_ms: null without alerts.
        web: address of its web server, where it has one.
        event_time: null before the first event, and of workers without rules.
    """

    worker: str
    group: str
    host: str
    pid: int
    time_ms: int
    started_ms: int
    ready: bool
    events_per_s: float
    agents: dict[str, dict[str, Any]]
    rules: list[RuleFigures]
    watermark_lag_ms: dict[str, int]
    alert_latency_ms: Latency | None
    web: str | None
    event_time: EventTime | None = None
