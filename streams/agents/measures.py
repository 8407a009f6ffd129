"""What is found out about partitions about once a second, beside their work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping, Sequence

    from m1cep import Engine
    from streams.agents.figures import Latency
    from streams.agents.keeper import Owned
    from streams.agents.stats import AgentStats


def measure_partitions(owned: Mapping[int, Owned], stats: AgentStats) -> None:
    """How long state has not been saved, and what each kind of partition knows of itself."""
    now_s = time.monotonic()
    for rule in stats.rules.values():
        rule.open = rule.keys = 0
    stats.watermark_lag_ms, stats.watermark_behind_ms, stats.event_time_ms = {}, {}, {}
    stats.snapshot_age_s, stats.grids = {}, {}
    for number, one in owned.items():
        if not one.changed:
            one.saved_s = now_s
        stats.snapshot_age_s[number] = now_s - one.saved_s
        if one.partition is not None:
            one.partition.measure(number, stats)


def measure_event_time(
    engine: Engine, names: Mapping[str, Iterable[str]], number: int, stats: AgentStats, *, live: bool
) -> None:
    """Where event time stands; how far the watermark of each topic is behind it, and behind the clock.

    Args:
        engine: of the partition.
        names: of the streams of each topic.
        number: of the partition.
        stats: to add to.
        live: events are of now; else the clock has nothing to say about them.
    """
    now_us, newest_us = time.time_ns() // 1000, engine.newest_us
    if newest_us is None:
        return
    stats.event_time_ms[number] = newest_us // 1000
    for topic, streams in names.items():
        known = [at_us for name in streams if (at_us := engine.watermark_us(name)) is not None]
        if known:
            where = f"{topic}/{number}"
            stats.watermark_behind_ms[where] = max(0, newest_us - min(known)) // 1000
            if live:
                stats.watermark_lag_ms[where] = max(0, now_us - min(known)) // 1000


def alerts_left(latency: Latency, arrived_ms: Sequence[int], sent: asyncio.Future[object]) -> None:
    """The last message of a batch is done: acknowledged with it, or about then, are the batch's alerts."""
    if not sent.cancelled() and sent.exception() is None:
        now_ms = time.time() * 1000
        for at_ms in arrived_ms:
            latency.observe(max(0.0, now_ms - at_ms) / 1000)
