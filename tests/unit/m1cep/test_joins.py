"""Interval joins. Bounds are inclusive; times in seconds from the first event unless said otherwise."""

import gc
import tracemalloc
from dataclasses import replace

import pytest

import m1cep
from streams.explain import plan_lines

STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE w (event_id STRING NOT NULL, account STRING NOT NULL, request STRING, amount DOUBLE, note STRING,
      due TIMESTAMP(3), ts TIMESTAMP(3), WATERMARK FOR ts AS ts) PARTITIONED BY (account) WITH ('topic' = 'w');
    CREATE TABLE p (event_id STRING NOT NULL, account STRING NOT NULL, request STRING, by_whom STRING, amount DOUBLE,
      seen TIMESTAMP(3), at TIMESTAMP(3), WATERMARK FOR at AS at) PARTITIONED BY (account) WITH ('topic' = 'p');
    CREATE TABLE fine (event_id STRING, account STRING, ts TIMESTAMP(6), WATERMARK FOR ts AS ts)
      PARTITIONED BY (account) WITH ('topic' = 'fine');
    CREATE TABLE plain (account STRING, n BIGINT, ts BIGINT, WATERMARK FOR ts AS ts) PARTITIONED BY (account)
      WITH ('topic' = 'plain');
    CREATE VIEW both_ AS SELECT event_id, account, 'w' AS src, amount, ts FROM w
      UNION ALL SELECT event_id, account, 'p' AS src, amount, at AS ts FROM p;
    """
)
WITHIN_5 = "p.at BETWEEN w.ts AND w.ts + INTERVAL '5' SECOND"
PAIRS = f"SELECT w.account, w.amount, p.by_whom FROM w JOIN p ON w.account = p.account AND {WITHIN_5}"
ABSENT = (
    f"SELECT w.account, w.amount FROM w LEFT JOIN p ON w.account = p.account AND {WITHIN_5} WHERE p.account IS NULL"
)


def engine(*texts):
    return m1cep.Engine([m1cep.compile_rule(text, STREAMS, f"r{n}") for n, text in enumerate(texts)])


def withdrawals(*seconds, account="k", **more):
    return [
        {"event_id": f"w{s}", "account": account, "amount": s, "ts": round(s * 1000), "due": round(s * 1000)} | more
        for s in seconds
    ]


def approvals(*seconds, account="k", **more):
    return [
        {"event_id": f"p{s}", "account": account, "amount": s, "at": round(s * 1000), "seen": round(s * 1000)} | more
        for s in seconds
    ]


def run(text, left, right):
    """The events of each alert, both streams pushed whole."""
    running = engine(text)
    found = running.push("w", left) + running.push("p", right) + running.finish()
    assert running.counters()["r0"]["waiting"] == 0
    return [a.events for a in found]


class TestPairs:
    def test_both_bounds_are_inclusive(self):
        #  w           10
        #  p  9.999    10   12      15    15.001
        #              └─────────────┘
        found = run(PAIRS, withdrawals(10), approvals(9.999, 10, 12, 15, 15.001))
        assert found == [["w10", "p10"], ["w10", "p12"], ["w10", "p15"]]

    def test_a_pair_is_told_by_its_later_row(self):
        running = engine(PAIRS)
        running.push("w", withdrawals(10, 14))
        assert running.push("p", approvals(12)) == []  # another approval of this very moment may come
        [alert] = running.push("p", approvals(13))
        assert (alert.events, alert.event_time, alert.key) == (["w10", "p12"], 12_000, {"account": "k"})
        assert alert.row == {"account": "k", "amount": 10.0, "by_whom": None}

    def test_at_one_time_rows_pair_whichever_comes_first(self):
        for first, second in (("w", "p"), ("p", "w")):
            running = engine(PAIRS)
            rows = {"w": withdrawals(10), "p": approvals(10)}
            found = running.push(first, rows[first]) + running.idle(second)
            found += running.idle(first)  # nothing holds the first row back any more
            found += running.push(second, rows[second]) + running.finish()
            assert [a.events for a in found] == [["w10", "p10"]]

    def test_the_right_row_may_come_first(self):
        #  w                   10
        #  p  6.999   7   9    10    11   11.001
        #             └─────────────┘
        text = PAIRS.replace(WITHIN_5, "p.at BETWEEN w.ts - INTERVAL '3' SECOND AND w.ts + INTERVAL '1' SECOND")
        found = run(text, withdrawals(10), approvals(6.999, 7, 9, 10, 11, 11.001))
        assert found == [["p7", "w10"], ["p9", "w10"], ["w10", "p10"], ["w10", "p11"]]

    def test_keys_do_not_mix_and_null_equals_nothing(self):
        text = f"SELECT w.amount FROM w JOIN p ON w.account = p.account AND w.request = p.request AND {WITHIN_5}"
        left = withdrawals(1, request="x") + withdrawals(2) + withdrawals(3, request="x", account="q")
        right = approvals(3.5) + approvals(4, request="x") + approvals(4.5, request="y", account="q")
        assert run(text, left, right) == [["w1", "p4"]]

    def test_the_key_has_the_names_of_the_left_side(self):
        text = f"SELECT p.at FROM w JOIN p ON p.by_whom = w.account AND w.request = p.request AND {WITHIN_5}"
        running = engine(text)
        running.push("w", withdrawals(1, request="x"))
        [alert] = running.push("p", approvals(1, request="x", by_whom="k")) + running.finish()
        assert alert.key == {"account": "k", "request": "x"}

    def test_conditions_of_on_and_where_are_the_same_in_an_inner_join(self):
        conditions = [
            f"w.account = p.account AND {WITHIN_5}",
            "w.amount > 1",
            "p.amount < 9",
            "w.amount + 2 < p.amount",
        ]
        left, right = withdrawals(1, 2, 3), approvals(4, 5, 6, 9)
        expected = [["w2", "p5"], ["w2", "p6"], ["w3", "p6"]]
        for where in range(4):
            on, rest = conditions[: where + 1], conditions[where + 1 :]
            tail = f" WHERE {' AND '.join(rest)}" if rest else ""
            assert run(f"SELECT w.ts FROM w JOIN p ON {' AND '.join(on)}{tail}", left, right) == expected
        assert run(f"SELECT w.ts FROM w, p WHERE {' AND '.join(reversed(conditions))}", left, right) == expected

    def test_subqueries_filter_their_side(self):
        text = f"""SELECT w.ts FROM (SELECT * FROM w WHERE amount > 1) AS w
          JOIN (SELECT account, at FROM p WHERE amount <> 5) AS p ON w.account = p.account AND {WITHIN_5}"""
        assert run(text, withdrawals(1, 2), approvals(4, 5, 6)) == [["w2", "p4"], ["w2", "p6"]]

    def test_a_view_may_be_a_side(self):
        text = """SELECT w.ts, e.src FROM w JOIN both_ AS e ON w.account = e.account AND e.event_id <> w.event_id
          AND e.ts BETWEEN w.ts - INTERVAL '2' SECOND AND w.ts"""
        assert run(text, withdrawals(1, 2, 9), approvals(3, 8)) == [["w1", "w2"], ["p8", "w9"]]

    def test_a_stream_joined_with_itself(self):
        text = """SELECT x.amount AS first, y.amount AS second FROM w x JOIN w y ON x.account = y.account
          AND y.ts > x.ts AND y.ts <= x.ts + INTERVAL '2' SECOND"""
        assert run(text, withdrawals(1, 2, 4), []) == [["w1", "w2"], ["w2", "w4"]]

    def test_the_same_two_rows_may_be_two_pairs_with_ids_of_their_own(self):
        text = """SELECT x.amount AS x, y.amount AS y FROM w x JOIN w y ON x.account = y.account AND x.event_id <> y.event_id
          AND y.ts BETWEEN x.ts - INTERVAL '1' SECOND AND x.ts + INTERVAL '1' SECOND"""
        found = engine(text).push("w", withdrawals(1, 2))
        assert [a.row for a in found] == [{"x": 2.0, "y": 1.0}, {"x": 1.0, "y": 2.0}]
        assert [a.events for a in found] == [["w1", "w2"]] * 2  # by event time
        assert len({a.id for a in found}) == 2

    def test_star_stands_for_every_column(self):
        text = "SELECT w.*, p.by_whom FROM w JOIN p ON w.account = p.account AND " + WITHIN_5
        running = engine(text)
        running.push("w", withdrawals(1))
        [alert] = running.push("p", approvals(2, by_whom="me")) + running.finish()
        assert alert.row == withdrawals(1)[0] | {"request": None, "note": None, "by_whom": "me"}

    def test_suppress_lets_one_alert_of_a_key_through_a_span(self):
        text = f"/*\nsuppress: 2 s\n*/{PAIRS}"
        assert run(text, withdrawals(1), approvals(1, 2, 3, 4)) == [["w1", "p1"], ["w1", "p3"]]

    def test_rules_on_the_same_streams_share_their_merge_and_nothing_else(self):
        running = engine(PAIRS, ABSENT, "SELECT account FROM w")
        found = running.push("w", withdrawals(1, 20)) + running.push("p", approvals(2)) + running.finish()
        assert [(a.rule, a.events) for a in found] == [
            ("r2", ["w1"]),
            ("r2", ["w20"]),
            ("r0", ["w1", "p2"]),
            ("r1", ["w20"]),
        ]

    def test_event_time_may_be_a_bigint(self):
        text = "SELECT x.n AS x, y.n AS y FROM plain x JOIN plain y ON x.account = y.account AND y.ts > x.ts AND y.ts - x.ts <= 5"
        found = engine(text).push("plain", [{"account": "k", "n": n, "ts": n} for n in (1, 6, 12)])
        assert [a.row for a in found] == [{"x": 1, "y": 6}]


@pytest.mark.parametrize(
    ("condition", "lower", "upper"),
    [
        ("p.at BETWEEN w.ts AND w.ts + INTERVAL '5' SECOND", 0, 5000),
        ("w.ts BETWEEN p.at - INTERVAL '5' SECOND AND p.at", 0, 5000),
        ("p.at >= w.ts AND p.at - INTERVAL '5' SECOND <= w.ts", 0, 5000),
        ("p.at > w.ts AND w.ts + INTERVAL '5' SECOND > p.at", 1, 4999),
        ("p.at - w.ts BETWEEN INTERVAL '1' SECOND AND :gap", 1000, 7000),
        ("w.ts - p.at <= -INTERVAL '1' SECOND AND w.ts - p.at > INTERVAL '-2' SECOND", 1000, 1999),
        ("p.at BETWEEN w.ts - :gap AND w.ts - INTERVAL '1' SECOND - INTERVAL '1' SECOND", -7000, -2000),
        ("p.at = w.ts", 0, 0),
        ("p.at >= w.ts AND p.at <= w.ts + :gap AND p.at < w.ts + INTERVAL '1' MINUTE", 0, 7000),
        ("p.at > w.ts + INTERVAL '1500' MICROSECOND AND p.at < w.ts + INTERVAL '3500' MICROSECOND", 2, 3),
        ("p.at >= w.ts + INTERVAL '1500' MICROSECOND AND p.at <= w.ts + INTERVAL '3500' MICROSECOND", 2, 3),
    ],
)
def test_bounds_may_be_written_in_many_ways(condition, lower, upper):
    text = f"/*\nparams: {{gap: 7 s}}\n*/ SELECT w.ts FROM w JOIN p ON w.account = p.account AND {condition}"
    plan = m1cep.compile_rule(text, STREAMS).plan
    assert (plan.lower, plan.upper) == (lower, upper)


class TestAbsence:
    def test_a_withdrawal_that_nobody_approves_is_told_when_the_time_is_up(self):
        #  w   1    2
        #  p        2   (of w1 and w2)               up to 7 an approval of w2 would have been in time
        running = engine(ABSENT)
        found = running.push("w", withdrawals(1, 2) + withdrawals(3, account="silent"))
        found += running.push("p", approvals(2)) + running.push("w", withdrawals(8)) + running.push("p", approvals(8))
        assert found == []  # 8.000 is the last moment at which one of w3 could come
        found = running.push("w", withdrawals(8.001)) + running.push("p", approvals(8.001))
        [alert] = found
        assert (alert.events, alert.event_time, alert.key) == (["w3"], 8_001, {"account": "silent"})
        assert alert.row == {"account": "silent", "amount": 3.0}

    def test_the_watermark_of_other_keys_is_enough(self):
        running = engine(ABSENT)
        running.push("w", withdrawals(1))
        running.push("w", withdrawals(60, account="other"))
        assert [a.event_time for a in running.push("p", approvals(60, account="other"))] == [6_001]

    def test_the_end_of_input_is_the_end_of_waiting(self):
        assert run(ABSENT, withdrawals(1, 2), approvals(6.5)) == [["w1"]]

    def test_a_partner_that_comes_before_counts_where_the_bounds_say_so(self):
        #  w        10        20            a price no older than 3 s must be known; what is missing is known at once
        #  p    7         16.999
        text = ABSENT.replace(WITHIN_5, "p.at BETWEEN w.ts - INTERVAL '3' SECOND AND w.ts - INTERVAL '1' MILLISECOND")
        running = engine(text)
        running.push("p", approvals(7, 16.999, 30))
        [alert] = running.push("w", withdrawals(10, 20, 25.5))
        assert (alert.events, alert.event_time) == (["w20"], 20_000)

    def test_what_makes_a_partner_stands_in_on(self):
        #  w   1    2    3                   p4 is large enough for w1 and w3, not for w2
        #  p                  4
        text = ABSENT.replace(" WHERE", " AND p.amount >= CAST(w.note AS DOUBLE) WHERE")
        left = [row | {"note": note} for row, note in zip(withdrawals(1, 2, 3), "494", strict=True)]
        assert run(text, left, approvals(4)) == [["w2"]]

    def test_a_left_join_tells_pairs_and_those_alone(self):
        text = f"SELECT w.amount, p.amount AS approved FROM w LEFT JOIN p ON w.account = p.account AND {WITHIN_5}"
        running = engine(text)
        found = running.push("w", withdrawals(1, 2)) + running.push("p", approvals(6.5, 7)) + running.finish()
        assert [(a.row["amount"], a.row["approved"], a.event_time) for a in found] == [
            (1.0, None, 6_001),
            (2.0, 6.5, 6_500),
            (2.0, 7.0, 7_000),
        ]

    def test_a_column_that_may_be_null_in_a_pair_does_not_make_an_absence(self):
        text = ABSENT.replace("p.account IS NULL", "p.by_whom IS NULL")
        right = approvals(3, by_whom="me") + approvals(4)
        assert run(text, withdrawals(1), right) == [["w1", "p4"]]
        assert not m1cep.compile_rule(text, STREAMS).plan.absence

    def test_a_row_without_a_key_is_alone(self):
        text = f"SELECT w.ts FROM w LEFT JOIN p ON w.request = p.request AND {WITHIN_5}"
        running = engine(text)
        running.push("w", withdrawals(1))
        [alert] = running.push("p", approvals(1)) + running.finish()
        assert (alert.events, alert.key) == (["w1"], {"request": None})

    def test_a_filter_of_the_left_side_in_where_drops_rows_and_in_on_partners(self):
        left, right = withdrawals(1, 2), approvals(3)
        assert run(ABSENT + " AND w.amount > 1", left, right) == []
        assert run(ABSENT.replace(" WHERE", " AND w.amount > 1 WHERE"), left, right) == [["w1"]]

    def test_suppress_counts_from_the_time_out(self):
        text = f"/*\nsuppress: 3 s\n*/{ABSENT}"
        assert run(text, withdrawals(1, 2, 3.999, 4), []) == [["w1"], ["w4"]]

    def test_a_quiet_key_stays_quiet_when_the_watermark_jumps(self):
        text = f"/*\nsuppress: 20 s\n*/{ABSENT}"
        left = withdrawals(0) + [withdrawals(0.001, account=f"k{i}")[0] for i in range(2000)] + withdrawals(8)
        running = engine(text)
        found = running.push("w", left) + running.push("p", approvals(100)) + running.push("w", withdrawals(100))
        assert sum(a.key == {"account": "k"} for a in found) == 1  # w0 at 5.001; w8 at 13.001 is in its shadow


class TestSnapshot:
    @pytest.mark.parametrize("absence", [False, True])
    def test_a_row_that_has_found_its_partner_is_not_alone_after_a_restart(self, absence):
        text = ABSENT if absence else ABSENT.replace(" WHERE p.account IS NULL", "")
        running = engine(text)
        running.push("w", withdrawals(1, 2, 9))
        found = running.push("p", approvals(6.5, 6.6))  # of w2; w1 had until 6
        running = m1cep.Engine.restore(running.rules, running.snapshot())
        found += running.push("p", approvals(9)) + running.finish()
        pairs = [] if absence else [["w2", "p6.5"], ["w2", "p6.6"]]
        assert [a.events for a in found if a.event_time < 9000] == [["w1"], *pairs]

    def test_a_view_declared_otherwise_is_another_source(self):
        text = PAIRS.replace("JOIN p", "JOIN both_ p").replace("p.at", "p.ts").replace("p.by_whom", "p.src")
        blob = m1cep.Engine([m1cep.compile_rule(text, STREAMS, "r")]).snapshot()
        other = dict(STREAMS)
        other["both_"] = replace(STREAMS["both_"], branches=STREAMS["both_"].branches[::-1])
        with pytest.raises(m1cep.EngineError, match="another declaration of 'w JOIN both_'"):
            m1cep.Engine.restore([m1cep.compile_rule(text, other, "r")], blob)

    def test_rules_found_by_their_constants_see_the_same_rows(self):
        """Beyond a few rules on one source, the engine gives each rule only the rows that can concern it."""
        text = """SELECT x.amount AS x, y.amount AS y FROM w x JOIN w y ON x.account = y.account AND y.ts > x.ts
          AND y.ts <= x.ts + INTERVAL '5' SECOND AND x.note = '{}' AND y.note IN ('b', 'c')"""
        rows = [row for n, note in enumerate("abcabdcbaab") for row in withdrawals(n, note=note)]
        texts = [text.format(note) for note in "abcd"]
        together = engine(*texts).push("w", rows)
        for n, one in enumerate(texts):
            found = engine(one).push("w", rows)
            assert [a.row for a in found] == [a.row for a in together if a.rule == f"r{n}"]
            assert found


def waiting(running):
    return running.counters()["r0"]["waiting"]


class TestState:
    REPEAT = """SELECT x.ts FROM w x JOIN w y ON x.account = y.account AND y.ts > x.ts AND y.ts <= x.ts + INTERVAL '5' SECOND"""

    def test_rows_leave_when_nothing_can_pair_with_them_also_of_silent_keys(self):
        #  w of k0..k49   0 0.1 0.2 .. 4.9           a row at t waits for partners up to t + 5
        running = engine(self.REPEAT)
        for n in range(50):
            running.push("w", withdrawals(n / 10, account=f"k{n}"))
        assert waiting(running) == 50
        running.push("w", withdrawals(7, account="k0"))
        assert waiting(running) == 51 - 20  # those before 2.0; the one at 2.0 may have a partner at 7.0
        running.push("w", withdrawals(60, account="k1"))
        assert running.counters()["r0"] == {"alerts": 0, "waiting": 1, "keys": 1, "suppressed": 0}

    def test_a_side_that_cannot_be_second_is_not_kept(self):
        running = engine(PAIRS.replace("BETWEEN w.ts AND", "BETWEEN w.ts + INTERVAL '1' SECOND AND"))
        running.push("p", approvals(1, 2, 3))
        running.push("w", withdrawals(2.5))
        running.push("w", withdrawals(4))
        assert waiting(running) == 1  # w2.5: every approval that w4 could need comes after it

    def test_a_long_queue_of_one_key_gives_every_pair(self):
        #  n    0 10 20 30 .. ms                     each pairs with the five after it
        text = self.REPEAT.replace("'5' SECOND", "'50' MILLISECOND")
        found = engine(text).push("w", withdrawals(*[n / 100 for n in range(400)]))
        assert len(found) == len({a.id for a in found}) == 400 * 5 - 15

    def test_only_the_columns_that_are_needed_are_kept(self):
        running = engine(self.REPEAT)
        gc.collect()
        tracemalloc.start()
        for n in range(2000):
            running.push("w", withdrawals(1, account=f"k{n}", note=f"{n:010}" * 1000))
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert waiting(running) == 2000
        assert used < 2000 * 2000  # and not the 20 million characters of their notes

    def test_a_key_that_is_never_silent_keeps_no_more_than_its_waiting_rows(self):
        running = engine(self.REPEAT.replace("'5' SECOND", "'20' MILLISECOND"))
        tracemalloc.start()
        for n in range(10_000):
            running.push("w", withdrawals(n / 100))
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert waiting(running) == 3
        assert used < 60_000

    def test_an_absence_forgets_a_row_that_found_its_partner(self):
        #  w   0     1     2        the approval at 2.5 is one of w0 and w2
        #  p                 2.5
        running = engine(ABSENT.replace(" WHERE", " AND p.by_whom = w.note WHERE"))
        running.push("w", withdrawals(0, note="me") + withdrawals(1, note="you") + withdrawals(2, 3, note="me"))
        running.push("p", approvals(2.5, by_whom="me"))
        running.push("p", approvals(3))
        assert waiting(running) == 1  # w1
        assert [a.events for a in running.finish()] == [["w1"], ["w3"]]
        assert waiting(running) == 0


JOIN = "SELECT w.ts FROM w JOIN p ON {}"


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        (
            JOIN.format(WITHIN_5),
            (1, 25),
            "expected a column of one side that equals one of the other",
            "ON w.account = p.",
        ),
        ("SELECT w.ts FROM w JOIN p", (1, 25), "expected a column of one side", ""),
        (
            JOIN.format("w.account = p.account"),
            (1, 25),
            "expected bounds on p.at against w.ts",
            "p.at BETWEEN w.ts AND",
        ),
        (JOIN.format("w.account = p.account AND p.at >= w.ts"), (1, 25), "expected an upper bound", "INTERVAL"),
        (JOIN.format("w.account = p.account AND p.at < w.ts"), (1, 25), "expected a lower bound", "INTERVAL"),
        (JOIN.format(f"w.account = p.account OR ({WITHIN_5})"), (1, 30), "under OR", "AND"),
        (JOIN.format(f"w.account = p.account AND ({WITHIN_5} OR p.at = w.ts)"), (1, 57), "under OR", "AND"),
        (
            JOIN.format("w.account = p.account AND p.seen BETWEEN w.due AND w.due + INTERVAL '5' SECOND"),
            (1, 56),
            "bounded in event time",
            "p.at BETWEEN w.ts",
        ),
        (JOIN.format("w.account = p.account AND p.at BETWEEN w.ts AND w.ts"), None, "", ""),
        (JOIN.format("w.account = p.account AND p.at > w.ts AND p.at < w.ts"), (1, 25), "no pair can fit", ""),
        (
            f"SELECT w.ts FROM w RIGHT JOIN p ON w.account = p.account AND {WITHIN_5}",
            (1, 31),
            "RIGHT JOIN",
            "LEFT JOIN",
        ),
        (f"SELECT w.ts FROM w FULL JOIN p ON w.account = p.account AND {WITHIN_5}", (1, 30), "FULL JOIN", "two rules"),
        ("SELECT w.ts FROM w CROSS JOIN p", (1, 31), "CROSS JOIN", "ON a.k = b.k"),
        ("SELECT w.ts FROM w NATURAL JOIN p", (1, 33), "NATURAL JOIN", "ON"),
        ("SELECT w.ts FROM w LEFT ANTI JOIN p ON w.account = p.account", None, "ANTI JOIN", "IS NULL"),
        ("SELECT w.ts FROM w OUTER JOIN p ON TRUE", None, "OUTER JOIN is not supported", "write JOIN"),
        (PAIRS.replace("JOIN p", "JOIN p FOR SYSTEM_TIME AS OF w.ts"), None, "FOR SYSTEM_TIME is not supported", ""),
        (PAIRS.replace("JOIN p", "JOIN p TABLESAMPLE BERNOULLI (10)"), None, "TABLESAMPLE is not supported", ""),
        (PAIRS.replace("JOIN p", "JOIN p AS p(x, y)"), None, "an alias cannot rename columns", "AS in SELECT"),
        (PAIRS.replace("w.account, w.amount", "w.* EXCEPT (account)"), None, "expected a column, got *", ""),
        (PAIRS.replace("w.account, w.amount, p.by_whom", "* EXCEPT (account)"), None, "expected * alone", "name"),
        (
            "SELECT w.ts FROM (w JOIN p ON w.account = p.account)",
            None,
            "expected a stream or a subquery after FROM",
            "",
        ),
        ("SELECT w.ts FROM w JOIN p USING (account)", None, "expected ON, got USING", "ON a.k = b.k"),
        (
            f"SELECT w.ts FROM w JOIN p ON w.account = p.account AND {WITHIN_5} JOIN w x ON TRUE",
            None,
            "a third",
            "VIEW",
        ),
        (f"SELECT ts FROM w JOIN w ON w.account = w.account AND {WITHIN_5}", (1, 23), "both sides of the join", "AS a"),
        (PAIRS.replace("w.amount", "amount"), (1, 19), "both sides have a column 'amount'", "w.amount or p.amount"),
        (PAIRS.replace("w.amount", "amout"), (1, 19), "has a column 'amout'", "did you mean 'amount'"),
        (PAIRS.replace("w.amount", "w.amout"), (1, 19), "stream 'w' has no column 'amout'", "did you mean 'amount'"),
        (PAIRS.replace("w.amount", "v.amount"), (1, 19), "unknown table 'v' in SELECT", "w"),
        (PAIRS.replace("w.account, w.amount, p.by_whom", "*"), None, "two columns of SELECT are named", "AS"),
        (
            PAIRS.replace("w.amount, p.by_whom", "SUM(w.amount) AS s"),
            (1, 19),
            "an aggregate cannot stand in SELECT",
            "",
        ),
        (f"{PAIRS} GROUP BY w.account", None, "GROUP BY is not supported", ""),
        (
            PAIRS.replace("p.by_whom", "SUM(w.amount) OVER (PARTITION BY w.account) AS s"),
            None,
            "do not work on a join",
            "",
        ),
        (
            "SELECT w.ts FROM w JOIN fine ON w.account = fine.account AND fine.ts BETWEEN w.ts AND w.ts + INTERVAL '5' SECOND",
            (1, 25),
            "different units",
            "",
        ),
        ("SELECT w.ts FROM w JOIN q ON w.account = q.account", (1, 25), "there is no stream 'q'", ""),
        ("SELECT 1 AS x FROM w JOIN UNNEST(z) AS t ON TRUE", None, "expected a stream or a subquery after JOIN", ""),
    ],
)
def test_refusal(text, where, message, hint):
    if not message:  # a bound of no width is a bound
        assert m1cep.compile_rule(text, STREAMS).plan.upper == 0
        return
    with pytest.raises(m1cep.RuleError) as caught:
        m1cep.compile_rule(text, STREAMS, "r.sql")
    error = caught.value
    assert message in error.message
    assert hint in error.hint
    if where is not None:
        assert (error.line, error.column) == where
    assert "^" in str(error)


def test_the_plan_in_words():
    lines = plan_lines(m1cep.compile_rule(ABSENT, STREAMS))
    assert lines == [
        "reads w JOIN p = w + p, by event time",
        "key   account",
        "pairs a of w with b of p: account = account, b from 0 to 5000 ms after a, both included",
        "keeps a for 5000 ms, b for 0 ms",
        "tells an a without b 5001 ms after it, and no pair",
        "gives account, amount",
    ]


def test_a_failure_names_the_rule_and_its_sql():
    rule = m1cep.compile_rule(f"{PAIRS}\nAND POWER(w.amount, p.amount) > 1", STREAMS, "fails")
    rule.module.namespace["power"] = lambda *_: 1 // 0
    running = m1cep.Engine([rule])
    running.push("w", withdrawals(1))
    with pytest.raises(m1cep.RuleFailure, match="rule 'fails' failed: ZeroDivisionError") as caught:
        running.push("p", approvals(2)) + running.finish()
    assert caught.value.line == 2
