"""The rules and events of the fault suite: every kind of state that a crash could lose.

Events of many accounts on three topics, a few milliseconds apart, shuffled within the declared 200 ms. A last event a day later
in every partition of every topic closes what is open, so that ``m1cep replay``, which has an end, and a worker, which has none,
come to the same alerts.
"""

import random
from dataclasses import dataclass, field

import orjson
from kafka.partitioner.default import murmur2

START_MS = 1_700_000_000_000
PARTITIONS = 4
STREAMS = ("orders", "fills", "accounts")
_SHUFFLED_MS = 160  # events that are shuffled among each other are less than so far apart
_DAY_MS = 86_400_000

RULES = {
    "big": "SELECT account, qty, price FROM orders WHERE qty > 99",
    "pattern": """SELECT * FROM orders MATCH_RECOGNIZE (
        PARTITION BY account ORDER BY ts MEASURES FIRST(A.event_id) AS a, LAST(C.event_id) AS c, COUNT(B.*) AS n
        PATTERN (A B{1,4}? C) WITHIN INTERVAL '5' SECOND
        DEFINE A AS A.qty > 90, B AS B.action = 'cancel', C AS C.qty < 10 AND C.side = A.side)""",
    "window": """SELECT account, window_end, COUNT(*) AS n, SUM(qty) AS total, AVG(price) AS average
        FROM TABLE(HOP(TABLE fills, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND)) WHERE qty > 0
        GROUP BY account, window_start, window_end HAVING COUNT(*) >= 12""",
    "absence": """SELECT account, since FROM accounts MATCH_RECOGNIZE (
        PARTITION BY account ORDER BY ts MEASURES BELOW.event_id AS since
        PATTERN (BELOW ABSENT(PAID)) WITHIN INTERVAL '20' SECOND
        DEFINE BELOW AS BELOW.kind = 'margin_update' AND BELOW.equity_usd < 30, PAID AS PAID.kind = 'deposit')""",
    "over": """SELECT account, symbol, event_id, qty, usual FROM (
        SELECT *, AVG(qty) OVER w AS usual, COUNT(*) OVER w AS n FROM orders WHERE action = 'new'
        WINDOW w AS (PARTITION BY account, symbol ORDER BY ts RANGE BETWEEN INTERVAL '20' SECOND PRECEDING AND CURRENT ROW))
        WHERE n >= 5 AND qty > 1.9 * usual""",
    "view": """SELECT * FROM events MATCH_RECOGNIZE (
        PARTITION BY account ORDER BY ts MEASURES O.event_id AS o, F.event_id AS f, W.event_id AS w
        PATTERN (O F W) WITHIN INTERVAL '5' SECOND
        DEFINE O AS O.kind = 'order' AND O.qty > 50, F AS F.kind = 'fill', W AS W.kind = 'withdrawal')""",
    "alone": """SELECT w.account, w.event_id FROM (SELECT * FROM accounts WHERE kind = 'withdrawal') AS w
        LEFT JOIN (SELECT * FROM accounts WHERE kind = 'login') AS l
        ON w.account = l.account AND l.ts BETWEEN w.ts - INTERVAL '10' SECOND AND w.ts + INTERVAL '5' SECOND
        WHERE l.account IS NULL""",
}
_KINDS = ("login", "deposit", "withdrawal", "margin_update")


@dataclass(frozen=True)
class Sent:
    """One record: its stream, key and bytes."""

    stream: str
    key: bytes
    value: bytes | None

    @property
    def partition(self):
        """Where Kafka's default partitioner puts it."""
        return (murmur2(self.key) & 0x7FFFFFFF) % PARTITIONS


@dataclass
class Load:
    """Records in the order of sending."""

    records: list = field(default_factory=list)
    block: int = 1

    def portions(self, count):
        """The same in so many parts, none of which takes up again the times of the one before."""
        size = -(-len(self.records) // count)
        size += -size % self.block
        return [self.records[at : at + size] for at in range(0, len(self.records), size)]


def make(count, seed, *, accounts=60, every_ms=10):
    """``count`` events, and those that close everything."""
    rng = random.Random(seed)
    found = [_event(rng, n, f"acc-{rng.randrange(accounts)}", START_MS + n * every_ms) for n in range(count)]
    size = max(1, _SHUFFLED_MS // every_ms)
    for at in range(0, count, size):
        block = found[at : at + size]
        rng.shuffle(block)
        found[at : at + size] = block
    found += closing(START_MS + count * every_ms + _DAY_MS)
    return Load([record(stream, event) for stream, event in found], size)


def record(stream, event):
    """An event as it is sent."""
    return Sent(stream, event["account"].encode(), orjson.dumps(event))


def closing(ts):
    """An event in each partition of each topic that no rule takes notice of, but for its time."""
    keys = {}
    n = 0
    while len(keys) < PARTITIONS:
        keys.setdefault((murmur2(b"end-%d" % n) & 0x7FFFFFFF) % PARTITIONS, f"end-{n}")
        n += 1
    return [(s, _of(s, f"end-{s}-{ts}-{k}", k, ts, 0.0)) for s in STREAMS for k in keys.values()]


def order(n, account, ts, qty, action="new", side="buy", symbol="BTC-USD"):
    """An order event."""
    about = {"order_id": f"ord{n}", "symbol": symbol, "action": action, "side": side, "price": 64_000.5 + qty}
    return {"event_id": f"o{n}", "account": account, "qty": qty, "ts": ts} | about


def _event(rng, n, account, ts):
    kind = rng.random()
    qty = round(rng.uniform(0, 100), 2)
    if kind < 0.6:
        action, side = rng.choice(("new", "cancel")), rng.choice(("buy", "sell"))
        return "orders", order(n, account, ts, qty, action, side, f"S{rng.randrange(2)}")
    if kind < 0.85:
        return "fills", _of("fills", f"f{n}", account, ts, qty)
    return "accounts", _of("accounts", f"a{n}", account, ts, qty, rng.choice(_KINDS))


def _of(stream, event_id, account, ts, qty, kind="note"):
    if stream == "orders":
        return order(event_id, account, ts, qty, action="note")
    if stream == "fills":
        about = {"order_id": "x", "trade_id": "x", "symbol": "BTC-USD", "side": "buy", "price": 1.0 + qty, "qty": qty}
    else:
        about = {"kind": kind, "equity_usd": qty, "maintenance_usd": 10.0, "amount_usd": qty}
    return {"event_id": event_id, "account": account, "ts": ts} | about
