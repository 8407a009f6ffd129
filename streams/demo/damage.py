"""Records that no gateway should send, for showing that they end as dead letters and their neighbours do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

STREAMS = ("orders", "fills", "accounts")
OVERSIZED_BYTES = 2_000_000

_MONEY_COLUMN = {"orders": "price", "fills": "price", "accounts": "amount_usd"}
_SAMPLES = {
    "orders": {"order_id": "syn-ord-0", "symbol": "BTC-USD", "action": "new", "side": "buy", "price": 1.0, "qty": 1.0},
    "fills": {
        "order_id": "syn-ord-0",
        "trade_id": "syn-t0",
        "symbol": "BTC-USD",
        "side": "buy",
        "price": 1.0,
        "qty": 1.0,
    },
    "accounts": {"kind": "deposit", "asset": "USDT", "amount": 1.0, "amount_usd": 1.0},
}
KINDS = ("not_json", "missing_column", "nan", "huge_integer", "oversized", "wrong_type", "bad_utf8")


def bad_records(rng: random.Random, start_ms: int, end_ms: int, count: int) -> Iterator[tuple[int, str, bytes]]:
    """``count`` damaged records by time: every kind in turn, at times and on streams picked by chance.

    Yields:
        time in ms at which it comes, stream, raw bytes.
    """
    times = sorted(rng.randrange(start_ms, end_ms) for _ in range(count))
    for n, at in enumerate(times):
        stream = rng.choice(STREAMS)
        yield at, stream, damaged(KINDS[n % len(KINDS)], stream, n, at)


def damaged(kind: str, stream: str, number: int, ts: int) -> bytes:
    """A record of ``stream`` with one fault, one of KINDS; whole otherwise."""
    event = {"event_id": f"syn-bad-{number}", "account": "syn-0000", **_SAMPLES[stream], "ts": ts}
    column = _MONEY_COLUMN[stream]
    if kind == "missing_column":
        del event["account"]
    elif kind == "wrong_type":
        event[column] = "a lot"
    elif kind == "oversized":
        event["account"] = "x" * OVERSIZED_BYTES
    raw = orjson.dumps(event)
    if kind == "not_json":
        return raw[:-7]
    if kind == "nan":
        return raw.replace(f'"{column}":1.0'.encode(), f'"{column}":NaN'.encode())
    if kind == "huge_integer":
        return raw.replace(f'"ts":{ts}'.encode(), b'"ts":' + b"9" * 40)
    if kind == "bad_utf8":
        return raw.replace(b"syn-0000", b"syn-\xff\xfe")
    return raw
