"""Alive and ready mean something: each condition is broken on purpose, and it alone says so."""

import asyncio
import math
import time
from types import SimpleNamespace

import pytest

from streams.agents.stats import AgentStats
from streams.agents.vitals import Vitals
from streams.readiness import LOOP_DELAY_LIMIT_S, ReadyLimits, alive, is_ready, ready
from streams.web.health import health_routes
from streams.web.server import USER


class Agent:
    """Of a worker; ``failed`` as a running one has it."""

    def __init__(self, name="risk", reason=None):
        self.name, self.failed = name, SimpleNamespace(done=lambda: False)
        if reason is not None:
            self.unready = lambda: reason


def well():
    """A worker that has everything."""
    stats = AgentStats(state="ready", lag={"orders/0": 10}, snapshot_age_s={0: 0.5}, lookups={"list x": "1"})
    return Vitals("m1cep", {"risk": stats}, [Agent()], broker_s=time.monotonic())


def failed(checks):
    return [check.name for check in checks if not check.ok]


def test_a_worker_that_has_everything_is_alive_and_ready():
    assert failed(alive(well())) == failed(ready(well(), ReadyLimits())) == []
    assert is_ready(well(), ReadyLimits())


def _fail(vitals):
    vitals.running[0].failed = SimpleNamespace(done=lambda: True)


def _block(vitals):
    vitals._beat_s = time.monotonic() - LOOP_DELAY_LIMIT_S - 1


@pytest.mark.parametrize(("hurt", "says"), [(_fail, "agents"), (_block, "event_loop")])
def test_dead(hurt, says):
    vitals = well()
    hurt(vitals)
    assert failed(alive(vitals)) == [says]
    assert says in failed(ready(vitals, ReadyLimits()))


def test_an_agent_that_says_it_has_failed_is_dead():
    vitals = well()
    vitals.stats["risk"].state = "failed"
    assert failed(alive(vitals)) == ["agents"]
    assert failed(ready(vitals, ReadyLimits())) == ["agents", "risk.state"]


def test_an_event_loop_that_was_blocked_is_remembered_for_a_while():
    async def run():
        vitals = well()
        beating = asyncio.create_task(vitals.beat())
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 - what a rule that hangs does
        await asyncio.sleep(0.3)
        beating.cancel()
        return vitals.loop_delay_s()

    assert asyncio.run(run()) >= 0.3


def _broker_silent(vitals):
    vitals.broker_s = time.monotonic() - 6


def _broker_never(vitals):
    vitals.broker_s = None


def _set(**values):
    def hurt(vitals):
        for name, value in values.items():
            setattr(vitals.stats["risk"], name, value)

    return hurt


@pytest.mark.parametrize(
    ("hurt", "says"),
    [
        (_broker_silent, "broker"),
        (_broker_never, "broker"),
        (_set(state="starting"), "risk.state"),
        (_set(state="rebalancing"), "risk.state"),
        (_set(lag={"orders/0": 60_000, "orders/1": 40_001}), "risk.lag"),
        (_set(snapshot_age_s={0: 0.0, 1: 60.1}), "risk.snapshot"),
        (_set(lookups_current=False), "risk.cache"),
        (_set(replica_lag_s=10.1), "risk.replica"),
        (_set(replica_lag_s=math.inf), "risk.replica"),
        (lambda vitals: vitals.running.append(Agent("pretrade", "the feed is too old")), "pretrade.answers"),
    ],
)
def test_not_ready(hurt, says):
    vitals = well()
    hurt(vitals)
    assert failed(ready(vitals, ReadyLimits())) == [says]
    assert failed(alive(vitals)) == []


def test_limits_are_those_of_the_user():
    vitals = well()
    assert failed(ready(vitals, ReadyLimits(lag_events=9, snapshot_age_s=0.4))) == ["risk.lag", "risk.snapshot"]


def asked(vitals, path, user):
    handlers = {route.path: route.handler for route in health_routes(vitals, ReadyLimits())}
    return asyncio.run(handlers[path]({USER: user} if user else {}))


def test_probes_say_503_and_which_check_and_figures_only_to_who_may_know():
    vitals = well()
    vitals.stats["risk"].lag = {"orders/0": 250_000}
    stranger, known = asked(vitals, "/readyz", None), asked(vitals, "/readyz", "ali")
    assert (stranger.status, known.status, asked(vitals, "/healthz", None).status) == (503, 503, 200)
    assert stranger.text == '{"ready":false,"failed":["risk.lag"]}'
    assert '{"name":"risk.lag","ok":false,"value":250000,"limit":100000,"unit":"events"}' in known.text
