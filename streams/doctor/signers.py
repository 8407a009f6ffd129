"""The signers that run: how many alerts stand in the way of releases, by what each has told on the status topic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from streams.doctor.findings import Finding
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.config import Settings

_DAY_MS = 86_400_000
_KEPT_MS = 30 * _DAY_MS  # by the topic of alerts


def look(settings: Settings) -> Iterator[Finding]:
    """Nothing where no signer runs; what is wrong with the broker is told elsewhere."""
    from streams.status import StatusReader

    try:
        with StatusReader(settings) as reader:
            workers = reader.look()
    except ShellError:
        return
    yield from of_workers(workers, time.time_ns() // 1_000_000)


def of_workers(workers: Iterable[dict[str, Any]], now_ms: int) -> Iterator[Finding]:
    """What workers have told of open alerts.

    Args:
        workers: as ``StatusReader.look`` gives them.
        now_ms: epoch.
    """
    counts, oldest_ms = {}, now_ms
    for worker in workers:
        for agent in worker["agents"].values() if worker["alive"] else ():
            if isinstance(count := agent.get("open_alerts"), int):
                counts[f"signer {agent.get('signer')}"] = count
                oldest_ms = min(oldest_ms, agent.get("oldest_alert_ms") or now_ms)
    if not counts:
        return
    text = ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items()))
    if any(counts.values()):
        text += f"; the oldest is {(now_ms - oldest_ms) / _DAY_MS:.1f} days old"
    if now_ms - oldest_ms > _KEPT_MS:
        remedy = "older than the topic of alerts: `m1cep custody alerts` lists them, docs/alerts.md closes them"
        yield Finding("custody", "open alerts", "warn", text, remedy)
    else:
        yield Finding("custody", "open alerts", "ok", text)
