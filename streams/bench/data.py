"""Events to measure with: made from a seed, the same every time."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import orjson

from streams.demo.synthetic import SHORTEST_MS, SyntheticFlow
from streams.demo.synthetic import STREAMS as FLOW_STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

START_MS = 1_700_000_000_000
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
MANY_SYMBOLS = tuple(f"S{n:02d}-USD" for n in range(100))
_EVENTS_PER_MINUTE = 10_000  # of the account flow, and as many of the market: what Bitstamp's BTC/USD has


def orders(
    count: int, *, symbols: Sequence[str] = SYMBOLS, seed: int = 7, start_ms: int = START_MS
) -> Iterator[tuple[str, int, bytes]]:
    """Account, event time and JSON of ``count`` orders of 400 accounts, about 165 bytes each, 200 a second of event time."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    ts = start_ms
    for i in range(count):
        ts += rng.randrange(0, 11)
        account = f"acc-{rng.randrange(400):04d}"
        order = {
            "event_id": f"o{i}",
            "account": account,
            "order_id": f"ord{i}",
            "symbol": rng.choice(symbols),
            "action": "new" if rng.random() < 0.7 else "cancel",
            "side": rng.choice(("buy", "sell")),
            "price": round(rng.uniform(10, 70_000), 2),
            "qty": round(rng.uniform(0.001, 3), 5),
            "ts": ts,
        }
        yield account, ts, orjson.dumps(order)


def market(count: int, *, seed: int = 7, start_ms: int = START_MS) -> Iterator[bytes]:
    """JSON of ``count`` events of the market stream: orders that appear, change and go around a walking price, and trades."""
    rng = random.Random(f"market {seed}")  # noqa: S311 - repeatable on purpose
    mids = dict.fromkeys(SYMBOLS, 70_000.0)
    book: list[dict[str, Any]] = []
    for i in range(count):
        ts = start_ms + i * 60_000 // _EVENTS_PER_MINUTE
        what = rng.random()
        if what < 0.48 or len(book) < 50:
            symbol, side = rng.choice(SYMBOLS), rng.choice(("bid", "ask"))
            mids[symbol] *= 1 + rng.gauss(0, 0.000_01)
            away = rng.expovariate(1) * (-5 if side == "bid" else 5)
            event: dict[str, Any] = {"symbol": symbol, "action": "created", "order_id": f"m{i}", "side": side}
            event |= {"price": round(mids[symbol] + away, 2), "qty": round(rng.uniform(0.001, 2), 5)}
            book.append(event)
        elif what < 0.98:
            n = rng.randrange(len(book))
            event = book[n] | {"action": "changed" if what < 0.52 else "deleted"}
            if event["action"] == "deleted":
                book[n] = book[-1]
                book.pop()
        else:
            made = rng.choice(book)
            event = made | {
                "action": "trade",
                "order_id": None,
                "buy_order_id": made["order_id"],
                "sell_order_id": f"t{i}",
            }
        yield orjson.dumps({"event_id": f"v{i}"} | event | {"ts": ts})


def write_orders(file: Path, count: int, symbols: Sequence[str] = SYMBOLS) -> Path:
    """``count`` orders as a file."""
    with file.open("wb") as out:
        out.writelines(order + b"\n" for _, _, order in orders(count, symbols=symbols))
    return file


def write_mixed(folder: Path, count: int) -> tuple[dict[str, Path], int]:
    """About ``count`` events of all built-in streams, half of them the demo's synthetic account flow, half market: the files by
    stream, and how many events there are.
    """
    minutes = count / 2 / _EVENTS_PER_MINUTE
    flow = SyntheticFlow(7, START_MS, max(SHORTEST_MS, round(minutes * 60_000)), events_per_minute=_EVENTS_PER_MINUTE)
    files = {name: folder / f"mixed-{name}.ndjson" for name in (*FLOW_STREAMS, "market")}
    written = 0
    with ExitStack() as stack:
        outs = {name: stack.enter_context(file.open("wb")) for name, file in files.items()}
        for stream, event in flow:
            outs[stream].write(event if isinstance(event, bytes) else orjson.dumps(event))
            outs[stream].write(b"\n")
            written += 1
        outs["market"].writelines(event + b"\n" for event in market(written))
    return files, 2 * written
