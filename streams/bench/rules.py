"""The rules that are measured."""

from __future__ import annotations

from dataclasses import dataclass

from streams.bench.data import MANY_SYMBOLS

#: A row pattern: four to six new buy orders of an account, then three cancelled, within five seconds.
PATTERN_RULE = """
SELECT * FROM orders MATCH_RECOGNIZE (
  PARTITION BY account ORDER BY ts
  MEASURES FIRST(N.ts) AS started, COUNT(N.*) AS placed
  ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW
  PATTERN (N{4,6} C{3}) WITHIN INTERVAL '5' SECOND
  DEFINE N AS N.action = 'new' AND N.side = 'buy', C AS C.action = 'cancel' AND C.side = 'buy'
)
"""
#: As little as a rule can do.
FILTER_RULE = "SELECT account, symbol, qty FROM orders WHERE action = 'new' AND qty > 2.9"


@dataclass(frozen=True, slots=True)
class Kind:
    """A rule over the orders, and how many events a second Flink takes through it where the design measured that."""

    name: str
    text: str
    flink_events_per_s: float | None = None
    times_flink: float | None = None  # the target


def _pattern(pattern: str, within_s: int, define: str) -> str:
    return f"""SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES A.qty AS qty
  PATTERN ({pattern}) WITHIN INTERVAL '{within_s}' SECOND DEFINE {define})"""


A_B_C = _pattern(
    "A B C",
    10,
    "A AS A.action = 'new' AND A.side = 'buy' AND A.qty > 2, B AS B.action = 'cancel', C AS C.side = 'sell' AND C.qty < 1",
)
A_LOOP_W = _pattern("A{3,} W", 60, "A AS A.action = 'new', W AS W.action = 'cancel' AND W.qty > 2.5")
A_LOOP_B = _pattern("A+ B", 60, "A AS A.action = 'new', B AS B.action = 'cancel' AND B.qty > 1.5 * AVG(A.qty)")

#: Flink 2.3 SQL, 1 M mixed orders, filesystem source, parallelism 1, two cores: measured for the design (rules.md, "Speed").
KINDS = (
    Kind("filter", FILTER_RULE),
    Kind("A B C in 10 s", A_B_C, 72_000, 7),
    Kind("A{3,} W in 60 s", A_LOOP_W, 21_000, 20),
    Kind("A+ B with AVG, 60 s", A_LOOP_B, 2_200, 150),
    Kind("N{4,6} C{3} in 5 s", PATTERN_RULE),
    Kind(
        "SUM OVER 60 s",
        """SELECT account, total FROM (SELECT *, SUM(qty) OVER (PARTITION BY account ORDER BY ts
           RANGE BETWEEN INTERVAL '60' SECOND PRECEDING AND CURRENT ROW) AS total FROM orders) WHERE total > 100""",
    ),
    Kind(
        "absence, 10 s",
        """SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES A.order_id AS waiting
           PATTERN (A ABSENT(B)) WITHIN INTERVAL '10' SECOND
           DEFINE A AS A.action = 'new' AND A.qty > 2.9, B AS B.action = 'cancel')""",
    ),
    Kind(
        "TUMBLE 1 min",
        """SELECT account, window_start, SUM(qty) AS total
           FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
           GROUP BY account, window_start, window_end HAVING SUM(qty) > 80""",
    ),
    Kind(
        "HOP 5 min by 1 min",
        """SELECT account, window_start, SUM(qty) AS total
           FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
           GROUP BY account, window_start, window_end HAVING SUM(qty) > 300""",
    ),
    Kind(
        "join within 1 s",
        """SELECT n.order_id AS placed, c.order_id AS pulled FROM orders n JOIN orders c
           ON n.account = c.account AND c.ts BETWEEN n.ts AND n.ts + INTERVAL '1' SECOND
           WHERE n.action = 'new' AND n.qty > 2.7 AND c.action = 'cancel' AND c.qty > 2.7""",
    ),
)


def per_symbol(count: int) -> list[str]:
    """Rules as a venue has them: one a symbol, by turns a pattern, a filter and a sliding sum, each with its thresholds."""
    return [_per_symbol(n, symbol) for n, symbol in enumerate(MANY_SYMBOLS[:count])]


def _per_symbol(n: int, symbol: str) -> str:
    match n % 3:
        case 0:
            return f"""SELECT * FROM (SELECT * FROM orders WHERE symbol = '{symbol}') MATCH_RECOGNIZE (
              PARTITION BY account ORDER BY ts MEASURES A.qty AS qty PATTERN (A B C) WITHIN INTERVAL '10' SECOND
              DEFINE A AS A.action = 'new' AND A.qty > {1 + n / 100}, B AS B.action = 'cancel', C AS C.side = 'sell')"""
        case 1:
            return f"SELECT account, qty FROM orders WHERE symbol = '{symbol}' AND action = 'new' AND qty > {2.8 + n / 1000}"
    return f"""SELECT account, total FROM (SELECT *, SUM(qty) OVER (PARTITION BY account ORDER BY ts
      RANGE BETWEEN INTERVAL '60' SECOND PRECEDING AND CURRENT ROW) AS total FROM orders WHERE symbol = '{symbol}')
      WHERE total > {10 + n / 10}"""


#: A match as long as the run of new orders. Every run but the last ends with a row that fits nothing.
LONG_MATCH = """SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES COUNT(A.*) AS n
  PATTERN (A+ B) WITHIN INTERVAL '1' HOUR DEFINE A AS A.action = 'new', B AS B.action = 'cancel' AND B.qty > 1.5 * AVG(A.qty))"""
#: A loop in a loop: a backtracking matcher tries exponentially many ways to read the run.
NESTED_LOOP = """SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES COUNT(A.*) AS n
  PATTERN (((A+)+ B)) WITHIN INTERVAL '1' HOUR DEFINE A AS A.action = 'new', B AS B.action = 'cancel' AND B.qty > 2)"""
