"""Texts made wrong on purpose: tokens and characters left out, doubled, swapped, put in."""

# ruff: noqa: RUF001 - strange characters are what this is about

import random
import re

_TOKEN = re.compile(r"'(?:[^']|'')*'|\w+|\s+|<=|>=|<>|\|\||\{-|-\}|/\*|\*/|.", re.DOTALL)
_WORDS = """
    SELECT FROM WHERE AND OR NOT NULL IS TRUE FALSE UNKNOWN IN LIKE ESCAPE BETWEEN CASE WHEN THEN ELSE END CAST AS
    PATTERN DEFINE MEASURES MATCH_RECOGNIZE PARTITION BY ORDER ts WITHIN INTERVAL SECOND DAY YEAR AFTER MATCH SKIP
    PAST LAST ROW TO NEXT FIRST PREV PERMUTE ABSENT SUBSET ONE ALL ROWS PER SHOW OMIT EMPTY MATCHES WITH UNMATCHED
    FINAL RUNNING CLASSIFIER MATCH_NUMBER OVER RANGE ROWS PRECEDING CURRENT UNBOUNDED FOLLOWING QUALIFY GROUP HAVING
    TUMBLE HOP SESSION CUMULATE TABLE DESCRIPTOR JOIN ON UNION DISTINCT COUNT SUM AVG MIN MAX STDDEV ABS ROUND FLOOR
    LOG POWER SUBSTRING EXTRACT HOUR IN_LIST PARAM COALESCE NULLIF GREATEST CONCAT FILTER BOOLEAN INT BIGINT DOUBLE
    DECIMAL STRING TIMESTAMP ARRAY MAP ROW CREATE VIEW WATERMARK FOR PARTITIONED KEY PRIMARY LATERAL VALUES WINDOW
    EXISTS ANY WITH DATE CURRENT_TIMESTAMP COLLATE LIMIT orders fills accounts events account qty price side A B C x
"""
WORDS = _WORDS.split()
SIGNS = [
    *"()[]{}<>=+-*/%|&^~!?.,;:'\"`@#$\\_",
    "<=",
    "<>",
    "||",
    "{-",
    "-}",
    "/*",
    "*/",
    "--",
    "->",
    "::",
    "{,3}",
    "{2}",
    "*?",
    ":p",
    "()",
]
VALUES = [
    "0",
    "-1",
    "1.5",
    "1e999",
    "1e-999",
    "9223372036854775808",
    "9" * 400,
    "0." + "1" * 60,
    "''",
    "'x'",
    "'\u2028'",
    "'%_'",
    "NULL",
    "INTERVAL '5' SECOND",
    "INTERVAL '1e99' DAY",
    "TIMESTAMP '2026-13-01'",
    "X'00'",
    "U&'\\0041'",
    "²",
    "１２",
]
STRANGE = [
    "\0",
    "\x1b[31m",
    "\ud800",
    "\u202e",
    "\ufeff",
    "\x0b",
    "\x85",
    "\u2028",
    "é",
    "ﬁ",
    "𝔘",
    "\t",
    "\r",
    "\r\n",
    "\n\n",
    "👩‍👧",
]


def mutant(seeds: list[str], rng: random.Random) -> str:
    """One of the texts with up to six changes."""
    tokens = _TOKEN.findall(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        _CHANGES[rng.randrange(len(_CHANGES))](tokens, rng, seeds)
    return "".join(tokens)


def _at(tokens, rng):
    return rng.randrange(len(tokens) + 1)


def _delete(tokens, rng, _seeds):
    at = _at(tokens, rng)
    del tokens[at : at + rng.choice((1, 1, 2, 5, 40))]


def _double(tokens, rng, _seeds):
    at = _at(tokens, rng)
    part = tokens[at : at + rng.choice((1, 2, 5, 20))]
    tokens[at:at] = part * rng.choice((1, 1, 2, 30))


def _swap(tokens, rng, _seeds):
    if len(tokens) > 1:
        a, b = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        tokens[a], tokens[b] = tokens[b], tokens[a]


def _insert(tokens, rng, _seeds):
    kind = rng.choice((WORDS, WORDS, SIGNS, VALUES, STRANGE))
    tokens.insert(_at(tokens, rng), rng.choice(("", " ")) + rng.choice(kind) + rng.choice(("", " ")))


def _replace(tokens, rng, _seeds):
    if tokens:
        tokens[rng.randrange(len(tokens))] = rng.choice(rng.choice((WORDS, WORDS, SIGNS, VALUES, STRANGE, tokens)))


def _wrap(tokens, rng, _seeds):
    """Nest a part, sometimes very deep."""
    opening, closing = rng.choice(
        (("(", ")"), ("NOT ", ""), ("-", ""), ("ABS(", ")"), ("CASE WHEN ", " THEN 1 END"), ("(", ""))
    )
    at, times = _at(tokens, rng), rng.choice((1, 1, 3, 45, 400))
    end = min(len(tokens), at + rng.choice((1, 3, 9)))
    tokens.insert(end, closing * times)
    tokens.insert(at, opening * times)


def _splice(tokens, rng, seeds):
    """A part of another text."""
    other = _TOKEN.findall(rng.choice(seeds))
    begin = _at(other, rng)
    at = _at(tokens, rng)
    tokens[at : at + rng.choice((0, 3, 10))] = other[begin : begin + rng.choice((3, 10, 40))]


def _character(tokens, rng, _seeds):
    text = "".join(tokens)
    at = rng.randrange(len(text) + 1)
    new = rng.choice(("", chr(rng.choice((rng.randrange(128), rng.randrange(0x110000)))), rng.choice(STRANGE)))
    tokens[:] = [text[:at], new, text[at + rng.choice((0, 1)) :]]


def _cut(tokens, rng, _seeds):
    del tokens[_at(tokens, rng) :]


_CHANGES = (
    _delete,
    _delete,
    _double,
    _swap,
    _swap,
    _insert,
    _insert,
    _replace,
    _replace,
    _wrap,
    _splice,
    _splice,
    _character,
    _cut,
)
