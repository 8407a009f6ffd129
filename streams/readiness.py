"""Whether a worker is alive and ready, check by check, with the figures.

alive    no agent has failed, and the event loop moves          else: kill it and start it again
ready    alive, assigned and restored, the broker answers, little is left to read, state is being saved,
         the cache and the replica are as the settings ask       else: it works, but do not rely on it yet
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.agents.vitals import Vitals
    from streams.config import Settings

#: An event loop that was late by so much in the last ten seconds is as good as blocked: nothing is read or answered meanwhile.
LOOP_DELAY_LIMIT_S = 5.0


@dataclass(frozen=True)
class ReadyLimits:
    """When a worker is not ready; see the settings ``ready_...``."""

    broker_s: float = 5.0
    lag_events: int = 100_000
    snapshot_age_s: float = 60.0
    replica_lag_s: float = 10.0


def ready_limits(settings: Settings) -> ReadyLimits:
    """What the settings say."""
    return ReadyLimits(
        settings.ready_broker_s, settings.ready_lag_events, settings.ready_snapshot_age_s, settings.ready_replica_lag_s
    )


@dataclass(frozen=True)
class Check:
    """One condition.

    Attributes:
        name: of what is looked at, with the agent where it is about one.
        value: what was found; None: nothing is known.
        limit: what it may be.
        unit: of both.
    """

    name: str
    ok: bool
    value: Any
    limit: Any
    unit: str = ""


def alive(vitals: Vitals) -> list[Check]:
    """The conditions of ``/healthz``."""
    failed, delay_s = vitals.failed_agents(), vitals.loop_delay_s()
    return [
        Check("agents", not failed, failed, [], "failed"),
        Check("event_loop", delay_s <= LOOP_DELAY_LIMIT_S, round(delay_s, 3), LOOP_DELAY_LIMIT_S, "s late"),
    ]


def ready(vitals: Vitals, limits: ReadyLimits) -> list[Check]:
    """The conditions of ``/readyz``."""
    silent_s = vitals.broker_silent_s()
    checks = [*alive(vitals), _at_most("broker", silent_s, limits.broker_s, "s since its last answer")]
    checks += [
        Check(f"{agent.name}.answers", (reason := agent.unready()) is None, reason, None)
        for agent in vitals.running
        if hasattr(agent, "unready")
    ]
    for name, stats in vitals.stats.items():
        checks.append(Check(f"{name}.state", stats.state == "ready", stats.state, "ready"))
        checks.append(_at_most(f"{name}.lag", sum(stats.lag.values()), limits.lag_events, "events"))
        checks.append(_at_most(f"{name}.snapshot", stats.unsaved_s, limits.snapshot_age_s, "s since state was saved"))
        if stats.replica_lag_s is not None:
            checks.append(_at_most(f"{name}.replica", stats.replica_lag_s, limits.replica_lag_s, "s behind"))
        if stats.lookups:
            checks.append(Check(f"{name}.cache", stats.lookups_current, stats.lookups_current, True))
    return checks


def _at_most(name: str, value: float | None, limit: float, unit: str) -> Check:
    known = value is not None and math.isfinite(value)
    return Check(name, known and value <= limit, round(value, 3) if known else None, limit, unit)  # type: ignore[operator,arg-type]


def is_ready(vitals: Vitals, limits: ReadyLimits) -> bool:
    """Whether ``/readyz`` says yes."""
    return all(check.ok for check in ready(vitals, limits))
