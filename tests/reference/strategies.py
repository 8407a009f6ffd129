"""Random queries over letters, and rows that have a chance to match them.

A variable most often stands for its own letter. Rows are strung together from words that the pattern could take and from noise,
so that most cases have a match.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st

from reference import expressions as x
from reference import patterns as p
from reference.query import ALL_ROWS, OMIT_EMPTY, ONE_ROW, UNMATCHED, Query

NAMES = ("A", "B", "C", "D")
NUMBERS = ("v", "n")
QUANTIFIERS = [(0, None), (1, None), (0, 1), (2, 2), (2, None), (0, 2), (1, 3), (1, 2)]
COMPARISONS = ["=", "<>", "<>", "<", "<=", "<=", ">", ">=", ">="]
WITHINS = [None, None, 2500, 5000, 10_000]
GAPS_MS = [0, 0, 500, 500, 1000, 1500]

numbers = st.sampled_from([0, 1, 2, 3])
offsets = st.sampled_from([0, 0, 1, 2])


# --- patterns ---------------------------------------------------------------------------------------------------------


@st.composite
def _leaf(draw, extras):
    kinds = ["var"] * 8 + [e for e in ("nothing", "anchor") if e in extras]
    kind = draw(st.sampled_from(kinds))
    if kind == "nothing":
        return p.Nothing()
    if kind == "anchor":
        return p.Anchor(draw(st.sampled_from("^$")))
    return p.Var(draw(st.sampled_from(NAMES)))


@st.composite
def _part(draw, depth, extras):
    """A pattern of at most that depth."""
    if depth == 0:
        return draw(_leaf(extras))
    kinds = ["var", "var", "loop", "loop", "seq", "alt"]
    kinds += [e for e in ("permute", "exclude") if e in extras]
    kind = draw(st.sampled_from(kinds))
    inner = _part(depth - 1, extras)
    match kind:
        case "loop":
            low, high = draw(st.sampled_from(QUANTIFIERS))
            return p.Loop(draw(inner), low, high, draw(st.integers(0, 3)) > 0)
        case "seq":
            return p.Seq(tuple(draw(st.lists(inner, min_size=2, max_size=3))))
        case "alt":
            return p.Alt(tuple(draw(st.lists(inner, min_size=2, max_size=3))))
        case "permute":
            return p.Permute(tuple(draw(st.lists(inner, min_size=2, max_size=3))))
        case "exclude":
            return p.Exclude(draw(inner))
    return draw(_leaf(extras))


def _writable(part):
    """Without what SQL's grammar has no words for: a quantifier on a bare anchor or ()."""
    if isinstance(part, p.Loop) and isinstance(part.part, p.Anchor | p.Nothing):
        return part.part
    if isinstance(part, p.Exclude) and any(isinstance(c, p.Exclude) for c in _all_parts(part.part)):
        return part.part
    return part


def _all_parts(part):
    return [part, *(inner for child in p.children(part) for inner in _all_parts(child))]


@st.composite
def patterns(draw, extras=frozenset(), depth=2):
    """One to three parts after one another."""
    parts = draw(st.lists(_part(depth, extras), min_size=1, max_size=3))
    pattern = p.rebuild(p.Seq(tuple(parts)) if len(parts) > 1 else parts[0], _writable)
    if "empty" in extras and draw(st.integers(0, 2)) == 0:
        pattern = _writable(p.Loop(pattern, 0, draw(st.sampled_from([None, 1, 2])), draw(st.booleans())))
    if "empty" not in extras and p.may_be_empty(pattern):
        pattern = p.Seq((p.Var(draw(st.sampled_from(NAMES))), pattern))
    if not p.names(pattern):  # a pattern without any variable is not a query
        pattern = p.Alt((p.Var("A"), pattern))
    return pattern


@st.composite
def _runs(draw):
    """A loop of one variable, then others once each: what the engine follows in groups although conditions look back."""
    first, *others = draw(st.permutations(NAMES))[: draw(st.integers(2, 4))]
    parts = [p.Loop(p.Var(first), draw(st.sampled_from([1, 1, 2])), None, draw(st.integers(0, 3)) > 0)]
    for name in others:
        low, high = draw(st.sampled_from([(1, 1), (1, 1), (0, 1), (1, None), (0, None)]))
        parts.append(p.Var(name) if high == low else p.Loop(p.Var(name), low, high, draw(st.booleans())))
    return p.Seq(tuple(parts))


# --- conditions and measures ------------------------------------------------------------------------------------------


@st.composite
def _static(draw, name, letter=None, loose=False):
    """A condition on the row at hand, most often that it is the variable's letter; None: any row.

    Loose conditions let a row be mapped to several variables: preference decides.
    """
    column = draw(st.sampled_from([None, name]))
    own = x.Binary("=", x.Field("l", column), x.Literal(letter or name))
    other = x.Binary("=", x.Field("l", column), x.Literal(draw(st.sampled_from(NAMES))))
    compare = x.Binary(
        draw(st.sampled_from(COMPARISONS)), x.Field(draw(st.sampled_from(NUMBERS)), column), x.Literal(1)
    )
    kinds = ["own"] * 5 + ["two"] * 3 + ["any", "not", "number", "and", "null"]
    kind = draw(st.sampled_from(["two", "any", "not"] if loose else kinds))
    return {
        "own": own,
        "two": x.Or(own, other),
        "any": None,
        "not": x.Not(other),
        "number": compare,
        "and": x.And(own, compare),
        "null": x.Or(own, x.IsNull(x.Field("v", column))),
    }[kind]


@st.composite
def _argument(draw, variables):
    """What navigation and aggregates take: a column or a sum of two, all of one variable."""
    variable = draw(st.sampled_from([None, *variables]))
    field = x.Field(draw(st.sampled_from(NUMBERS)), variable)
    if draw(st.integers(0, 5)):
        return field
    return x.Binary(draw(st.sampled_from("+-*")), field, x.Field(draw(st.sampled_from(NUMBERS)), variable))


@st.composite
def _number(draw, variables, modes=("",), ahead=False):
    """A numeric expression over the rows mapped so far."""
    argument = draw(_argument(variables))
    mode = draw(st.sampled_from(modes))
    kinds = ["column", "nav", "nav", "prev", "prev nav", "aggregate", "aggregate", "count"]
    kind = draw(st.sampled_from(kinds + ["next", "next", "next nav"] * ahead))
    match kind:
        case "nav":
            return x.Nav(draw(st.sampled_from(["FIRST", "LAST"])), argument, draw(offsets), mode)
        case "prev" | "next":
            return x.Shift(kind.upper(), argument, draw(st.sampled_from([1, 1, 2, 3])))
        case "prev nav" | "next nav":
            inner = x.Nav(draw(st.sampled_from(["FIRST", "LAST"])), argument, draw(offsets))
            return x.Shift(kind[:4].upper(), inner, draw(st.sampled_from([1, 2])))
        case "aggregate":
            func = draw(st.sampled_from(["COUNT", "SUM", "AVG", "MIN", "MAX"]))
            return x.Aggregate(func, argument, distinct=draw(st.integers(0, 4)) == 0, mode=mode)
        case "count":
            return x.Aggregate("COUNT", variable=draw(st.sampled_from([None, *variables])), mode=mode)
    variable = draw(st.sampled_from([None, *variables]))
    return x.Field(draw(st.sampled_from(NUMBERS)), variable)


@st.composite
def _past(draw, name, variables, ahead=False, letter=None, loose=False):
    """A condition on the rows mapped so far."""
    own = x.Field(draw(st.sampled_from(NUMBERS)), draw(st.sampled_from([None, name])))
    term = draw(_number(variables, ahead=ahead))
    if draw(st.integers(0, 7)) == 0:
        who = x.Classifier(draw(st.sampled_from([None, *variables])))
        past = x.Binary(draw(st.sampled_from(["=", "<>"])), who, x.Literal(draw(st.sampled_from(variables))))
    elif draw(st.integers(0, 2)) == 0:
        past = x.Binary(draw(st.sampled_from(COMPARISONS)), term, x.Literal(draw(numbers)))
    else:
        past = x.Binary(draw(st.sampled_from(COMPARISONS)), own, term)
    if draw(st.booleans()):
        past = x.Or(past, x.IsNull(term))
    static = draw(_static(name, letter, loose)) if draw(st.booleans()) else None
    return past if static is None else x.And(static, past)


@st.composite
def _measure(draw, variables, modes, ahead):
    kind = draw(st.sampled_from(["number"] * 6 + ["who", "nth", "nav who", "letter", "sum"]))
    match kind:
        case "who":
            return x.Classifier(draw(st.sampled_from([None, *variables])))
        case "nth":
            return x.MatchNumber()
        case "nav who":
            return x.Nav("FIRST", x.Classifier(draw(st.sampled_from([None, *variables]))), draw(offsets))
        case "letter":
            return x.Field("l", draw(st.sampled_from([None, *variables])))
        case "sum":
            return x.Binary("+", draw(_number(variables, modes, ahead)), draw(_number(variables, modes, ahead)))
    return draw(_number(variables, modes, ahead))


# --- queries ----------------------------------------------------------------------------------------------------------


@st.composite
def queries(draw, features=frozenset()):
    """A query; ``features`` are words: past next skip all empty anchor nothing permute exclude subset absent runs."""
    features = frozenset(features)
    extras = features & {"empty", "anchor", "nothing", "permute", "exclude"}
    rows_per_match = ONE_ROW
    if "all" in features:
        rows_per_match = draw(st.sampled_from([ALL_ROWS, ALL_ROWS, OMIT_EMPTY, UNMATCHED]))
        extras -= {"exclude"} if rows_per_match == UNMATCHED else frozenset()
    runs = "runs" in features
    pattern = draw(_runs() if runs else patterns(extras))
    names = p.names(pattern)
    subsets = {}
    if "subset" in features and len(names) > 1 and draw(st.booleans()):
        subsets = {"U": tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)))}
    variables = [*names, *subsets]
    ahead = "next" in features
    define, loose = {}, draw(st.integers(0, 3)) == 0
    for name in names:
        past = p.Var(name) in pattern.parts if runs else "past" in features and draw(st.booleans())
        condition = draw(_past(name, variables, ahead, loose=loose) if past else _static(name, loose=loose))
        if condition is not None:
            define[name] = condition
    if not define:
        define = {names[0]: x.Binary("=", x.Field("l"), x.Literal(names[0]))}
    modes = ("", "", "FINAL", "RUNNING") if "all" in features else ("",)
    count = draw(st.integers(1, 3))
    measures = {f"m{i}": draw(_measure(variables, modes, ahead)) for i in range(count)}
    if draw(st.booleans()):  # which rows went to which variable
        measures |= {f"n_{name}": x.Aggregate("COUNT", variable=name) for name in names}
    skip = "PAST LAST ROW"
    if "skip" in features:
        target = draw(st.sampled_from(variables[len(variables) // 2 :]))
        skip = draw(st.sampled_from(["TO NEXT ROW", f"TO FIRST {target}", f"TO LAST {target}", f"TO {target}"]))
    query = Query(pattern, define, measures, skip, rows_per_match, subsets, draw(st.sampled_from(WITHINS)))
    return _with_absence(draw, query) if "absent" in features else query


def _with_absence(draw, query):
    """The query with ABSENT(Z) at its end."""
    names = p.names(query.pattern)
    letter = draw(st.sampled_from(NAMES))
    condition = draw(_past("Z", names, letter=letter) if draw(st.booleans()) else _static("Z", letter))
    own = x.Binary("=", x.Field("l"), x.Literal(letter))
    return replace(
        query,
        pattern=p.Seq((query.pattern, p.Absent("Z"))),
        define=query.define | {"Z": own if condition is None else condition},
        within=draw(st.sampled_from([w for w in WITHINS if w])),
    )


# --- rows -------------------------------------------------------------------------------------------------------------


@st.composite
def _word(draw, pattern):
    """The variables that the pattern could take, one after the other."""
    match pattern:
        case p.Var(name=name):
            return [name]
        case p.Seq(parts=parts):
            return [n for part in parts for n in draw(_word(part))]
        case p.Permute(parts=parts):
            return [n for part in draw(st.permutations(parts)) for n in draw(_word(part))]
        case p.Alt(parts=parts):
            return draw(_word(draw(st.sampled_from(parts))))
        case p.Loop(part=part, low=low, high=high):
            times = draw(st.integers(low, min(high or low + 2, low + 2)))
            return [n for _ in range(times) for n in draw(_word(part))]
        case p.Exclude(part=part):
            return draw(_word(part))
    return []


@st.composite
def _letters(draw, query, limit):
    """One key's letters: words of the pattern and noise."""
    noise = st.lists(st.sampled_from([*NAMES, None]), max_size=2)
    found = []
    for _ in range(draw(st.integers(1, 3))):
        found += draw(noise) if draw(st.integers(0, 2)) == 0 else draw(_word(query.pattern))
    return found[:limit]


@st.composite
def events(draw, query, limit=12):
    """Rows of one to three keys, at most ``limit`` a key, in order of time, with ties."""
    texts = {key: draw(_letters(query, limit)) for key in "kqz"[: draw(st.sampled_from([1, 1, 1, 2, 3]))]}
    turns = draw(st.permutations([key for key, text in texts.items() for _ in text])) if len(texts) > 1 else None
    found, time, at = [], 0, dict.fromkeys(texts, 0)
    for number, key in enumerate(turns if turns is not None else "k" * len(texts["k"])):
        time += draw(st.sampled_from(GAPS_MS)) if number else 0
        letter = texts[key][at[key]]
        at[key] += 1
        value, count = draw(st.sampled_from([1, 2, 0, 3, 0.1, 2, None])), draw(st.sampled_from([1, 2, 0, 3, 2, None]))
        found.append(
            {
                "event_id": f"{letter or '-'}{number}",
                "k": key,
                "l": letter,
                "v": None if value is None else float(value),
                "n": count,
                "ts": time,
            }
        )
    return found


@st.composite
def _some_distance(draw, rows):
    """The time between two rows of a key, or a little more: where WITHIN decides. 0 where there is none."""
    distances = {
        b["ts"] - a["ts"] + more
        for a in rows
        for b in rows
        for more in (0, 1)
        if a["k"] == b["k"] and b["ts"] > a["ts"]
    }
    return draw(st.sampled_from(sorted(distances))) if distances else 0


class Case(NamedTuple):
    """What ``compare.check`` takes; printed only when asked: its failures show the case as SQL and a table."""

    query: Query
    rows: list
    cuts: list
    snapshot_at: int | None

    def __repr__(self):
        return f"<a case of {len(self.rows)} rows>"


@st.composite
def cases(draw, features, *more, limit=12, snapshot=False):
    """A query with the features, in some cases with one of the further sets of features, and rows for it."""
    query = draw(queries(features | draw(st.sampled_from([frozenset(), *map(frozenset, more)]))))
    rows = draw(events(query, limit))
    if draw(st.booleans()):
        query = replace(query, within=draw(_some_distance(rows)) or query.within)
    at = draw(st.integers(0, len(rows))) if snapshot else None
    return Case(query, rows, draw(st.lists(st.integers(1, 5), max_size=8)), at)
