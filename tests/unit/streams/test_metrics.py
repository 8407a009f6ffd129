"""What a worker counts: of rules, of alerts on their way, for Prometheus and the status topic; and the document of it."""

import asyncio
import importlib
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from aiokafka.errors import KafkaTimeoutError
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import m1cep
from m1cep import Engine, compile_rule, parse_streams
from streams.agents.arrivals import Arrivals
from streams.agents.figures import Histogram, Latency
from streams.agents.measures import alerts_left, measure_event_time
from streams.agents.stats import AgentStats, RuleStats
from streams.agents.tally import RuleTally
from streams.agents.vitals import Vitals
from streams.codec import STATUS
from streams.readiness import ReadyLimits
from streams.status import StatusWriter, newest, status_of
from streams.web.metrics import WorkerCollector

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
STREAMS = m1cep.parse_streams("""CREATE TABLE pay (event_id STRING, account STRING, qty DOUBLE, ts TIMESTAMP(3),
    WATERMARK FOR ts AS ts) PARTITIONED BY (account) WITH ('topic' = 'pay.v1')""")
BIG = m1cep.compile_rule("/*\nid: big\nsuppress: 1 h\n*/\nSELECT account, qty FROM pay WHERE qty > 5", STREAMS)
PAIR = m1cep.compile_rule(
    """SELECT * FROM pay MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES LAST(B.qty) AS q ONE ROW PER MATCH
    AFTER MATCH SKIP PAST LAST ROW PATTERN (A B) WITHIN INTERVAL '1' HOUR DEFINE A AS A.qty > 5, B AS B.qty < 1)""",
    STREAMS,
    "pair",
)
RULES = [BIG, PAIR]


def pay(n, account="a", qty=10.0):
    return {"event_id": f"e{n}", "account": account, "qty": qty, "ts": n}


def fresh():
    return {rule.id: RuleStats(rule.id, rule.version, rule.severity) for rule in RULES}


class TestTally:
    def test_counts_what_was_done_since_it_looked_last(self):
        engine, stats = m1cep.Engine(RULES), fresh()
        tally = RuleTally(engine)
        engine.push("pay", [pay(1), pay(2), pay(3, "b")])
        tally.add_to(stats)
        engine.push("pay", [pay(4, "c"), pay(5, "c", 0.5)])
        stats["big"].open = stats["big"].keys = stats["pair"].open = stats["pair"].keys = 0
        tally.add_to(stats)
        big, pair = stats["big"], stats["pair"]
        assert (big.events, big.alerts, big.matches) == (5, 3, 4)  # one is suppressed
        assert (pair.events, pair.alerts, pair.matches) == (5, 1, 1)
        assert (pair.open, pair.keys) == (engine.counters()["pair"]["open"], engine.counters()["pair"]["keys"])
        assert pair.open >= 2

    def test_what_a_snapshot_brings_along_was_done_by_others(self):
        engine, stats = m1cep.Engine(RULES), fresh()
        engine.push("pay", [pay(1), pay(2), pay(3, "b")])
        again = m1cep.Engine.restore(RULES, engine.snapshot())
        tally = RuleTally(again)
        again.push("pay", [pay(4, "d")])
        tally.add_to(stats)
        assert (stats["big"].events, stats["big"].alerts, stats["big"].matches) == (1, 1, 1)

    def test_a_rule_that_takes_time_is_charged_for_it(self):
        engine, stats = m1cep.Engine(RULES), fresh()
        tally, ticks = RuleTally(engine), iter(range(0, 1000, 10))
        tally.time_batch()
        assert engine.clock_ns is not None
        engine.clock_ns = lambda: next(ticks)  # ten ns for each rule and batch
        engine.push("pay", [pay(1), pay(2)])
        engine.clock_ns = None
        for n in (3, 5, 7):
            engine.push("pay", [pay(n), pay(n + 1)])
        tally.add_to(stats)
        assert stats["big"].busy_us == pytest.approx(8 * 5 / 1000)  # of eight events, though two were timed

    def test_one_batch_in_sixteen_is_timed(self):
        engine, timed = m1cep.Engine(RULES), []
        tally = RuleTally(engine)
        for n in range(64):
            tally.time_batch()
            timed.append(engine.clock_ns is not None)
            engine.push("pay", [pay(n)])
            if n == 20:
                tally.add_to(fresh())
        assert timed[:21] == [True] * 21  # nothing is known of the rules yet
        assert sum(timed[21:]) == 2

    def test_asking_rules_that_remember_much_takes_a_two_hundredth_of_the_time(self):
        class Slow(m1cep.Engine):
            asked = 0

            def counters_of(self, rule):
                nonlocal now_s
                self.asked += 1
                now_s += 0.1  # as a rule with a million keys
                return super().counters_of(rule)

        now_s = 0.0
        engine, stats = Slow(RULES), fresh()
        tally = RuleTally(engine, lambda: now_s)
        for _ in range(400):
            now_s += 1
            tally.add_to(stats)
        assert 2 <= engine.asked * 0.1 <= 400 * 1.1 / 200 + 0.1


class TestArrivals:
    """event time     100 ── first batch ── 200 ── second ── 300
    records at           1000 .. 1000          1100 .. 1200
    """

    @pytest.fixture
    def arrivals(self):
        arrivals = Arrivals()
        arrivals.saw(100, 900, 900)
        arrivals.saw(200, 1000, 1000)
        arrivals.saw(300, 1100, 1200)
        return arrivals

    @pytest.mark.parametrize(("event_us", "at_ms"), [(300, 1200), (250, 1150), (201, 1101), (200, 1000), (150, 1000)])
    def test_an_event_came_with_the_batch_that_brought_its_time(self, arrivals, event_us, at_ms):
        assert arrivals.of(event_us) == at_ms

    def test_what_no_batch_has_brought_has_no_arrival(self, arrivals):
        assert arrivals.of(301) is None
        assert Arrivals().of(1) is None

    def test_a_batch_that_moves_no_time_on_brings_nothing(self, arrivals):
        arrivals.saw(300, 5000, 5000)
        assert arrivals.of(300) == 1200


class TestLatency:
    def test_is_of_alerts_that_the_broker_took(self):
        latency = Latency()

        async def run():
            loop = asyncio.get_running_loop()
            taken, refused, cancelled = (loop.create_future() for _ in range(3))
            taken.set_result(None)
            refused.set_exception(RuntimeError())
            cancelled.cancel()
            for sent in (taken, refused, cancelled):
                alerts_left(latency, [0, 0], sent)

        asyncio.run(run())
        assert latency.count == 2

    def test_quantiles_are_of_the_last_seconds(self, monkeypatch):
        latency, now_s = Latency(), 100.0
        monkeypatch.setattr("streams.agents.figures.time.monotonic", lambda: now_s)
        latency.observe(9.0)
        now_s = 111.0
        for n in range(1, 101):
            latency.observe(n / 1000)
        assert latency.recent_ms() == {"p50": 51.0, "p99": 99.0, "count": 100}
        now_s = 122.0
        assert latency.recent_ms() is None
        assert latency.count == 101

    def test_buckets_are_cumulative_and_bounds_inclusive(self):
        histogram = Histogram((1, 2))
        for value in (0.5, 1, 1.5, 3):
            histogram.observe(value)
        assert histogram.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]


def everything():
    """Counters of which none is empty."""
    stats = AgentStats(state="ready", dead_letters=3, batch_size=7, held_back=["a/1"], lookups={"list x": "1"})
    stats.events["a"], stats.alerts["big"], stats.answers["ALLOW"], stats.duplicates["a"] = 1, 2, 3, 4
    stats.late["a", "idle"], stats.dead_by_topic["a"], stats.lost["a"] = 5, 2, 6
    stats.lag, stats.watermark_lag_ms = {"a.b/c/1": 6}, {"a.b/c/1": 1500}
    stats.watermark_behind_ms, stats.event_time_ms = {"a.b/c/1": 400, "d/1": 250}, {1: 70_500}
    stats.snapshot_bytes, stats.snapshot_age_s = {0: 7}, {0: 8.5}
    stats.rules["big"] = RuleStats("big", "1", "high", events=9, matches=8, alerts=7, open=6, keys=5, busy_us=4e6)
    stats.postings = Counter(posted=1)
    summary = {"state": "running", "generations": 2, "orders": 3, "fills": 4, "grid_profit": "1.5"}
    stats.grids["g"] = summary | {"floating_pnl": "-0.5", "unexplained": "0"}
    stats.forgotten_symbols = 4
    stats.open_alerts, stats.oldest_alert_ms = 5, 1_000
    stats.latency.observe(0.02)
    return Vitals("m1cep", {"risk": stats}, broker_s=0.0)


class _Copies:
    hits, misses, invalidations, connections = 3, 1, 2, 1


def scraped(vitals):
    registry = CollectorRegistry()
    registry.register(WorkerCollector(vitals, ReadyLimits()))
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


def test_values_are_in_base_units_and_under_their_labels():
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in scraped(everything())
        for sample in family.samples
    }
    risk = ("agent", "risk")
    assert found["m1cep_watermark_lag_seconds", risk, ("partition", "1"), ("topic", "a.b/c")] == 1.5
    assert found["m1cep_watermark_behind_newest_seconds", risk, ("partition", "1"), ("topic", "d")] == 0.25
    assert found["m1cep_event_time_seconds", risk, ("partition", "1")] == 70.5
    assert found["m1cep_rule_busy_seconds_total", risk, ("rule", "big")] == 4.0
    assert found["m1cep_dead_letters_total", risk, ("topic", "a")] == 2
    assert found["m1cep_dead_letters_total", risk, ("topic", "")] == 1
    assert found["m1cep_lost_records_total", risk, ("topic", "a")] == 6
    assert found["m1cep_pretrade_forgotten_symbols_total", risk] == 4
    assert found["m1cep_custody_open_alerts", risk] == 5
    assert found["m1cep_custody_oldest_alert_age_seconds", risk] > 10**9
    assert found["m1cep_grid_profit", risk, ("grid", "g")] == 1.5
    assert found["m1cep_alert_latency_seconds_bucket", risk, ("le", "0.025")] == 1
    assert found["m1cep_alert_latency_seconds_sum", risk] == 0.02
    assert found["m1cep_worker_check", ("check", "risk.state")] == 1
    assert found["m1cep_worker_ready",] == 0  # the broker has not answered for long


def documented():
    """Labels by metric of the table in docs/metrics.md."""
    rows = re.findall(r"^\| `(m1cep_\w+)` \| (\w+) \| ([^|]*) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_document_names_every_metric_with_its_kind_and_labels_and_no_other():
    for module in ("agents.librarian", "database.replica", "custody.counting"):
        importlib.import_module(f"streams.{module}")
    vitals = everything()
    vitals.copies = _Copies()
    mine = {family.name: family for family in scraped(vitals)}
    for family in REGISTRY.collect():
        if family.name.startswith("m1cep_"):
            mine[family.name] = family
    found = {}
    for name, family in mine.items():
        counts = family.type == "counter"
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name + "_total" * counts] = (family.type, frozenset(labels))
    told = documented()
    assert found.keys() == told.keys()
    silent = {name for name, family in mine.items() if not family.samples}  # such of modules as have labels
    for name, (kind, labels) in found.items():
        assert told[name][0] == kind, name
        assert told[name][1] == labels or name.removesuffix("_total") in silent, name


def test_event_time_is_told_of_a_replay_too_and_how_far_rules_are_behind_it():
    streams = parse_streams(
        "CREATE TABLE t (a STRING, q DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) "
        "PARTITIONED BY (a) WITH ('topic' = 't.v1')"
    )
    engine, stats = Engine([compile_rule("SELECT a FROM t WHERE q > 5", streams)]), AgentStats()
    measure_event_time(engine, {"t.v1": ["t"]}, 3, stats, live=False)
    assert (stats.event_time_ms, stats.watermark_behind_ms) == ({}, {})
    engine.push("t", [{"a": "x", "q": 1, "ts": 10_000}])
    measure_event_time(engine, {"t.v1": ["t"]}, 3, stats, live=False)
    assert (stats.event_time_ms, stats.watermark_behind_ms) == ({3: 10_000}, {"t.v1/3": 2_000})
    assert stats.watermark_lag_ms == {}  # the clock has nothing to say of what was long ago
    measure_event_time(engine, {"t.v1": ["t"]}, 3, stats, live=True)
    assert stats.watermark_lag_ms["t.v1/3"] > 10**12


class TestStatus:
    def test_a_record_has_what_the_document_says(self):
        record = orjson.loads(orjson.dumps(status_of(everything(), ready=True, events_per_s=12.34, now_ms=5)))
        section = DOCUMENT.read_text().partition("## The status topic")[2]
        fields = {name for row in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE) for name in row.split("`")[1::2]}
        assert record.keys() == fields
        assert (record["events_per_s"], record["time_ms"], record["watermark_lag_ms"]) == (12.3, 5, {"a.b/c/1": 1500})
        assert record["event_time"] == {"newest_ms": 70_500, "behind_ms": 400}
        assert record["alert_latency_ms"] == {"p50": 20.0, "p99": 20.0, "count": 1}
        (rule,) = record["rules"]
        assert {"id": "big", "mode": "active", "busy_us": 4_000_000, "reason": None}.items() <= rule.items()

    def test_a_writer_bears_a_silent_broker_and_says_at_the_end_that_it_is_gone(self):
        class Outbox:
            there, answers, sent = {}, True, ()

            async def look(self, topics):
                return SimpleNamespace(partitions={topic: 1 for topic in topics if topic in self.there})

            async def send(self, message):
                if not self.answers:
                    raise KafkaTimeoutError
                self.sent = (*self.sent, message)
                done = asyncio.get_running_loop().create_future()
                done.set_result(None)
                return done

        async def run():
            outbox = Outbox()
            writer = StatusWriter(everything(), lambda: True, outbox)
            pauses = [await writer._tell()]  # there is no such topic
            await writer.end()
            outbox.there = {STATUS: 1}
            for outbox.answers in (True, False, True):
                pauses.append(await writer._tell())
            await writer.end()
            return pauses, outbox.sent

        pauses, sent = asyncio.run(run())
        assert pauses == [30.0, 1.0, 1.0, 1.0]
        assert [message.value is None for message in sent] == [False, False, True]
        assert len({message.key for message in sent}) == 1

    def test_the_last_record_of_a_worker_counts_and_one_that_ended_is_gone(self):
        def of(worker, time_ms):
            return worker.encode(), orjson.dumps({"worker": worker, "time_ms": time_ms})

        records = [of("b", 1_000), of("a", 90_000), of("c", 95_000), (b"c", None), of("b", 99_000)]
        found = [(one["worker"], one["age_ms"], one["alive"]) for one in newest(records, 100_500)]
        assert found == [("a", 10_500, False), ("b", 1_500, True)]
