"""Why a rule did not fire: the condition, the event, the values."""

import json
from pathlib import Path

import pytest

import m1cep
from m1cep.whynot import Inquiry
from m1cep.whynot.attempts import Budget
from m1cep.whynot.wording import Wording
from streams.files import load_rules, load_streams
from streams.lookups import load_lookups

GOLDEN = Path(__file__).parents[2] / "golden"
STREAMS = load_streams()
LOOKUPS = load_lookups()
RULES = {rule.id: rule for rule in load_rules(None, STREAMS)}
START = 1_777_689_400_000

EVENTS = m1cep.parse_streams(
    """
    CREATE TABLE t (
      event_id STRING NOT NULL, k STRING NOT NULL, l STRING, v DOUBLE, n BIGINT, m DECIMAL(10,2), d TIMESTAMP(3), b BOOLEAN,
      ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
    ) PARTITIONED BY (k) WITH ('topic' = 't');
    CREATE TABLE u (event_id STRING NOT NULL, k STRING NOT NULL, v DOUBLE, ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts)
    PARTITIONED BY (k) WITH ('topic' = 'u')
    """
)


def answer(rule, events, key=None, lookups=LOOKUPS):
    """``events``: (stream, event), in any order of streams."""
    inquiry = Inquiry(rule, key, lookups)
    for name in rule.streams:
        inquiry.push(name, [event for stream, event in events if stream == name])
    return inquiry.finish()


def near_miss(rule_id, account):
    """The nearest attempts of an account of the golden folder's near misses."""
    events = []
    for line in map(json.loads, (GOLDEN / rule_id / "near-miss.ndjson").read_text().splitlines()):
        repeated = [
            line["event"]
            | {name: f"{line['event'][name]}-{n}" for name in ("event_id", "order_id")}
            | {"ts": line["event"]["ts"] + n * line["step_ms"]}
            for n in range(line.get("times", 0))
        ]
        events += [(line["stream"], event) for event in repeated or [line["event"]]]
    events.sort(key=lambda found: found[1]["ts"])
    [key] = [k for k in answer(RULES[rule_id], events, account).keys if k.near or k.left_out]
    return key


def rule(sql, **front):
    return m1cep.compile_rule(f"/*\n{json.dumps({'id': 'r', **front})}\n*/\n{sql}", EVENTS)


def pattern(text, define, *, within="10 SECOND", where="", rest="ONE ROW PER MATCH"):
    amount, unit = within.split()
    return rule(
        f"SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES COUNT(*) AS c {rest} PATTERN ({text}) "
        f"WITHIN INTERVAL '{amount}' {unit} DEFINE {define}) {where}"
    )


def t(event_id, second, k="k", **columns):
    return "t", {"event_id": event_id, "k": k, "ts": START + int(second * 1000), **columns}


def failed(near):
    return [(f.sql, f.why) for f in near.failed]


class TestPackagedRules:
    """What the near misses of the golden folders lack."""

    @pytest.mark.parametrize(
        ("rule_id", "account", "event", "sql", "why"),
        [
            ("spoofing", "executed", "e22", "PULL.qty >= :min_unfilled * BAIT.qty", "2000.0 >= 2700.0 is false"),
            ("spoofing", "other-order", "e51", "PULL.order_id = BAIT.order_id", "'other-order-older' = "),
            ("spoofing", "too-small", "e32", "BAIT.price * BAIT.qty >= :min_bait_usd", "247500.0 >= 250000 is false"),
            ("layering", "same-side", "e30", "TAKE.side <> LAYER.side", "'buy' <> 'buy' is false"),
            ("wash-trade", "two-sisters", "e1029", "BACK.counterparty = THERE.counterparty", "'s2' = 's1' is false"),
            ("account-takeover", "own-address", "e24", "GONE.address = LISTED.address", "'old' = 'x1' is false"),
            (
                "margin-breach",
                "exactly",
                "e10",
                "equity_usd < :min_cover * maintenance_usd",
                "10000.0 < 10000.0 is false",
            ),
            ("drawdown", "tiny", "e21", "peak_usd >= :min_peak_usd", "900.0 >= 1000 is false"),
            ("marking-the-close", "small", "e19", "traded_usd >= :min_usd", "240240.0 >= 250000 is false"),
            ("matched-orders", "seven", "e32", "trades >= :min_trades", "6 >= 8 is false"),
        ],
    )
    def test_the_condition_and_the_event(self, rule_id, account, event, sql, why):
        near = near_miss(rule_id, {"account": account}).near[0]
        assert near.event.id == event
        [(found, said)] = failed(near)
        assert found == sql
        assert said.startswith(why)

    @pytest.mark.parametrize(
        ("rule_id", "account", "last", "said"),
        [
            (
                "spoofing",
                "too-slow",
                "e43",
                "e43 comes exactly 10 s after the first event, and WITHIN excludes its end",
            ),
            ("layering", "slow", "e43", "complete only with e43, 50 ms after WITHIN (5 s) had run out"),
            ("deposit-and-out", "later", "e26", "e26 comes exactly 30 min after the first event"),
            ("momentum-ignition", "slow", "e72", "e72 comes exactly 30 s after the first event"),
        ],
    )
    def test_what_came_too_late(self, rule_id, account, last, said):
        near = near_miss(rule_id, {"account": account}).near[0]
        assert near.steps[-1].event.id == last
        assert [s.late for s in near.steps][-2:] == [False, True]
        assert said in near.what

    def test_the_event_that_broke_an_absence(self):
        near = near_miss("approval-overdue", {"account": "approved-in-time"}).near[0]
        assert (near.variable, near.event.id) == ("DECIDED", "e9")
        assert near.what == "DECIDED came, 29 min 59.999 s after the first event: its absence did not hold"
        assert all(f.holds for f in near.findings)

    def test_the_event_that_ended_an_attempt_besides_the_one_that_came_nearest(self):
        near = near_miss("deposit-and-out", {"account": "trades"}).near[0]
        assert [(s.variable, s.event.id) for s in near.steps] == [("MONEY_IN", "e27"), ("TRADE", "e28")]
        assert near.ended.variable == "TRADE"
        [(sql, why)] = failed(near.ended)
        assert sql == "SUM(TRADE.price * TRADE.qty) <= :max_traded * MONEY_IN.amount_usd"
        assert why.startswith("1100.0 <= 1000.0 is false")

    def test_what_where_left_out(self):
        key = near_miss("approval-overdue", {"account": "no-request-id"})
        [left] = key.left_out
        assert left.event.id == "e15"
        assert [(f.sql, f.why) for f in left.findings if not f.holds] == [
            ("request_id IS NOT NULL", "request_id is NULL")
        ]

    def test_what_is_not_known(self):
        near = near_miss("margin-breach", {"account": "requirement-unknown"}).near[0]
        [(_, why)] = failed(near)
        assert why == "maintenance_usd is NULL, so the condition is unknown"
        assert near.failed[0].values == {"equity_usd": 9000.0, ":min_cover": 1.0, "maintenance_usd": None}


class TestPatterns:
    def test_a_finding_says_where_its_condition_stands(self):
        found = near_miss("spoofing", {"account": "executed"}).near[0].failed[0]
        text = RULES["spoofing"].text.split("\n")[found.line - 1]
        assert text[found.column - 1 :].startswith("PULL.qty >= :min_unfilled * BAIT.qty")
        line, carets = found.excerpt.split("\n")
        assert line[carets.index("^") : carets.rindex("^") + 1] == "PULL.qty >= :min_unfilled * BAIT.qty"

    def test_parameters_are_those_in_force(self):
        update = {"event_id": "e", "account": "a", "kind": "margin_update", "ts": START}
        events = [("accounts", update | {"equity_usd": 10.0, "maintenance_usd": 10.0})]
        changed = m1cep.FixedLookups(rules={"margin-breach": {"min_cover": 0.5}})
        near = answer(RULES["margin-breach"], events, lookups=changed).keys[0].near[0]
        assert failed(near)[0][1] == "10.0 < 5.0 is false, with :min_cover = 0.5, maintenance_usd = 10.0"

    def test_time_goes_on_with_other_keys(self):
        r = pattern("A B", "A AS l = 'A', B AS l = 'B'")
        events = [t("a", 0, l="A"), t("x", 9, "other", l="X")]
        assert answer(r, events, {"k": "k"}).keys[0].near[0].what == (
            "no B came before the events end, 1 s before WITHIN runs out: it is still open"
        )
        events[1] = t("x", 10, "other", l="X")
        assert answer(r, events, {"k": "k"}).keys[0].near[0].what == (
            "no B came before WITHIN ran out, 10 s after the first event"
        )

    def test_the_furthest_attempt_comes_first_and_the_oldest_of_equal_ones(self):
        r = pattern("A B C", "A AS l = 'A', B AS l = 'B', C AS l = 'C'")
        letters = "AX" + "ABX" + "ABX" + "AX"
        [key] = answer(r, [t(f"{c}{i}", i, l=c) for i, c in enumerate(letters)]).keys
        assert [[s.event.id for s in n.steps] for n in key.near] == [["A2", "B3"], ["A5", "B6"], ["A0"]]
        assert [n.missing for n in key.near] == [1, 1, 2]

    def test_attempts_that_fail_on_one_event_in_one_way_are_told_once(self):
        r = pattern("A+ B", "A AS l = 'A', B AS l = 'B' AND v > SUM(A.v)")
        events = [t(f"a{i}", i, l="A", v=1.0) for i in range(4)] + [t("b", 4, l="B", v=0.5)]
        [key] = answer(r, events).keys
        assert len(key.near) == 1
        assert key.near[0].others == 3
        assert failed(key.near[0]) == [("B.v > SUM(A.v)", "0.5 > 1.0 is false")]

    def test_a_match_that_where_behind_the_pattern_refuses(self):
        r = pattern("A B+?", "A AS l = 'A', B AS l = 'B'", where="WHERE c > 2")
        [key] = answer(r, [t("a", 0, l="A"), t("b", 1, l="B")]).keys
        assert key.near[0].what == "complete, but WHERE behind the pattern is not true of it"
        assert failed(key.near[0]) == [("c > 2", "2 > 2 is false")]
        assert not key.matches

    def test_rows_of_a_match_begin_no_attempt(self):
        r = pattern("A+ B", "A AS l = 'A', B AS l = 'B'")
        [key] = answer(r, [t("a1", 0, l="A"), t("a2", 1, l="A"), t("b", 2, l="B")]).keys
        assert [m.events for m in key.matches] == [("a1", "a2", "b")]
        assert not key.near

    def test_suppressed_matches_are_matches_that_were_kept_back(self):
        r = rule("SELECT k FROM t WHERE v > 1", suppress="1 min")
        [key] = answer(r, [t("e1", 0, v=2.0), t("e2", 30, v=2.0), t("e3", 61, v=2.0)]).keys
        assert [(m.events, m.suppressed) for m in key.matches] == [(("e1",), False), (("e2",), True), (("e3",), False)]

    def test_late_events_are_named_with_the_watermark_that_they_missed(self):
        r = pattern("A B", "A AS l = 'A', B AS l = 'B'")
        [key] = answer(r, [t("a", 0, l="A"), t("c", 5, l="C"), t("b", 3.999, l="B")]).keys
        [late] = key.late
        assert (late.event.id, late.reason, late.watermark - late.event.time) == ("b", "late", 1)
        assert not key.matches

    def test_a_pattern_with_very_many_ways_to_match_is_walked_in_time(self):
        r = pattern("((A+)+ B)", "A AS l = 'A', B AS l = 'B'", within="1 HOUR")
        [key] = answer(r, [t(f"a{i}", i, l="A") for i in range(300)]).keys
        assert key.near[0].missing == 1


class TestOtherForms:
    def test_a_filter_tells_the_rows_with_the_fewest_untrue_conditions_the_closest_first(self):
        r = rule("SELECT k FROM t WHERE l = 'A' AND v > 10 AND b")
        events = [
            t("e1", 0, l="B", v=1.0),
            t("e2", 1, l="A", v=5.0, b=True),
            t("e3", 2, l="A", v=9.0, b=True),
            t("e4", 3),
        ]
        near = answer(r, events).keys[0].near
        assert [n.event.id for n in near] == ["e3", "e2", "e1"]
        assert near[0].what == "2 of 3 conditions are true"
        assert failed(near[2])[-1] == ("b", "b is NULL, so the condition is unknown")

    def test_alternatives_are_told_one_by_one(self):
        r = rule("SELECT k FROM t WHERE (v > 10 OR n IN (1, 2)) AND NOT l LIKE 'x%'")
        near = answer(r, [t("e", 0, v=1.0, n=3, l="xy")]).keys[0].near[0]
        assert failed(near) == [
            ("v > 10 OR n IN (1, 2)", "none is true: 1.0 > 10 is false; 3 IN (1, 2) is false"),
            ("l NOT LIKE 'x%'", "'xy' LIKE 'x%' is true"),
        ]

    def test_what_may_be_null_is_not_named_as_the_reason(self):
        r = rule("SELECT k FROM t WHERE COALESCE(v, 0) + n > 1")
        assert failed(answer(r, [t("e", 0)]).keys[0].near[0])[0][1] == "n is NULL, so the condition is unknown"

    def test_a_list(self):
        r = rule("SELECT k FROM t WHERE IN_LIST('bad', l)")
        lists = m1cep.FixedLookups({"bad": ["x"]})
        near = answer(r, [t("e", 0, l="y")], lookups=lists).keys[0].near[0]
        assert failed(near) == [("IN_LIST('bad', l)", "'y' is not in the list")]

    def test_the_highest_that_a_sliding_sum_reached_and_when(self):
        r = rule(
            "SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW) AS s "
            "FROM t QUALIFY s > 100"
        )
        #          0: 10   4: 10+40   8: 40+45 = the most   30: 60, the most of another time
        values = [("e1", 0, 10.0), ("e2", 4, 40.0), ("e3", 8, 45.0), ("e4", 30, 60.0)]
        near = answer(r, [t(e, s, v=v) for e, s, v in values]).keys[0].near
        assert [(n.event.id, n.failed[0].why) for n in near[:2]] == [
            ("e3", "85.0 > 100 is false"),
            ("e4", "60.0 > 100 is false"),
        ]
        assert near[0].bound == (START + 3000, START + 8000)

    def test_the_windows_nearest_to_having(self):
        r = rule(
            "SELECT k, window_start, window_end, COUNT(*) AS c FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, "
            "INTERVAL '10' SECOND)) GROUP BY k, window_start, window_end HAVING COUNT(*) >= 4 AND AVG(v) < 2"
        )
        #         |  e0 e1 e2   |   |e3|   two windows hold e0 e1 e2: one of them is told
        near = answer(r, [t(f"e{i}", s, v=1.0) for i, s in enumerate([6, 7, 8, 30])]).keys[0].near
        assert failed(near[0]) == [("c >= 4", "3 >= 4 is false")]
        assert near[0].bound == (START, START + 10_000)
        assert [n.failed[0].why for n in near] == ["3 >= 4 is false", "1 >= 4 is false"]
        assert near[0].findings[1].sql == "AVG(v) < 2"


class TestJoins:
    JOIN = (
        "SELECT a.k, b.v FROM t AS a JOIN u AS b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '2' SECOND "
        "AND b.v > a.v WHERE a.l = 'A'"
    )

    def u(self, event_id, second, k="k", v=1.0):
        return "u", {"event_id": event_id, "k": k, "v": v, "ts": START + int(second * 1000)}

    def test_a_partner_too_late(self):
        near = answer(rule(self.JOIN), [t("a", 0, l="A", v=1.0), self.u("b", 2.5, v=2.0)]).keys[0].near[0]
        assert failed(near) == [("b comes from 0 s to 2 s after a", "b came 2.5 s after a: 500 ms too late")]

    def test_a_partner_of_another_key(self):
        near = (
            answer(rule(self.JOIN), [t("a", 0, l="A", v=1.0), self.u("b", 1, "x", v=2.0)], {"k": "k"}).keys[0].near[0]
        )
        assert failed(near) == [("a.k = b.k", "'k' = 'x' is false")]

    def test_a_partner_of_which_another_condition_is_not_true(self):
        near = answer(rule(self.JOIN), [t("a", 0, l="A", v=3.0), self.u("b", 1, v=2.0)]).keys[0].near[0]
        assert failed(near) == [("b.v > a.v", "2.0 > 3.0 is false")]

    def test_nobody(self):
        near = answer(rule(self.JOIN), [t("a", 0, l="A", v=3.0)]).keys[0].near[0]
        assert near.what == "nothing came on the other side for a: no event with its key, and none within the bounds"

    def test_the_partner_that_ended_an_absence(self):
        r = rule(
            "SELECT a.k FROM t AS a LEFT JOIN u AS b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '2' SECOND "
            "WHERE b.k IS NULL"
        )
        [key] = answer(r, [t("a1", 0), t("a2", 10), self.u("b", 1)]).keys
        assert [m.events for m in key.matches] == [("a2",)]
        assert [n.what for n in key.near] == ["a1 has a partner: b, 1 s after it"]


class TestKeys:
    RULE = pattern("A B", "A AS l = 'A', B AS l = 'B'")

    def test_without_a_key_those_nearest_to_a_match_come_first(self):
        events = [
            t("a", 0, "far", l="X"),
            t("b", 0, "near", l="A"),
            t("c", 0, "matched", l="A"),
            t("d", 1, "matched", l="B"),
        ]
        found = answer(self.RULE, events)
        assert [k.key for k in found.keys] == [{"k": "near"}, {"k": "far"}, {"k": "matched"}]
        assert found.key_count == 3

    def test_a_key_that_does_not_come_is_said_with_some_that_do(self):
        assert answer(self.RULE, [t("a", 0, "there", l="A")], {"k": "not"}).notes == (
            "no event of such a key came; there were others, such as k=there",
        )

    def test_a_column_that_is_no_key_is_refused(self):
        with pytest.raises(m1cep.EngineError, match="rule 'r' has no key column 'l': expected one of k"):
            Inquiry(self.RULE, {"l": "A"})

    def test_numbers_and_null_as_text(self):
        sql = (
            "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY n, l ORDER BY ts MEASURES COUNT(*) AS c PATTERN (A B) "
            "WITHIN INTERVAL '1' SECOND DEFINE A AS v = 1, B AS v = 2)"
        )
        events = [t("e1", 0, n=7, v=1.0), t("e2", 0, n=8, l="x", v=1.0)]
        assert [k.key for k in answer(rule(sql), events, {"N": "7", "l": "NULL"}).keys] == [{"n": 7, "l": None}]
        assert [k.key for k in answer(rule(sql), events, {"l": "x"}).keys] == [{"n": 8, "l": "x"}]

    def test_more_rows_than_are_kept_are_said(self, monkeypatch):
        monkeypatch.setattr("m1cep.whynot.inquiry.MAX_ROWS", 2)
        found = answer(self.RULE, [t(f"e{i}", i, l="A") for i in range(5)])
        assert found.keys[0].events == 2
        assert found.notes[0].startswith("3 rows beyond the first 2 were not looked at for near misses")

    def test_too_many_attempts_are_said(self, monkeypatch):
        monkeypatch.setattr("m1cep.whynot.inquiry.Budget", lambda: Budget(3))
        found = answer(self.RULE, [t(f"e{i}", i, l="A") for i in range(9)])
        assert found.notes == (
            "there are too many attempts to follow all of them: the later ones are missing; name a key, or give fewer events",
        )


@pytest.mark.parametrize(
    "condition",
    [
        "v > 1 AND l = 'it''s' OR n <> 2 AND b",
        "(v > 1 OR b) AND NOT (n = 1 AND v < 2)",
        "v - (n - 1) * 2 / (v + 1) >= -v % 3",
        "v - (n - 1) > n / (v / 2) AND -(v + 1) < 0",
        "l IN ('a', 'b') AND n NOT IN (1, 2)",
        "l LIKE 'a%' AND NOT l LIKE '_b'",
        "l IS NULL OR v IS NOT NULL OR b IS TRUE OR b IS NOT FALSE",
        "v IS DISTINCT FROM n OR v IS NOT DISTINCT FROM 1",
        "CASE l WHEN 'a' THEN v WHEN 'b' THEN 2 * v ELSE 0 END > 1",
        "CASE WHEN v > 1 THEN n END = COALESCE(n, 1, 2)",
        "ts - d > INTERVAL '90' SECOND AND d < TIMESTAMP '2026-05-01 12:00:00'",
        "d + INTERVAL '1' DAY > ts AND d >= ts - INTERVAL '1.5' SECOND",
        "EXTRACT(MINUTE FROM ts) = 59 AND FLOOR(ts TO HOUR) = CEIL(d TO DAY)",
        "UPPER(l) || '-' || LOWER(l) = CONCAT(l, 'x', SUBSTRING(l, 2, 3))",
        "ABS(v) > GREATEST(n, 2) AND LEAST(v, n) < POWER(v, 2) AND NULLIF(v, 0) > 1",
        "v BETWEEN 1 AND 2 AND CAST(n AS STRING) = l AND m = 1.50",
        "IN_LIST('bad', l) AND PARAM('most') > v",
        "TIMESTAMPDIFF(MINUTE, d, ts) > 5 AND TRIM(l) = TRIM('x' FROM l)",
    ],
)
def test_a_condition_in_words_means_what_was_written(condition):
    def where(text):
        return rule(f"SELECT k FROM t WHERE {text}").plan.where

    plan = where(condition)
    assert where(Wording("").sql(plan)) == plan


def test_json_has_the_whole_answer():
    found = answer(RULES["spoofing"], [], {"account": "a"}).to_dict()
    assert json.loads(json.dumps(found))["keys"] == []
