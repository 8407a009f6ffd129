"""``m1cep worker``: time in silence, repetitions, topics that are ahead, a broker that stands still."""

import asyncio
import contextlib
import json
import os
import signal
import time

import pytest
from streams_harness import ALERTS, BIG, FILLS, LATE, ORDERS, START_MS, order

from streams import codec
from streams.agents.outbox import Outbox

pytestmark = pytest.mark.broker


UNANSWERED = """
SELECT account, first_id FROM orders MATCH_RECOGNIZE (
  PARTITION BY account ORDER BY ts MEASURES A.event_id AS first_id
  PATTERN (A ABSENT(B)) WITHIN INTERVAL '{within}' SECOND DEFINE A AS A.qty > 100, B AS B.action = 'cancel'
)
"""


def test_an_absence_fires_on_an_idle_topic_and_what_then_comes_too_late_is_told(kafka, rule, worker, eventually):
    running = worker(kafka, rule(UNANSWERED.format(within=1)), "--silence-ms", 400)
    now_ms = int(time.time() * 1000)
    kafka.send(ORDERS, order(0, qty=101.0, ts=now_ms), partition=0)
    eventually(lambda: running.stats["alerts"] == 1)
    kafka.send(ORDERS, order(1, ts=now_ms + 500), partition=0)  # within its lateness, had time not gone on
    eventually(lambda: running.stats["late_by_topic"] == {ORDERS: {"silence": 1}})
    assert running.end()[0] == 0
    [alert] = kafka.alerts()
    assert (alert["row"]["first_id"], alert["event_time"]) == ("o0", now_ms + 1000)
    [late] = kafka.read(LATE)
    assert json.loads(late.value)["reason"] == "silence"


def test_a_silent_partition_goes_on_with_the_others(kafka, rule, worker, eventually):
    running = worker(kafka, rule(UNANSWERED.format(within=3600)), "--silence-ms", 500)
    kafka.send(ORDERS, order(0, qty=101.0), partition=0)
    steps = iter(range(1, 10_000))

    def an_hour_has_passed_elsewhere():
        n = next(steps)
        kafka.send(ORDERS, order(n, account="acc-2", ts=START_MS + 10 * 60_000 * n), partition=1)
        time.sleep(0.05)
        return running.stats["alerts"] == 1

    eventually(an_hour_has_passed_elsewhere)
    assert running.end()[0] == 0
    assert [alert["row"]["first_id"] for alert in kafka.alerts()] == ["o0"]


def test_a_repetition_is_dropped_and_counted_also_after_a_restart(kafka, rule, worker, eventually):
    rules = rule(BIG)
    running = worker(kafka, rules)
    kafka.send(ORDERS, *[order(0, qty=101.0)] * 3, order(1, qty=101.0), partition=0)
    eventually(lambda: running.stats["duplicates"] == 2 and running.stats["alerts"] == 2)
    assert running.end()[0] == 0
    again = worker(kafka, rules)
    kafka.send(ORDERS, order(0, qty=101.0), order(2, qty=101.0), partition=0)
    eventually(lambda: again.stats["duplicates_by_topic"] == {ORDERS: 1} and again.stats["alerts"] == 1)
    assert again.end()[0] == 0
    assert sorted(alert["events"][0] for alert in kafka.alerts()) == ["o0", "o1", "o2"]


def test_a_topic_that_is_far_ahead_is_not_read_further_until_the_others_follow(kafka, rule, worker, eventually):
    rules = rule("SELECT o.account FROM orders o JOIN fills f ON o.account = f.account AND f.ts = o.ts")
    count = 60_000
    kafka.send(FILLS, order(0, trade_id="t0"), partition=0)
    raw = json.dumps(order(0, ts=0)).encode().replace(b'"o0"', b'"o%d"').replace(b'"ts": 0', b'"ts": %d')
    kafka.send(ORDERS, *(raw % (n, START_MS + 1000 + n) for n in range(count)), partition=0)
    running = worker(kafka, rules, "--idle-timeout-ms", 60_000, "--max-waiting", 500)
    eventually(lambda: running.stats["held_back"] == [f"{ORDERS}/0"])
    eventually(lambda: running.stats["events_by_topic"].get(FILLS) == 1)

    def stands_still():
        taken = running.stats["events_by_topic"][ORDERS]
        time.sleep(0.5)
        return running.stats["events_by_topic"][ORDERS] == taken and taken

    assert eventually(stands_still) < count * 0.8  # whatever was on its way has come
    later = [START_MS + 1000 + count // 2, START_MS + 2000 + count]
    kafka.send(FILLS, *(order(n, ts=ts, trade_id=f"t{n}") for n, ts in enumerate(later, 1)), partition=0)
    eventually(lambda: running.stats["events_by_topic"][ORDERS] == count)
    assert running.stats["held_back"] == []
    assert running.end()[0] == 0
    assert len(kafka.alerts()) == 1


def test_a_broker_that_stands_still_holds_the_outbox_within_bounds(kafka):
    async def run():
        async with Outbox({"bootstrap_servers": kafka.address}, "bounds") as outbox:
            message = codec.Message(ALERTS, b"k", b"x" * 1000, [])
            await (await outbox.send(message))
            os.kill(kafka.broker.process.pid, signal.SIGSTOP)
            sent = []
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        while len(sent) < 20_000:
                            sent.append(await outbox.send(message))
                            await asyncio.sleep(0)
            finally:
                os.kill(kafka.broker.process.pid, signal.SIGCONT)
            assert 100 < len(sent) < 1_000  # a batch on its way, and one that fills: 256 kB each
            await asyncio.gather(*sent)
            return len(sent)

    count = asyncio.run(run())
    assert len(kafka.read(ALERTS)) == count + 1
