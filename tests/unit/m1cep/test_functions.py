"""Scalar functions: value, NULL, the edges of their domain, and what they refuse."""

import pytest

import m1cep

STREAMS = m1cep.parse_streams(
    """CREATE TABLE s (k STRING, i BIGINT, j BIGINT, n INT, x DOUBLE, y DOUBLE, d DECIMAL(10, 2), t STRING, b BOOLEAN,
       u TIMESTAMP(6), tags ARRAY<STRING>, nums ARRAY<DOUBLE>, m MAP<STRING, BIGINT>,
       address ROW<country STRING, geo ROW<lat DOUBLE>>,
       ts TIMESTAMP(3), WATERMARK FOR ts AS ts) PARTITIONED BY (k) WITH ('topic' = 's')"""
)
NOON = 1_777_636_800_000  # 2026-05-01T12:00:00Z, a Friday
ROW = {
    "k": "a",
    "i": 7,
    "j": 2,
    "n": 3,
    "x": 1.5,
    "y": 2.5,
    "d": "1.10",
    "t": "Hello",
    "b": True,
    "u": NOON * 1000 + 1,
    "tags": ["a", "b"],
    "nums": [1, None],
    "m": {"one": 1, "none": None},
    "address": {"country": "CH", "geo": {"lat": 47.0}},
    "ts": NOON,
}


def value(sql, **changes):
    engine = m1cep.Engine([m1cep.compile_rule(f"SELECT {sql} AS v FROM s", STREAMS)])
    [alert] = engine.push("s", [ROW | changes])
    return alert.row["v"]


def true(sql, **changes):
    engine = m1cep.Engine([m1cep.compile_rule(f"SELECT k FROM s WHERE {sql}", STREAMS)])
    return bool(engine.push("s", [ROW | changes]))


def refused(sql):
    with pytest.raises(m1cep.RuleError) as caught:
        m1cep.compile_rule(f"SELECT {sql} AS v FROM s", STREAMS)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SIGN(-x)", -1.0),
        ("SIGN(i - 7)", 0),
        ("MOD(-i, j)", -1),
        ("MOD(x, 0)", None),
        ("LOG10(100)", 2.0),
        ("LOG2(8)", 3.0),
        ("LOG(3, 81)", 4.0),
        ("LOG(1, 5)", None),
        ("LOG10(0)", None),
        ("ROUND(1.25, 1)", "1.3"),
        ("ROUND(-x)", -2.0),  # half away from zero
        ("ROUND(1234.5, -2)", "1.2E+3"),
        ("ROUND(x, 400)", 1.5),
        ("ROUND(x, -400)", 0.0),
        ("TRUNCATE(-1.99, 1)", "-1.9"),
        ("CEILING(x)", 2.0),
        ("EXP(0)", 1.0),
        ("POW(2, 3)", 8.0),
        ("ABS(INTERVAL '1' SECOND - INTERVAL '3' SECOND)", 2_000_000),
    ],
)
def test_numbers(sql, expected):
    found = value(sql)
    assert (str(found) if isinstance(expected, str) else found) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("POSITION('l' IN t)", 3),
        ("STRPOS(t, 'z')", 0),
        ("REPLACE(t, 'l', 'LL')", "HeLLLLo"),
        ("REPLACE(t, 'l')", "Heo"),
        ("REPLACE(t, '', 'x')", "Hello"),
        ("STARTS_WITH(t, 'He')", True),
        ("ENDS_WITH(t, 'He')", False),
        ("CONCAT_WS('-', t, NULL, k)", "Hello-a"),
        ("CONCAT_WS(NULL, t)", None),
        ("SPLIT_PART('a,b', ',', 2)", "b"),
        ("SPLIT_PART('a,b', ',', 3)", None),
        ("SPLIT_PART('a,b', ',', -1)", None),
        ("LEFT(t, 2) || RIGHT(t, 1)", "Heo"),
        ("LEFT(t, -2) || RIGHT(t, 99)", "Hello"),
        ("REVERSE(t)", "olleH"),
        ("CHAR_LENGTH(t)", 5),
        ("TRIM(LEADING 'H' FROM t)", "ello"),
        ("TRIM(BOTH FROM '  a ')", "a"),
        ("RTRIM(' a ')", " a"),
        ("SUBSTRING(t FROM 2 FOR 3)", "ell"),
        ("SUBSTRING(t, -9223372036854775807, 9223372036854775807)", ""),
        ("t || '-' || t || '-' || k", "Hello-Hello-a"),
    ],
)
def test_text(sql, expected):
    assert value(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("HOUR(ts)", 12),
        ("DAYOFWEEK(ts)", 6),
        ("EXTRACT(DOY FROM ts)", 121),
        ("EXTRACT(WEEK FROM ts)", 18),
        ("EXTRACT(QUARTER FROM ts)", 2),
        ("EXTRACT(MILLISECOND FROM ts + INTERVAL '5' MILLISECOND)", 5),
        ("EXTRACT(YEAR FROM ts - INTERVAL '36525' DAY)", 1926),  # before 1970
        ("CAST(DATE_TRUNC('hour', ts + INTERVAL '59' MINUTE) AS STRING)", "2026-05-01T12:00:00.000Z"),
        ("CAST(FLOOR(ts TO DAY) AS STRING)", "2026-05-01T00:00:00.000Z"),
        ("CAST(CEIL(ts TO DAY) AS STRING)", "2026-05-02T00:00:00.000Z"),
        ("CAST(CEIL(FLOOR(ts TO DAY) TO DAY) AS STRING)", "2026-05-01T00:00:00.000Z"),
        ("CAST(FLOOR(u TO WEEK) AS STRING)", "2026-04-27T00:00:00.000000Z"),  # a Monday
        ("CAST(CEIL(ts TO MONTH) AS STRING)", "2026-06-01T00:00:00.000Z"),
        ("CAST(CEIL(ts TO QUARTER) AS STRING)", "2026-07-01T00:00:00.000Z"),
        ("CAST(CEIL(ts TO YEAR) AS STRING)", "2027-01-01T00:00:00.000Z"),
        ("CEIL(TIMESTAMP '9999-12-31 00:00:01' TO YEAR)", None),
        ("TIMESTAMPDIFF(MINUTE, ts, ts + INTERVAL '90' SECOND)", 1),
        ("TIMESTAMPDIFF(SECOND, u, ts - INTERVAL '1' SECOND)", -1),
        ("DATE_DIFF('hour', ts, ts + INTERVAL '2' HOUR)", 2),
        ("ts = TIMESTAMP '2026-05-01 12:00:00'", True),
        ("ts = TIMESTAMP '2026-05-01 14:00:00+02:00'", True),
        ("CAST(t AS TIMESTAMP)", None),
        ("CAST(i AS TIMESTAMP)", 7),
        ("INTERVAL '1' DAY + INTERVAL '2' HOUR = INTERVAL '26' HOUR", True),
        ("(u - ts) * 2", 2),
    ],
)
def test_time(sql, expected):
    assert value(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("tags[1]", "a"),
        ("tags[i]", None),
        ("tags[0]", None),
        ("tags[-1]", None),
        ("ELEMENT_AT(tags, 2)", "b"),
        ("CARDINALITY(tags) + CARDINALITY(m)", 4),
        ("m['one'] + 1", 2),
        ("m['none']", None),
        ("m['other']", None),
        ("m[t]", None),
        ("CONTAINS(tags, 'b')", True),
        ("CONTAINS(nums, 1)", True),
        ("CONTAINS(nums, 2)", None),  # the NULL might be one
        ("address.country", "CH"),
        ("ADDRESS.Country", "CH"),
        ("s.address.country", "CH"),
        ("address.geo.lat", 47.0),
    ],
)
def test_collections(sql, expected):
    assert value(sql) == expected


def test_a_field_of_another_type_than_declared_is_no_event():
    engine = m1cep.Engine([m1cep.compile_rule("SELECT k FROM s", STREAMS)])
    with pytest.raises(m1cep.EventError, match="str"):
        engine.push("s", [ROW | {"address": {"country": 5}}])


def test_fields_that_are_not_there_are_null():
    assert value("address.country IS NULL", address={}) is True
    assert value("address.geo.lat", address={"other": 1}) is None


def test_fields_in_a_pattern_are_those_of_the_row():
    rule = m1cep.compile_rule(
        """SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES A.address.country AS a, LAST(B.tags[1]) AS b
           PATTERN (A B) DEFINE B AS B.address.country <> A.address.country)""",
        STREAMS,
    )
    engine = m1cep.Engine([rule])
    other = ROW | {"address": {"country": "FR"}, "tags": ["z"], "ts": NOON + 1}
    [alert] = engine.push("s", [ROW, other]) + engine.finish()
    assert alert.row == {"k": "a", "a": "CH", "b": "z"}


CALLS = [
    ("SIGN(x)", "x"),
    ("LOG(2, x)", "x"),
    ("ROUND(x, 2)", "x"),
    ("TRUNCATE(x, i)", "i"),
    ("MOD(i, j)", "j"),
    ("STRPOS(t, k || t)", "t"),
    ("REPLACE('a', 'a', t)", "t"),
    ("STARTS_WITH('a', t)", "t"),
    ("SPLIT_PART(t, ',', 1)", "t"),
    ("LEFT(t, i)", "i"),
    ("REVERSE(t)", "t"),
    ("TRIM(t)", "t"),
    ("HOUR(u)", "u"),
    ("FLOOR(u TO HOUR)", "u"),
    ("TIMESTAMPDIFF(SECOND, u, ts)", "u"),
    ("tags[1]", "tags"),
    ("m['one']", "m"),
    ("CARDINALITY(tags)", "tags"),
    ("CONTAINS(tags, t)", "t"),
    ("address.country", "address"),
    ("GREATEST(x, 1)", "x"),
    ("t || k", "t"),
    ("-x", "x"),
    ("x * 2", "x"),
    ("t LIKE 'H%'", "t"),
    ("t NOT LIKE 'H%'", "t"),
]


@pytest.mark.parametrize(("sql", "column"), CALLS)
def test_null_in_null_out(sql, column):
    assert value(sql) is not None
    assert value(sql, **{column: None}) is None


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("SIGN(t)", "SIGN expects numeric, got STRING", "CAST"),
        ("LN(b)", "LN expects numeric, got BOOLEAN", "CAST"),
        ("LOG(x)", "LOG expects a base and a number", "LN(x)"),
        ("FLOOR(x, 2)", "FLOOR does not take DECIMALS", ""),
        ("FLOOR(ts TO MOMENT)", "expected a unit of time, got MOMENT", "MONTH"),
        ("FLOOR(x TO HOUR)", "FLOOR expects TIMESTAMP, got DOUBLE", ""),
        ("DATE_TRUNC('fortnight', ts)", "expected a unit of time, got FORTNIGHT", "there are"),
        ("EXTRACT(HOURS FROM ts)", "EXTRACT does not know HOURS", "'HOUR'"),
        ("HOUR(t)", "EXTRACT expects TIMESTAMP, got STRING", ""),
        ("TIMESTAMPDIFF(MONTH, ts, ts)", "expected a unit of fixed length, got MONTH", ""),
        ("TIMESTAMPDIFF(SECOND, ts)", "TIMESTAMPDIFF expects a unit and two times", ""),
        ("UPPER(x)", "UPPER expects STRING, got DOUBLE", ""),
        ("REPLACE(t, 1, 'a')", "REPLACE expects STRING, got BIGINT", ""),
        ("LEFT(t, x)", "LEFT expects integer, got DOUBLE", ""),
        ("CONCAT_WS('-')", "CONCAT_WS expects a separator and values", ""),
        ("tags['a']", "ARRAY<STRING> [ ] expects integer, got STRING", ""),
        ("m[1]", "MAP<STRING, BIGINT> [ ] expects STRING, got BIGINT", ""),
        ("t[1]", "expected an ARRAY or a MAP before [ ], got STRING", ""),
        ("CARDINALITY(t)", "CARDINALITY expects ARRAY or MAP, got STRING", ""),
        ("CONTAINS(tags, 1)", "cannot compare STRING CONTAINS BIGINT", ""),
        ("address.contry", "has no field 'contry'", "'country'"),
        ("t.country", "unknown table 't'", ""),
        ("address.geo.lat.deg", "expected a ROW before .deg, got DOUBLE", ""),
        ("x BETWEEN SYMMETRIC 2 AND 1", "BETWEEN does not take SYMMETRIC", ""),
        ("CURRENT_TIMESTAMP", "a rule has no clock", "event-time column"),
        ("COALESCE(tags, t)", "expected values of one type", ""),
        ("COALESCE(ts, u)", "expected values of one type", ""),
        ("9223372036854775808", "expected a number within its type", "1e300"),
        ("1e999", "expected a number within its type", ""),
        ("TIMESTAMP '2026-05-01 noon'", "expected a date and time such as", "UTC"),
        ("CAST(ts - ts AS STRING)", "cannot cast INTERVAL to STRING", ""),
        ("x COLLATE 'de'", "not supported", ""),
        ("CAST(x AS DECIMAL(99))", "type DECIMAL(99) is not supported", "DECIMAL(p,s)"),
    ],
)
def test_refusals(sql, message, hint):
    error = refused(sql)
    assert message in error.message
    assert hint in error.hint


MAX = 2**63 - 1
BIG = 1.7e308


@pytest.mark.parametrize(
    ("sql", "changes"),
    [
        ("i + 1", {"i": MAX}),
        ("i * j", {"i": MAX}),
        ("-i", {"i": -MAX - 1}),
        ("ABS(i)", {"i": -MAX - 1}),
        ("i / -1", {"i": -MAX - 1}),
        ("-n", {"n": -(2**31)}),
        ("ROUND(i, -1)", {"i": MAX}),
        ("x * 10", {"x": BIG}),
        ("x + x - x", {"x": BIG}),
        ("x / 0.1", {"x": BIG}),
        ("i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * x", {"i": MAX}),
        ("ROUND(x, -308)", {"x": BIG}),
        ("POWER(x, 2)", {"x": BIG}),
        ("EXP(x)", {"x": 710.0}),
        ("CAST(x AS BIGINT)", {"x": 1e19}),
        ("CAST(i AS INT)", {"i": 2**31}),
        ("CAST(t AS BIGINT)", {"t": "1e999999999"}),
        ("CAST(t AS BIGINT)", {"t": "9" * 100_000}),
        ("CAST(t AS BIGINT)", {"t": "1_000"}),
        ("CAST(t AS DOUBLE)", {"t": "Infinity"}),
        ("CAST(t AS DOUBLE)", {"t": "nan"}),
        ("CAST(t AS DECIMAL(10, 2))", {"t": "NaN"}),
        ("CAST(t AS DECIMAL(10, 2))", {"t": "1e30"}),
        ("CAST(x AS DECIMAL(3, 2))", {"x": 9.996}),
        ("CAST(i AS TIMESTAMP)", {"i": MAX}),
        ("EXTRACT(YEAR FROM ts + INTERVAL '3000000' DAY)", {}),
        ("CAST(ts - INTERVAL '3000000' DAY AS STRING)", {}),
        ("ts + i * INTERVAL '1' DAY", {"i": MAX}),
        ("REPLACE(t, 'a', 'aaaaaaaaaa')", {"t": "a" * 500_000}),
    ],
)
def test_beyond_its_type_is_null(sql, changes):
    assert value(sql, **changes) is None
    assert not true(f"{sql} = {sql}", **changes)
    assert not true(f"NOT ({sql} = {sql})", **changes)
    assert true(f"({sql}) IS NULL", **changes)


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "=", "<>"])
@pytest.mark.parametrize(
    ("sql", "changes"),
    [("x * 10", {"x": BIG}), ("x * -10", {"x": BIG}), ("i * j", {"i": MAX}), ("d * i * i * i", {"i": MAX})],
)
def test_a_comparison_with_it_is_unknown(sql, changes, sign):
    for condition in (f"{sql} {sign} y", f"y {sign} {sql}", f"{sql} {sign} {sql} * 2", f"{sql} {sign} i"):
        assert not true(condition, **changes)
        assert not true(f"NOT ({condition})", **changes)


def test_within_a_chain_of_whole_numbers_nothing_is_lost():
    assert value("i + 1 - 1", i=MAX) == MAX


def test_decimal_has_38_digits():
    assert str(value("CAST('12345678901234567890123456789012345.67' AS DECIMAL(38, 2)) + 0.01")) == (
        "12345678901234567890123456789012345.68"
    )


@pytest.mark.parametrize(
    "sql", ["COALESCE(x, 0)", "CASE WHEN x IS NULL THEN 1 ELSE x END", "GREATEST(y, i)", "LEAST(i, y * 100)"]
)
def test_values_of_a_double_are_doubles(sql):
    assert type(value(sql, x=None)) is float


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e20", "sNaN"])
def test_a_decimal_beyond_its_declaration_is_no_event(text):
    engine = m1cep.Engine([m1cep.compile_rule("SELECT k FROM s", STREAMS)])
    with pytest.raises(m1cep.EventError, match=r"DECIMAL\(10, 2\)"):
        engine.push("s", [ROW | {"d": text}])


def test_a_long_chain_is_fine_and_deep_nesting_is_refused():
    many = " OR ".join(f"i = {n}" for n in range(1_000))
    assert true(many)
    assert value(" + ".join(["i"] * 100)) == 700
    assert "at most 100 operators in a row" in refused(" + ".join(["i"] * 1_000)).message
    for opening, closing in (("(", ")"), ("ABS(", ")"), ("CASE WHEN b THEN ", " END"), ("NOT (b AND ", ")")):
        error = refused(opening * 300 + ("b" if "b AND" in opening else "i") + closing * 300)
        assert "nest" in error.message or "deep" in error.message


def test_an_expression_that_would_run_too_long_is_refused():
    sql = "i"
    for _ in range(14):
        sql = f"CASE WHEN {sql} BETWEEN 1 AND 2 THEN 1 ELSE 2 END"
    assert "too large" in refused(sql).message
