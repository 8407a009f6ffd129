"""What a row pattern matches. Times are seconds from the first row."""

import pytest
from letters import LETTERS, alerts, matches, rows, rule_text

import m1cep


class TestQuantifiers:
    @pytest.mark.parametrize(
        ("pattern", "text", "expected"),
        [
            ("A B C", "ABC", ["ABC"]),
            ("A B C", "ABXC", []),  # rows of a match follow one another
            ("A X*? C", "ABBC", ["ABBC"]),
            ("A B+ C", "ABBBC", ["ABBBC"]),
            ("A B+ C", "AC", []),
            ("A B* C", "AC", ["AC"]),
            ("A B? C", "ABBC", []),
            ("A{3} B", "AAAAB", ["AAAB"]),
            ("A{3,} B", "AAAAB", ["AAAAB"]),
            ("A{1,2} B", "AAAB", ["AAB"]),
            ("A{,2} B", "AAAB", ["AAB"]),
            ("(A B){2} C", "ABABC", ["ABABC"]),
            ("(A B)+ C", "ABABABC", ["ABABABC"]),
            ("A (B | C) D", "ACDABD", ["ACD", "ABD"]),
            ("A B", "ABAB", ["AB", "AB"]),
        ],
    )
    def test_match(self, pattern, text, expected):
        assert matches(pattern, text) == expected

    def test_greedy_takes_as_much_as_it_can_and_reluctant_as_little(self):
        assert matches("A X* B", "ABCB") == ["ABCB"]
        assert matches("A X*? B", "ABCB") == ["AB"]

    def test_a_greedy_end_is_reported_as_soon_as_it_can_grow_no_more(self):
        text = rule_text("A B+")
        [alert] = alerts(text, rows("ABBB"))  # at the end of input
        assert len(alert.events) == 4
        [alert] = alerts(text, rows("ABBX"))  # at the row that does not fit
        assert alert.events == ["A0", "B1", "B2"]

    def test_rows_of_a_match_begin_no_other(self):
        assert matches("A A", "AAAA") == ["AA", "AA"]
        assert matches("A X A", "AAAAA") == ["AAA"]

    def test_the_match_that_begins_first_wins(self):
        # From row 0 a match takes all five rows; the one inside it, complete at row 2, is part of it.
        assert matches("A B C X D | B C", "ABCBD") == ["ABCBD"]
        # When the first fails, the one inside it is reported, in its place.
        assert matches("A B C X D | B C", "ABCBA") == ["BC"]


class TestWithin:
    #  time    0 ──────── 9.999 | 10        WITHIN 10 SECOND: last - first < 10 s
    def test_the_bound_is_exclusive(self):
        assert matches("A B", "AB", times=[0, 9_999], within="10 SECOND") == ["AB"]
        assert matches("A B", "AB", times=[0, 10_000], within="10 SECOND") == []

    def test_an_attempt_out_of_time_gives_way_to_the_next(self):
        #  A0 at 0 s, A1 at 6 s, B at 12 s: A0 is too old, A1 is not
        assert matches("A X*? B", "AAB", times=[0, 6_000, 12_000], within="10 SECOND") == ["AB"]

    def test_a_greedy_match_is_reported_when_its_time_is_up_even_if_the_key_is_silent(self):
        text = rule_text("A B+", within="10 SECOND")
        events = rows("AB", key="k1") + rows("X", key="k2", times=[10_000])
        [alert] = alerts(text, events, batch=1)[:1]
        assert alert.events == ["A0", "B1"]

    def test_keys_do_not_see_each_other(self):
        events = rows("A", key="k1") + rows("B", key="k2", times=[1])
        assert alerts(rule_text("A B"), events) == []


class TestConditions:
    def test_another_variable_is_its_last_row(self):
        assert matches("A+ B", "AAB", values=[1, 5, 6], B="B.l = 'B' AND B.v > A.v") == ["AAB"]
        assert matches("A+ B", "AAB", values=[5, 6, 6], B="B.l = 'B' AND B.v > A.v") == []

    def test_first_last_and_offsets(self):
        assert matches("A+ B", "AAAB", values=[1, 2, 3, 1], B="B.v = FIRST(A.v)") == ["AAAB"]
        assert matches("A+ B", "AAAB", values=[1, 2, 3, 2], B="B.v = FIRST(A.v, 1)") == ["AAAB"]
        assert matches("A+ B", "AAAB", values=[1, 2, 3, 2], B="B.v = LAST(A.v, 1)") == ["AAAB"]
        assert matches("A+ B", "AAAB", values=[1, 2, 3, 9], B="B.v = LAST(A.v, 5) OR LAST(A.v, 5) IS NULL") == ["AAAB"]

    def test_prev_is_the_row_before_in_the_partition_whether_matched_or_not(self):
        assert matches("A", "XA", values=[1, 2], A="A.l = 'A' AND A.v > PREV(A.v)") == ["A"]
        assert matches("A", "XA", values=[3, 2], A="A.l = 'A' AND A.v > PREV(A.v)") == []
        assert matches("A", "A", values=[3], A="PREV(A.v) IS NULL") == ["A"]
        assert matches("A", "XXA", values=[7, 1, 7], A="A.l = 'A' AND A.v = PREV(A.v, 2)") == ["A"]

    @pytest.mark.parametrize(
        ("condition", "value", "expected"),
        [
            ("COUNT(A.*) = 3", 0, ["AAAB"]),
            ("SUM(A.v) = B.v", 6, ["AAAB"]),
            ("AVG(A.v) = B.v", 2, ["AAAB"]),
            ("MIN(A.v) = B.v", 1, ["AAAB"]),
            ("MAX(A.v) = B.v", 3, ["AAAB"]),
            ("COUNT(*) = 4", 0, ["AAAB"]),
            ("SUM(A.v) > B.v", 6, []),
        ],
    )
    def test_aggregates_over_a_variable(self, condition, value, expected):
        assert matches("A+ B", "AAAB", values=[1, 2, 3, value], B=f"B.l = 'B' AND {condition}") == expected

    def test_an_aggregate_over_the_variable_itself_has_the_present_row_in_it(self):
        assert matches("A+ X", "AAAA", values=[1, 1, 1, 1], A="COUNT(A.*) <= 2") == ["AAA"]

    def test_null_is_not_true(self):
        assert matches("A B", "AB", values=[None, 1], B="B.v > A.v") == []
        assert matches("A B", "AB", values=[None, 1], B="NOT (B.v > A.v)") == []
        assert matches("A B", "AB", values=[None, 1], B="A.v IS NULL") == ["AB"]

    def test_an_undefined_variable_is_any_row(self):
        assert matches("A X B", "A?B") == ["A?B"]


class TestMeasures:
    def test_row_and_key(self):
        measures = "A.ts AS began, LAST(B.v) AS v, FIRST(B.v) AS f, AVG(B.v) AS mean, COUNT(*) AS n, B.v * 2 AS twice"
        [alert] = alerts(rule_text("A B+ C", measures=measures), rows("ABBC"))
        assert alert.row == {"k": "k", "began": 0, "v": 2.0, "f": 1.0, "mean": 1.5, "n": 4, "twice": 4.0}
        assert alert.key == {"k": "k"}
        assert alert.event_time == 3000
        assert alert.events == ["A0", "B1", "B2", "C3"]

    def test_outer_select_and_where(self):
        text = rule_text("A B+", measures="COUNT(B.*) AS bs", select="bs + 1 AS more", where="AS m WHERE m.bs > 1")
        assert [a.row for a in alerts(text, rows("ABXABBX"))] == [{"more": 3}]

    def test_an_aggregate_over_no_rows_is_null_and_count_is_zero(self):
        [alert] = alerts(rule_text("A B*? C", measures="SUM(B.v) AS s, COUNT(B.*) AS n, B.v AS v"), rows("AC"))
        assert alert.row == {"k": "k", "s": None, "n": 0, "v": None}


class TestBounds:
    def test_without_within_the_oldest_of_too_many_open_attempts_is_dropped_and_counted(self):

        text = "/*\nid: open\nmax_open: 3\n*/" + rule_text("A X*? B", within="", B="B.l = 'B' AND B.v <= A.v")
        engine = m1cep.Engine([m1cep.compile_rule(text, LETTERS)])
        engine.push("letters", rows("AAAAA"))
        assert engine.counters()["open"]["open"] == 3
        assert engine.counters()["open"]["dropped"] == 2
        [alert] = engine.push("letters", rows("B", times=[9000]))
        assert alert.events == ["A2", "A3", "A4", "B0"]

    def test_without_within_equal_attempts_are_followed_as_one(self):
        engine = m1cep.Engine([m1cep.compile_rule(rule_text("A X*? B", within=""), LETTERS, "r")])
        engine.push("letters", rows("AAAAA"))
        assert engine.counters()["r"]["open"] == 1
        [alert] = engine.push("letters", rows("B", times=[9000]))
        assert alert.events == ["A0", "A1", "A2", "A3", "A4", "B0"]

    def test_without_within_rows_beyond_max_rows_drop_the_oldest_attempt(self):
        text = "/*\nid: long\nmax_rows: 100\n*/" + rule_text("A X*? B", within="")
        engine = m1cep.Engine([m1cep.compile_rule(text, LETTERS)])
        engine.push("letters", rows("A" + "X" * 300))
        assert engine.counters()["long"] == {"alerts": 0, "open": 0, "keys": 0, "dropped": 1, "suppressed": 0}

    def test_state_leaves_when_within_has_passed(self):

        engine = m1cep.Engine([m1cep.compile_rule(rule_text("A B", within="1 SECOND"), LETTERS, "r")])
        for i in range(100):
            engine.push("letters", rows("A", key=f"k{i}"))
        assert engine.counters()["r"]["keys"] == 100
        engine.push("letters", rows("X", key="other", times=[1000]))
        assert engine.counters()["r"]["keys"] == 0

    def test_nested_loops_do_not_explode(self):
        engine_rows = rows("A" * 300)
        assert matches("(A+)+ B", "A" * 300 + "B") == ["A" * 300 + "B"]
        assert alerts(rule_text("((A+)+ | A+)+ B"), engine_rows) == []


def test_the_kafka_key_of_an_alert_is_its_partitions_key():
    [alert] = alerts(rule_text("A"), rows("A", key="é|1"))
    assert alert.key_text == "é|1"
    [alert] = alerts(rule_text("A").replace("PARTITION BY k", "PARTITION BY k, v"), rows("A"))
    assert alert.key_text == '["k",0.0]'


def test_a_complete_match_is_reported_when_its_attempt_is_dropped_for_max_open():

    text = "/*\nid: open\nmax_open: 1\n*/" + rule_text("A (X*? B)?", within="", B="B.l = 'B' AND B.v > A.v")
    engine = m1cep.Engine([m1cep.compile_rule(text, LETTERS)])
    [alert] = engine.push(
        "letters", rows("AA")
    )  # the second attempt pushes out the first, which may end as A or as A..B
    assert alert.events == ["A0"]
    assert engine.counters()["open"]["dropped"] == 1
