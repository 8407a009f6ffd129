"""Random expressions over random rows, NULLs and extremes among them: never a failure, never NaN or infinity, and what a slow,
obvious evaluation gives.
"""

import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import m1cep

STREAMS = m1cep.parse_streams(
    """CREATE TABLE s (k STRING, i BIGINT, j BIGINT, x DOUBLE, y DOUBLE NOT NULL, t STRING, u STRING NOT NULL, b BOOLEAN,
       ts TIMESTAMP(3), WATERMARK FOR ts AS ts) PARTITIONED BY (k) WITH ('topic' = 's')"""
)
MAX = 2**63 - 1
integers = st.one_of(st.integers(-3, 3), st.sampled_from([MAX, -MAX - 1, 2**31]), st.integers(-MAX - 1, MAX))
doubles = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.5, -2.5, 1.7e308, -1.7e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
)
texts = st.one_of(st.sampled_from(["", "a", "ab", "%", "12", "-7", "1e400"]), st.text(max_size=4))
rows = st.fixed_dictionaries(
    {
        "i": st.none() | integers,
        "j": st.none() | integers,
        "x": st.none() | doubles,
        "y": doubles,
        "t": st.none() | texts,
        "u": texts,
        "b": st.none() | st.booleans(),
    }
)


@dataclass
class E:
    """An expression: its SQL, its kind, and how it is evaluated by hand.

    ``raw`` of a chain of + - * is the value before anyone looks whether it is within its type.
    """

    sql: str
    kind: str
    raw: Any
    chain: bool = False

    def __call__(self, row):
        value = self.raw(row)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if -MAX - 1 <= value <= MAX else None
        return value if not isinstance(value, float) or math.isfinite(value) else None


def strict(function, *args):
    """NULL if any argument is."""

    def evaluate(row):
        values = [a(row) for a in args]
        return None if None in values else function(*values)

    return evaluate


def column(name):
    kind = {"i": "int", "j": "int", "x": "double", "y": "double", "t": "text", "u": "text", "b": "bool"}[name]
    return E(name, kind, lambda row: row[name])


def constant(kind, value):
    text = f"'{value}'" if kind == "text" else repr(value) if kind != "bool" else str(value).upper()
    return E(f"{value:e}" if kind == "double" else text, kind, lambda _row: value)


def arithmetic(sign, a, b):
    kind = "double" if "double" in (a.kind, b.kind) else "int"
    through = [e.raw if e.chain and e.kind == kind else e for e in (a, b)]

    def evaluate(row):
        x, y = (f(row) for f in through)
        if x is None or y is None:
            return None
        return {"+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y}[sign]()

    return E(f"({a.sql} {sign} {b.sql})", kind, evaluate, chain=True)


def divide(a, b):
    kind = "double" if "double" in (a.kind, b.kind) else "int"

    def quotient(x, y):
        if y == 0:
            return None
        if kind == "double":
            return x / y
        return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)

    return E(f"({a.sql} / {b.sql})", kind, strict(quotient, a, b))


def negate(a):
    through = a.raw if a.chain else a

    def evaluate(row):
        value = through(row)
        return None if value is None else -value

    return E(f"(- {a.sql})", a.kind, evaluate, chain=a.chain or a.kind == "int")


def compare(sign, a, b):
    ways = {
        "=": lambda x, y: x == y,
        "<>": lambda x, y: x != y,
        "<": lambda x, y: x < y,
        "<=": lambda x, y: x <= y,
        ">": lambda x, y: x > y,
        ">=": lambda x, y: x >= y,
    }
    return E(f"({a.sql} {sign} {b.sql})", "bool", strict(ways[sign], a, b))


def both(a, b):
    def evaluate(row):
        x, y = a(row), b(row)
        return False if x is False or y is False else None if x is None or y is None else True

    return E(f"({a.sql} AND {b.sql})", "bool", evaluate)


def invert(a):
    return E(f"(NOT {a.sql})", "bool", strict(lambda x: not x, a))


def either(a, b):
    return E(f"({a.sql} OR {b.sql})", "bool", invert(both(invert(a), invert(b))).raw)


def as_kind(kind, value):
    return float(value) if kind == "double" and value is not None else value


def first_of(a, b):
    kind = "double" if "double" in (a.kind, b.kind) else a.kind
    return E(f"COALESCE({a.sql}, {b.sql})", kind, lambda row: as_kind(kind, a(row) if a(row) is not None else b(row)))


def case(condition, a, b):
    kind = "double" if "double" in (a.kind, b.kind) else a.kind
    return E(
        f"CASE WHEN {condition.sql} THEN {a.sql} ELSE {b.sql} END",
        kind,
        lambda row: as_kind(kind, a(row) if condition(row) is True else b(row)),
    )


def greatest(a, b):
    kind = "double" if "double" in (a.kind, b.kind) else a.kind
    return E(f"GREATEST({a.sql}, {b.sql})", kind, strict(lambda x, y: max(as_kind(kind, x), as_kind(kind, y)), a, b))


def like(a, pattern):
    def fits(text, rest):
        if not rest:
            return not text
        if rest[0] == "%":
            return any(fits(text[n:], rest[1:]) for n in range(len(text) + 1))
        return bool(text) and rest[0] in ("_", text[0]) and fits(text[1:], rest[1:])

    return E(f"({a.sql} LIKE '{pattern}')", "bool", strict(lambda x: fits(x, pattern), a))


def to_integer(text):
    plain = text.strip()
    try:
        value = int(plain)
    except ValueError:
        return None
    return value if plain.isascii() and "_" not in plain and abs(value) < 2**62 else None


@st.composite
def numbers(draw, depth, kinds=("int", "double")):
    kind = draw(st.sampled_from(kinds))
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        if draw(st.booleans()):
            return column(draw(st.sampled_from({"int": "ij", "double": "xy"}[kind])))
        return constant(
            kind, draw({"int": st.integers(0, MAX), "double": doubles.map(lambda x: float(f"{abs(x):e}"))}[kind])
        )
    inner = numbers(depth - 1, kinds)
    which = draw(st.sampled_from("++--**/naclgw"))
    if which in "+-*":
        return arithmetic(which, draw(inner), draw(inner))
    if which == "/":
        return divide(draw(inner), draw(inner))
    if which == "n":
        return negate(draw(inner))
    if which == "a":
        a = draw(inner)
        through = a.raw if a.chain else a
        return E(f"ABS({a.sql})", a.kind, lambda row: None if through(row) is None else abs(through(row)), chain=True)
    if which == "c":
        return case(draw(conditions(depth - 1)), draw(inner), draw(inner))
    if which == "l":
        a = draw(words(depth - 1))
        return E(f"LENGTH({a.sql})", "int", strict(len, a))
    if which == "g":
        return greatest(draw(inner), draw(inner))
    return first_of(draw(inner), draw(inner))


@st.composite
def words(draw, depth):
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        if draw(st.booleans()):
            return column(draw(st.sampled_from("tu")))
        return constant("text", draw(st.sampled_from(["", "a", "b%", "12"])))
    which = draw(st.sampled_from("ucis"))
    a = draw(words(depth - 1))
    if which == "u":
        return E(f"UPPER({a.sql})", "text", strict(str.upper, a))
    if which == "c":
        b = draw(words(depth - 1))
        return E(f"({a.sql} || {b.sql})", "text", strict(lambda x, y: x + y, a, b))
    if which == "i":
        n = draw(numbers(depth - 1, ("int",)).filter(lambda e: e.kind == "int"))
        return E(f"CAST({n.sql} AS STRING)", "text", strict(str, n))
    return case(draw(conditions(depth - 1)), a, draw(words(depth - 1)))


@st.composite
def conditions(draw, depth):
    if depth == 0:
        return column("b")
    which = draw(st.sampled_from("ccccwanoitldNB"))
    if which == "c":
        sign = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
        return compare(sign, draw(numbers(depth - 1)), draw(numbers(depth - 1)))
    if which == "w":
        return compare(draw(st.sampled_from(["=", "<", ">="])), draw(words(depth - 1)), draw(words(depth - 1)))
    if which == "d":
        a, b = draw(numbers(depth - 1)), draw(numbers(depth - 1))
        return E(f"({a.sql} IS DISTINCT FROM {b.sql})", "bool", lambda row: a(row) != b(row))
    if which == "i":
        a = draw(numbers(depth - 1))
        return E(f"({a.sql} IS NULL)", "bool", lambda row: a(row) is None)
    if which == "l":
        return like(draw(words(depth - 1)), draw(st.text("ab%_", max_size=5)))
    if which == "N":
        a, items = draw(numbers(depth - 1)), draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
        return E(f"({a.sql} IN ({', '.join(map(str, items))}))", "bool", strict(lambda x: x in items, a))
    if which == "B":
        a, low, high = (draw(numbers(depth - 1)) for _ in range(3))
        inside = both(compare(">=", a, low), compare("<=", a, high))
        return E(f"({a.sql} BETWEEN {low.sql} AND {high.sql})", "bool", inside.raw)
    a = draw(conditions(depth - 1))
    if which == "n":
        return invert(a)
    if which == "t":
        return E(f"({a.sql} IS TRUE)", "bool", lambda row: a(row) is True)
    return (both if which == "a" else either)(a, draw(conditions(depth - 1)))


def engine(sql):
    return m1cep.Engine([m1cep.compile_rule(sql, STREAMS)])


def events(some):
    return [row | {"k": "a", "ts": n} for n, row in enumerate(some)]


VALUES = st.one_of(numbers(3), words(3), conditions(3)), st.lists(rows, min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(*VALUES)
def test_a_value_is_that_of_a_naive_evaluation(expression, some):
    compare_values(expression, some)


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(*VALUES)
def test_many_a_value_is_that_of_a_naive_evaluation(expression, some):
    compare_values(expression, some)


def compare_values(expression, some):
    found = [a.row["v"] for a in engine(f"SELECT {expression.sql} AS v FROM s").push("s", events(some))]
    expected = [expression(row) for row in some]
    assert found == expected
    assert [type(v) for v in found] == [type(v) for v in expected]
    assert not any(isinstance(v, float) and not math.isfinite(v) for v in found)


@settings(max_examples=250, deadline=None)
@given(conditions(3), st.lists(rows, min_size=1, max_size=4))
def test_a_condition_is_true_or_false_as_by_a_naive_evaluation(condition, some):
    for sql, wanted in ((condition.sql, True), (f"NOT {condition.sql}", False)):
        found = [a.event_time for a in engine(f"SELECT k FROM s WHERE {sql}").push("s", events(some))]
        assert found == [n for n, row in enumerate(some) if condition(row) is wanted]


def test_a_pattern_of_like_takes_time_in_proportion_to_the_text():
    push = engine(f"SELECT k FROM s WHERE t LIKE '{'%a' * 12}%b'").push
    assert push("s", events([{"y": 1.0, "u": "", "t": "a" * 20_000}])) == []  # trying every place would take for ever
