"""The reference matcher itself: what it says is the standard's, shown on letters."""

import pytest
from reference.compare import STREAMS, check
from reference.expressions import Aggregate, And, Binary, Classifier, Field, IsNull, Literal, Nav, Not, Or, Shift, View
from reference.patterns import Absent, Alt, Anchor, Exclude, Loop, Nothing, Permute, Seq, TooHardError, Var
from reference.query import ALL_ROWS, OMIT_EMPTY, UNMATCHED, Query, SkipError

import m1cep

A, B, C, X = Var("A"), Var("B"), Var("C"), Var("X")
LETTERS = {name: Binary("=", Field("l"), Literal(name)) for name in "ABC"}


def star(part, greedy=True):
    return Loop(part, 0, None, greedy)


def plus(part, greedy=True):
    return Loop(part, 1, None, greedy)


def seq(*parts):
    return Seq(parts)


def rows(text, values=None, times=None):
    values = values or [None] * len(text)
    times = times or [1000 * i for i in range(len(text))]
    return [
        {"event_id": f"{c}{i}", "k": "k", "l": c, "v": v, "n": None, "ts": t}
        for i, (c, v, t) in enumerate(zip(text, values, times, strict=True))
    ]


def found(pattern, text, *, define=None, values=None, times=None, **clauses):
    """The letters of each output row."""
    query = Query(pattern, LETTERS | (define or {}), {"who": Classifier()}, **clauses)
    return ["".join(e[0] for e in out.events) for out in query.run(rows(text, values, times))]


def classified(pattern, text, **clauses):
    """(letter, variable) of each output row."""
    query = Query(
        pattern, LETTERS, {"who": Classifier()}, rows_per_match=clauses.pop("rows_per_match", ALL_ROWS), **clauses
    )
    return [(out.row["l"], out.row["who"]) for out in query.run(rows(text))]


class TestPreference:
    @pytest.mark.parametrize(
        ("pattern", "text", "expected"),
        [
            (seq(A, star(X), B), "AABAB", ["AABAB"]),
            (seq(A, star(X, greedy=False), B), "AABAB", ["AAB", "AB"]),
            (Alt((A, seq(A, B))), "AB", ["A"]),
            (seq(Loop(A, 1, 2, greedy=False), B), "AAB", ["AAB"]),
            (Loop(A, 1, 2, greedy=False), "AAB", ["A", "A"]),
            (Loop(A, 2, 2), "AAAAA", ["AA", "AA"]),
            (seq(Loop(A, 0, 1, greedy=False), X), "AB", ["A", "B"]),
            (seq(plus(plus(A)), B), "AAAB", ["AAAB"]),
        ],
    )
    def test_the_first_way_wins(self, pattern, text, expected):
        assert found(pattern, text) == expected

    def test_permute_prefers_the_order_of_its_list(self):
        anything = Permute((Var("P"), Var("Q"), A))
        assert classified(anything, "AAA") == [("A", "P"), ("A", "Q"), ("A", "A")]
        assert classified(anything, "ABB") == [("A", "A"), ("B", "P"), ("B", "Q")]

    def test_an_iteration_without_a_row_ends_an_optional_loop_and_counts_in_an_obligatory_one(self):
        assert found(seq(A, star(Loop(A, 0, 1, greedy=False))), "AAA") == ["A", "A", "A"]
        assert found(seq(A, star(Loop(A, 0, 1))), "AAA") == ["AAA"]
        assert found(seq(Loop(Alt((Nothing(), A)), 2, 2), B), "AAB") == ["AAB"]


class TestPartition:
    def test_anchors(self):
        assert found(seq(Anchor("^"), A), "AA") == ["A"]
        assert found(seq(A, Anchor("$")), "AAB") == []
        assert found(seq(A, Anchor("$")), "ABA") == ["A"]

    def test_within_is_exclusive(self):
        assert found(seq(A, B), "AB", times=[0, 999], within=1000) == ["AB"]
        assert found(seq(A, B), "AB", times=[0, 1000], within=1000) == []

    @pytest.mark.parametrize(
        ("skip", "expected"),
        [
            ("PAST LAST ROW", ["AABB"]),
            ("TO NEXT ROW", ["AABB", "ABB"]),
            ("TO LAST B", ["AABB"]),
            ("TO FIRST B", ["AABB"]),
            ("TO B", ["AABB"]),
        ],
    )
    def test_skip(self, skip, expected):
        assert found(seq(Loop(A, 1, 2), B, B), "AABB", skip=skip) == expected

    def test_skip_to_nowhere(self):
        with pytest.raises(SkipError, match="first row"):
            found(seq(A, B), "AB", skip="TO FIRST A")
        with pytest.raises(SkipError, match="no row of C"):
            found(seq(A, B, Loop(C, 0, 1)), "AB", skip="TO C")

    @pytest.mark.parametrize(
        ("clause", "expected"),
        [
            (ALL_ROWS, [("A", "A"), ("A", "A"), ("B", None), ("A", "A")]),
            (OMIT_EMPTY, [("A", "A"), ("A", "A"), ("A", "A")]),
        ],
    )
    def test_empty_matches(self, clause, expected):
        assert classified(star(A), "AABA", rows_per_match=clause) == expected

    def test_unmatched_rows(self):
        assert classified(seq(A, B), "AABC", rows_per_match=UNMATCHED) == [
            ("A", None),
            ("A", "A"),
            ("B", "B"),
            ("C", None),
        ]

    def test_exclusion_hides_rows_and_nothing_else(self):
        assert classified(seq(A, Exclude(plus(B)), C), "ABBC") == [("A", "A"), ("C", "C")]


class TestAbsence:
    #  A at 0 s; the time is up at 3 s: a C at 2.999 s comes, one at 3 s does not
    def test_the_bound_is_exclusive(self):
        pattern = seq(A, Absent("C"))
        assert found(pattern, "AC", times=[0, 2999], within=3000) == []
        assert found(pattern, "AC", times=[0, 3000], within=3000) == ["A"]

    def test_rows_between_pass_and_begin_the_next_match(self):
        assert found(seq(A, B, Absent("C")), "ABAB", within=10_000) == ["AB", "AB"]
        assert found(seq(A, B, Absent("C")), "ABABC", within=10_000) == []

    def test_another_way_is_tried_when_the_row_comes(self):
        later = {"C": And(LETTERS["C"], Binary("=", Aggregate("COUNT", variable="B"), Literal(2)))}
        assert found(seq(A, plus(B), Absent("C")), "ABBC", within=10_000, define=later) == ["AB"]


class TestExpressions:
    #                 row  0     1     2     3      mapped: rows 1 to 3 as A B A
    view = View(rows("XABA", values=[7.0, 1.0, None, 3.0]), ((1, "A"), (2, "B"), (3, "A")), (), {"U": ("A", "B")}, 1)

    @pytest.mark.parametrize(
        ("expr", "value"),
        [
            (Field("v"), 3.0),
            (Field("v", "B"), None),
            (Field("v", "C"), None),
            (Nav("FIRST", Field("v", "A")), 1.0),
            (Nav("LAST", Field("v", "A"), 1), 1.0),
            (Nav("LAST", Field("v", "A"), 2), None),
            (Shift("PREV", Nav("FIRST", Field("v", "A"))), 7.0),
            (Shift("PREV", Field("v"), 3), 7.0),
            (Shift("PREV", Field("v"), 4), None),
            (Shift("NEXT", Field("v", "B")), 3.0),
            (Shift("NEXT", Field("v")), None),
            (Classifier(), "A"),
            (Classifier("U"), "A"),
            (Classifier("B"), "B"),
            (Shift("PREV", Classifier()), "B"),
            (Shift("PREV", Classifier(), 3), None),
            (Aggregate("COUNT"), 3),
            (Aggregate("COUNT", Field("v")), 2),
            (Aggregate("COUNT", variable="B"), 1),
            (Aggregate("SUM", Field("v", "U")), 4.0),
            (Aggregate("AVG", Field("v")), 2.0),
            (Aggregate("SUM", Field("v", "B")), None),
            (Aggregate("COUNT", Field("l"), distinct=True), 2),
        ],
    )
    def test_value(self, expr, value):
        assert expr.eval(self.view) == value

    def test_unknown(self):
        yes, no, unknown = Literal(value=True), Literal(value=False), Literal(None)
        assert And(no, unknown).eval(self.view) is False
        assert And(yes, unknown).eval(self.view) is None
        assert Or(yes, unknown).eval(self.view) is True
        assert Or(no, unknown).eval(self.view) is None
        assert Not(unknown).eval(self.view) is None
        assert IsNull(unknown).eval(self.view) is True
        assert Binary("=", unknown, unknown).eval(self.view) is None


class TestComparison:
    query = Query(seq(A, B), LETTERS, {"v": Field("v", "B")})

    def test_a_difference_is_shown_as_sql_and_a_table(self, monkeypatch):
        monkeypatch.setattr(Query, "run", lambda _self, _rows: [])
        with pytest.raises(AssertionError) as error:
            check(self.query, rows("AB", values=[1.0, 2.0]))
        text = str(error.value)
        for part in (
            "PATTERN (A B)",
            "      A0        k        A      1.0",
            "expected\n  nothing",
            "got\n  k: [A0 B1]  v=2.0",
        ):
            assert part in text

    def test_a_rule_that_the_engine_refuses_is_a_difference(self):
        with pytest.raises(AssertionError, match="no column"):
            check(Query(A, {"A": Binary("=", Field("nowhere"), Literal(1))}, {"n": Aggregate("COUNT")}), [])

    def test_backtracking_that_takes_too_long_is_given_up(self):
        endless = Query(seq(plus(plus(plus(A))), B), LETTERS, {"n": Aggregate("COUNT")})
        with pytest.raises(TooHardError):
            endless.run(rows("A" * 20))
        assert check(endless, rows("A" * 20)) == "too hard"

    def test_equal_results(self):
        assert check(self.query, rows("AB", values=[1.0, 2.0])) == "match"
        assert check(self.query, rows("BA", values=[1.0, 2.0])) == "no match"
        assert m1cep.compile_rule(self.query.sql(), STREAMS).plan
