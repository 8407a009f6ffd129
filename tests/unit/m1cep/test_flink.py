"""Rules as jobs for Flink SQL. What Flink itself makes of them is in tests/streams/test_flink.py."""

import re
from pathlib import Path

import pytest

import m1cep
from m1cep.sql.flink import Connector, flink_job
from m1cep.sql.flink.overlap import can_both_hold
from m1cep.sql.flink.tables import interval_ms, literal, quoted
from streams.files import load_streams, packaged_rules_dir

GOLDEN = Path(__file__).parents[2] / "golden_flink"
STREAMS = load_streams()
MATCH = """SELECT {select} FROM {source} MATCH_RECOGNIZE (
PARTITION BY account ORDER BY ts
MEASURES {measures}
{rows}
PATTERN ({pattern}) {within}
{subset}
DEFINE {define}
)"""
ABC = "A AS A.action = 'new', B AS B.action = 'cancel', C AS C.side = 'sell'"


def conditions(pattern):
    """Those of A, B and C that the pattern has."""
    return ", ".join(d for d in ABC.split(", ") if re.search(rf"\b{d[0]}\b", pattern))


def match(
    pattern="A B C",
    define=None,
    measures="A.qty AS a",
    rows="",
    subset="",
    within="WITHIN INTERVAL '10' SECOND",
    select="*",
    source="orders",
):
    define = define or conditions(pattern)
    return MATCH.format(**locals())


def job(text, streams=STREAMS, **options):
    return flink_job(text, streams, name="r", **options)


def query(text, streams=STREAMS):
    """The SELECT of the job, on one line."""
    made = job(text, streams)
    assert [str(p) for p in made.problems] == []
    insert = made.statements[-1]
    return " ".join(insert[insert.index("FROM (") + 6 : -1].split())


def problems(text, streams=STREAMS):
    made = job(text, streams)
    assert bool(made.problems) == (made.sql == "")
    return [(p.line, p.column, p.message) for p in made.problems]


def notes(text, streams=STREAMS):
    made = job(text, streams)
    assert made.problems == ()
    return [(n.line, n.column, n.message) for n in made.notes]


@pytest.mark.parametrize("rule", ["market/fleeting-orders", "market/order-to-trade-ratio"])
def test_packaged_rules_as_jobs(rule, request):
    file = packaged_rules_dir() / f"{rule}.sql"
    made = flink_job(file.read_text(), STREAMS, name=file.name, connector=Connector(broker="kafka:9092"))
    golden = GOLDEN / file.name
    if request.config.getoption("--update-golden"):
        golden.write_text(made.sql)
    assert made.sql == golden.read_text()


class TestTables:
    DDL = """CREATE TABLE trades (
      Id STRING, `when` BIGINT, at TIMESTAMP(6), event_time STRING, amount DECIMAL(10, 2), tags ARRAY<STRING>,
      m MAP<STRING, DOUBLE>, r ROW<x INT, y TIMESTAMP(3)>,
      WATERMARK FOR at AS at - INTERVAL '1.5' MINUTE
    ) PARTITIONED BY (Id) WITH ('topic' = 'it''s');
    CREATE TABLE prices (Id STRING, at TIMESTAMP(6), price INT, WATERMARK FOR at AS at) PARTITIONED BY (Id);
    CREATE VIEW both_of AS SELECT Id, 'trade' AS kind, CAST(NULL AS INT) AS price, at FROM trades
      UNION ALL SELECT Id, 'a price' AS kind, price, at FROM prices;"""

    def test_a_table(self):
        streams = m1cep.parse_streams(self.DDL.replace("`", '"'))
        made = job("SELECT id, at FROM trades WHERE amount > 5", streams, connector=Connector(folder="/data/"))
        create = next(s for s in made.statements if s.startswith("CREATE TABLE trades"))
        assert create.split("\n) WITH")[0].splitlines()[1:] == [
            "  Id STRING,",
            "  `when` BIGINT,",
            "  `at` BIGINT,",
            "  event_time STRING,",
            "  amount DECIMAL(10, 2),",
            "  tags ARRAY<STRING>,",
            "  m MAP<STRING, DOUBLE>,",
            "  r ROW<x INT, y BIGINT>,",
            "  flink_event_time AS TO_TIMESTAMP_LTZ(`at` / 1000, 3),",
            "  WATERMARK FOR flink_event_time AS flink_event_time - INTERVAL '90.001' SECOND",
        ]
        assert "'path' = '/data/trades.ndjson'" in create
        assert "Id AS id" in made.statements[-1]  # Flink tells upper from lower case
        assert made.notes[0].message.startswith("rows of the same millisecond")

    def test_a_view_casts_constants_so_that_their_lengths_do_not_matter(self):
        streams = m1cep.parse_streams(self.DDL.replace("`", '"'))
        made = job("SELECT id, kind FROM both_of", streams)
        create = next(s for s in made.statements if s.startswith("CREATE VIEW"))
        assert create.splitlines()[1] == (
            "  SELECT Id, CAST('trade' AS STRING) AS kind, CAST(NULL AS INT) AS price, `at`, flink_event_time"
        )
        assert [s.split()[2] for s in made.statements if s.startswith("CREATE")] == [
            "trades",
            "prices",
            "both_of",
            "alerts",
        ]
        assert "'topic' = 'it''s'" in made.sql

    def test_the_watermark_leaves_equal_times_open(self):
        """Flink calls an event as old as the watermark late."""
        made = job("SELECT symbol FROM market")
        assert "WATERMARK FOR event_time AS event_time - INTERVAL '0.001' SECOND" in made.sql

    @pytest.mark.parametrize(
        ("ms", "text"),
        [
            (1, "INTERVAL '0.001' SECOND"),
            (99_999, "INTERVAL '99.999' SECOND"),
            (60_000, "INTERVAL '1' MINUTE"),
            (90_000, "INTERVAL '90' SECOND"),
            (600_500, "INTERVAL '0 00:10:00.500' DAY TO SECOND(3)"),
            (7_200_000, "INTERVAL '2' HOUR"),
            (100 * 86_400_000, "INTERVAL '100 00:00:00.000' DAY(3) TO SECOND(3)"),
        ],
    )
    def test_intervals_fit_flinks_units(self, ms, text):
        assert interval_ms(ms) == text

    def test_names_and_constants(self):
        assert [quoted(n) for n in ("price", "row", "Value", "a b", "x`y")] == [
            "price",
            "`row`",
            "`Value`",
            "`a b`",
            "`x``y`",
        ]
        assert [literal(v) for v in (None, True, 3, 0.5, 1e-7, "it's")] == [
            "NULL",
            "TRUE",
            "3",
            "0.5e0",
            "1e-07",
            "'it''s'",
        ]


class TestTranslation:
    def test_parameters_become_constants(self):
        text = "/*\nparams: {n: 3, f: 0.5, s: it's, b: true, d: 2 s, far: 5000000000}\n*/ SELECT qty FROM orders WHERE qty > :n"
        text += " AND qty < :f AND side = :s AND :b AND ts + :d > ts AND qty < :far"
        assert query(text).endswith(
            "qty > 3 AND qty < 0.5e0 AND side = 'it''s' AND TRUE AND ts + 2000 > ts AND qty < CAST(5000000000 AS BIGINT)"
        )

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            ("qty / price", "qty / NULLIF(price, 0)"),
            ("qty / 2", "qty / 2"),
            ("LENGTH(side) % LENGTH(symbol)", "MOD(CHAR_LENGTH(side), NULLIF(CHAR_LENGTH(symbol), 0))"),
            ("LN(qty)", "CASE WHEN qty > 0 THEN LN(qty) END"),
            ("SQRT(qty)", "CASE WHEN qty >= 0 THEN SQRT(qty) END"),
            ("IF(qty > 1, 1, 2)", "CASE WHEN qty > 1 THEN 1 ELSE 2 END"),
            ("CAST(qty AS INT)", "TRY_CAST(qty AS INT)"),
            ("CAST(NULL AS DOUBLE)", "CAST(NULL AS DOUBLE)"),
            ("EXTRACT(DAYOFWEEK FROM ts)", "EXTRACT(DOW FROM TO_TIMESTAMP_LTZ(ts, 3))"),
            ("ts + INTERVAL '2' SECOND", "ts + 2000"),
            ("ts - INTERVAL '1' MINUTE", "ts - 60000"),
            ("INTERVAL '2' SECOND", "2000000"),
            ("TIMESTAMP '2026-05-01 12:00:00'", "1777636800000"),
            ("QTY", "qty AS QTY"),
            ("Orders.Qty", "orders.qty"),
        ],
    )
    def test_expressions(self, ours, theirs):
        alias = "" if ours in {"QTY", "Orders.Qty"} else " AS x"
        assert f"SELECT {theirs}{alias}" in query(f"SELECT {ours}{alias} FROM orders")

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            ("C.ts - A.ts", "(C.ts - A.ts) * 1000"),
            ("COUNT(A.*)", "COUNT(A.ts)"),
            ("COUNT(*)", "COUNT(*)"),
            ("COUNT(A.*) FILTER (WHERE A.qty > 1)", "COUNT(CASE WHEN A.qty > 1 THEN A.ts END)"),
            ("SUM(A.qty) FILTER (WHERE A.qty > 1)", "SUM(CASE WHEN A.qty > 1 THEN A.qty END)"),
            ("AVG(LENGTH(A.side))", "AVG(CAST(CHAR_LENGTH(A.side) AS DOUBLE))"),
            ("AVG(A.qty)", "AVG(A.qty)"),
            ("FINAL LAST(A.qty, 1)", "LAST(A.qty, 1)"),
            ("RUNNING FIRST(a.QTY)", "FIRST(A.qty)"),
        ],
    )
    def test_measures(self, ours, theirs):
        assert f"MEASURES {theirs} AS m ONE ROW" in query(match(measures=f"{ours} AS m"))

    def test_skip_is_always_written_since_flinks_default_is_another(self):
        assert "AFTER MATCH SKIP PAST LAST ROW PATTERN" in query(match())
        assert "AFTER MATCH SKIP TO LAST B PATTERN" in query(match(rows="AFTER MATCH SKIP TO b"))

    def test_quantifiers(self):
        text = query(match("a{,2} B{2} B2{1,3}? D*? C", ABC + ", D AS D.qty < 1, B2 AS B2.action = 'new'"))
        assert "PATTERN (a{0,2} B{2} B2{1,3}? D*? C)" in text

    def test_a_variable_that_nothing_speaks_of_may_come_twice(self):
        text = query(match("A X*? B X*? C", f"{ABC}, X AS X.qty < 1"))
        assert "PATTERN (A X*? B X_2*? C)" in text
        assert "X AS X.qty < 1, B AS B.action = 'cancel', X_2 AS X_2.qty < 1" in text

    def test_prev_of_a_row_inside_the_match(self):
        """The row before in the partition is the row before in the match, where the match has one."""
        define = "B AS B.qty > PREV(B.qty), C AS PREV(qty + price, 2) > 1"
        assert "B AS B.qty > LAST(qty, 1), C AS LAST(qty + price, 2) > 1" in query(match(define=define))

    def test_over(self):
        text = """SELECT account, AVG(LENGTH(side)) FILTER (WHERE qty > 1) OVER (PARTITION BY Account ORDER BY ts
          RANGE BETWEEN INTERVAL '1.5' SECOND PRECEDING AND CURRENT ROW) AS n FROM orders QUALIFY n > 1"""
        assert query(text) == (
            "SELECT account, AVG(CASE WHEN qty > 1 THEN CAST(CHAR_LENGTH(side) AS DOUBLE) END) OVER ( PARTITION BY account"
            " ORDER BY event_time RANGE BETWEEN INTERVAL '1.500' SECOND PRECEDING AND CURRENT ROW ) AS n"
            " FROM orders QUALIFY n > 1"
        )

    def test_a_subquery_hands_event_time_on(self):
        text = query(match(source="(SELECT account, qty, action, side, ts FROM orders WHERE qty > 1)"))
        assert "SELECT account, qty, action, side, ts, event_time FROM orders" in text

    def test_alerts_have_the_types_of_the_rule(self):
        made = job(match(measures="COUNT(*) AS n, A.side AS s, C.ts - A.ts AS span, A.ts AS at"))
        assert "ROW<account STRING, n BIGINT, s STRING, span BIGINT, `at` BIGINT>" in made.sql
        assert "SELECT 'r', 'medium', ROW(account, n, s, span, `at`)" in made.sql


class TestProblems:
    @pytest.mark.parametrize(
        ("pattern", "column", "what"),
        [
            ("A | B C", 10, "alternation | in PATTERN"),
            ("A (B | C)", 13, "alternation | in PATTERN"),
            ("A (B C)+ D", 17, "a group with a quantifier"),
            ("A PERMUTE(B, C)", 12, "PERMUTE in PATTERN"),
            ("^ A B C", 10, "^ and $ in PATTERN"),
            ("A B C $", 16, "^ and $ in PATTERN"),
            ("A B ABSENT(C)", 14, "ABSENT in PATTERN"),
            ("A () C", 12, "the empty pattern () in PATTERN"),
            ("A B??  C", 12, "the reluctant ??"),
            ("A B+", 12, "a greedy quantifier at the end of the pattern"),
            ("A B?", 12, "a greedy quantifier at the end of the pattern"),
            ("A* B* C*?", 10, "a pattern that may match no row"),
            ("A+ B? C", 13, "the optional B? after the greedy A+"),
            ("A X* C", 12, "X*, greedy and without a condition"),
        ],
    )
    def test_patterns(self, pattern, column, what):
        assert (5, column, what) in problems(match(pattern))

    def test_rows_per_match(self):
        for rows in ("ALL ROWS PER MATCH", "ALL ROWS PER MATCH OMIT EMPTY MATCHES"):
            assert problems(match(rows=rows)) == [(1, 22, "ALL ROWS PER MATCH")]
        with_rest = match(rows="ALL ROWS PER MATCH WITH UNMATCHED ROWS")
        assert problems(with_rest)[0][2] == "ALL ROWS PER MATCH WITH UNMATCHED ROWS"
        excluded = match("A {- B -} C", rows="ALL ROWS PER MATCH")
        assert (5, 12, "{- exclusion -} in PATTERN") in problems(excluded)

    def test_subset(self):
        assert problems(match(subset="SUBSET U = (A, B)", measures="U.qty AS q")) == [(6, 8, "SUBSET")]

    def test_a_variable_twice_that_a_measure_speaks_of(self):
        assert problems(match("A B A", "A AS A.qty > 1")) == [(5, 14, "variable A twice in PATTERN")]

    @pytest.mark.parametrize(
        ("measure", "what"),
        [
            ("CLASSIFIER()", "CLASSIFIER"),
            ("MATCH_NUMBER()", "MATCH_NUMBER"),
            ("NEXT(A.qty)", "NEXT"),
            ("PREV(A.qty)", "PREV"),
            ("PREV(LAST(A.qty), 2)", "PREV"),
            ("A.qty % 2", "% of DOUBLE"),
            ("CAST(A.ts AS STRING)", "CAST of a time is not translated"),
        ],
    )
    def test_measures(self, measure, what):
        assert [p[2] for p in problems(match(measures=f"{measure} AS m"))] == [what]

    def test_distinct_in_a_pattern_but_not_in_over(self):
        [(line, _, what)] = problems(match(measures="COUNT(DISTINCT A.side) AS m"))
        assert (line, what) == (3, "DISTINCT")

    def test_prev_of_what_may_be_the_first_row(self):
        assert problems(match("A? B C", "B AS B.qty > PREV(B.qty)"))[0][2] == "PREV"

    def test_one_window_shape_a_select(self):
        frame = "PARTITION BY account ORDER BY ts RANGE BETWEEN INTERVAL '{}' SECOND PRECEDING AND CURRENT ROW"
        text = f"""SELECT account, COUNT(*) OVER ({frame.format(5)}) AS a, SUM(qty) OVER ({frame.format(5)}) AS b,
SUM(qty) OVER ({frame.format(6)}) AS c FROM orders"""
        assert problems(text) == [(2, 1, "a second OVER window")]

    def test_every_problem_says_where_and_why(self):
        made = job(match("A B+"))
        assert str(made.problems[0]) == (
            "r:5:12: a greedy quantifier at the end of the pattern\n"
            "   5 | PATTERN (A B+) WITHIN INTERVAL '10' SECOND\n"
            "     |            ^^\n"
            "hint: Flink cannot tell when it is over; end it reluctantly, or with a variable for the row that does not fit"
        )

    def test_a_text_that_is_no_rule_is_an_error(self):
        with pytest.raises(m1cep.RuleError, match="has no column"):
            job("SELECT nothing FROM orders")

    @pytest.mark.parametrize(
        ("expression", "what"),
        [
            ("IN_LIST('sanctions', account)", "IN_LIST"),
            ("PARAM('most', account)", "PARAM"),
            ("EXTRACT(WEEK FROM ts)", "EXTRACT(WEEK ...) is not translated"),
            ("FLOOR(ts TO HOUR)", "FLOOR of a time is not translated"),
            ("TRIM(LEADING 'x' FROM side)", "TRIM of other characters than blanks is not translated"),
            ("REVERSE(side)", "not translated: REVERSE(side)"),
        ],
    )
    def test_expressions(self, expression, what):
        assert [p[2] for p in problems(f"SELECT {expression} AS x FROM orders")] == [what]


class TestNotes:
    def test_none_where_conditions_exclude_each_other(self):
        assert notes(match("A+ B C", "A AS A.action = 'new', B AS B.action = 'cancel'")) == []

    def test_a_greedy_loop_gives_nothing_back(self):
        [(line, column, what)] = notes(match("A+ B C", "A AS A.action = 'new', B AS B.side = 'buy'"))
        assert (line, column) == (5, 10)
        assert "Flink keeps it for A and may find no match" in what

    def test_an_optional_variable_is_not_greedy(self):
        [(_, _, what)] = notes(match("A B? C", "A AS A.action = 'new', B AS B.action = 'new', C AS C.qty > 1"))
        assert "Flink takes it for C, SQL for B" in what

    def test_what_depends_on_the_past(self):
        define = "A AS A.action = 'new', B AS B.action = 'cancel' AND B.qty > AVG(A.qty)"
        assert ["complete first" in n[2] for n in notes(match("A+ B", define))] == [True]

    def test_without_within(self):
        assert "keeps unfinished matches for ever" in notes(match(within=""))[0][2]

    def test_suppress(self):
        [(line, _, what)] = notes("/*\nid: x\nsuppress: 10 min\n*/\nSELECT qty FROM orders")
        assert (line, what) == (3, "suppress: 10 min is not known there: every alert is written")

    def test_the_job_begins_with_them(self):
        assert (
            "-- Differs (line 5): where a row fits A and B alike"
            in job(match("A+ B", "A AS A.qty > 1, B AS B.qty > 2")).sql
        )


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        ("A.x = 1", "B.x = 1", True),
        ("A.x = 1", "B.x = 2", False),
        ("A.x IN (1, 2)", "B.x IN (2, 3)", True),
        ("A.x IN (1, 2)", "3 = x", False),
        ("A.x = 'a' AND A.y > 3", "B.x <> 'a'", False),
        ("A.y < 3", "B.y >= 3", False),
        ("A.y <= 3", "B.y >= 3", True),
        ("A.y < 3", "B.y > :n", False),
        ("A.x = 5", "B.x < 5", False),
        ("A.x = 1", "A.x = 2", True),  # the other row's column
        ("A.x = 1 OR A.y = 2", "B.x = 3", True),
        ("A.x = 'a'", "B.x < 5", True),
    ],
)
def test_whether_two_conditions_can_hold_for_one_row(a, b, both):
    select = "SELECT 1 AS one FROM t MATCH_RECOGNIZE (PATTERN (A B) DEFINE A AS {}, B AS {})".format(a, b)  # noqa: UP032
    from m1cep.errors import SourceText
    from m1cep.sql.dialect import parse

    left, right = (d.this for d in parse(SourceText(select, "r"))[0].args["match"].args["define"])
    assert can_both_hold(left, right, ("A", "B"), {"n": 3}) is both


class TestWindowsAndJoins:
    SELECT = "SELECT account, window_end FROM TABLE({}) GROUP BY account, window_start, window_end"

    def test_a_window_function_takes_the_computed_time_and_its_bounds_become_numbers(self):
        text = query(self.SELECT.format("TUMBLE(TABLE Orders, DESCRIPTOR(ts), INTERVAL '90' SECOND)"))
        assert "TABLE( TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '90' SECOND) )" in text
        assert (
            "SELECT account, (UNIX_TIMESTAMP(CAST(window_end AS STRING)) * 1000 + EXTRACT(MILLISECOND FROM window_end)) AS"
            in text
        )
        assert text.endswith("GROUP BY account, window_start, window_end")

    @pytest.mark.parametrize(
        ("function", "what"),
        [
            ("SESSION(TABLE orders, DESCRIPTOR(ts), INTERVAL '2' SECOND)", "SESSION without PARTITION BY"),
            (
                "HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '3' SECOND)",
                "a window that is not a multiple of its slide",
            ),
        ],
    )
    def test_windows_that_flink_has_not(self, function, what):
        assert [p[2] for p in problems(self.SELECT.format(function))] == [what]

    def test_a_join_is_bounded_by_the_computed_times_and_nothing_else_is(self):
        text = """SELECT o.account, f.ts - o.ts AS span FROM orders o JOIN fills AS f ON O.account = f.account
          AND f.ts BETWEEN o.ts AND o.ts + INTERVAL '2' SECOND WHERE f.ts - o.ts > INTERVAL '1' SECOND"""
        assert query(text) == (
            "SELECT o.account, (f.ts - o.ts) * 1000 AS span FROM orders AS o JOIN fills AS f ON o.account = f.account"
            " AND f.event_time BETWEEN o.event_time AND o.event_time + INTERVAL '2' SECOND"
            " WHERE (f.ts - o.ts) * 1000 > 1000000"
        )
