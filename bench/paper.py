"""How fast the paper exchange is, and whether its sorted list of levels is the right one.

    python bench/paper.py [--operations 200000] [--turns 5] [--json]

Everything in one process, by turns, in processor time; the garbage collector as the worker sets it. The floor is a loop that
keeps the same orders in a dict and does nothing else. Operations: 55 of 100 are orders of 50 clients around a price (four of
five post-only), the rest cancellations of recent orders. ``wide`` spreads the same over 200,000 prices, where keys are inserted
in the middle. ``flow`` is the real Bitstamp flow, if it was fetched (m1cep data fetch bitstamp).
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import random
import statistics
import time
from collections import OrderedDict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
from sortedcontainers import SortedList

from m1cep.grid.orders import Cancel, Market, Place, Side
from m1cep.grid.paper import Exchange, matching
from m1cep.grid.paper.book import Half
from m1cep.grid.paper.flow import RealFlow
from streams.config import load_settings
from streams.demo import dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.grid.paper.book import Order

MARKET = Market("BTC-USD", Decimal(1), Decimal("0.00000001"), Decimal(10), Decimal("0.001"), Decimal("0.002"))
Operations = list[tuple[str, Any]]


class SortedHalf(Half):
    """With sortedcontainers' list."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.keys: Any = SortedList()

    def add(self, order: Order) -> None:
        """As Half."""
        level = self.levels.get(order.key)
        if level is None:
            level = self.levels[order.key] = OrderedDict()
            self.keys.add(order.key)
        level[order] = None

    def drop(self, key: int) -> None:
        """As Half."""
        del self.levels[key]
        self.keys.remove(key)


class Heap:
    """Greatest key first; keys whose level is gone are dropped when they come up."""

    __slots__ = ("heap", "levels")

    def __init__(self, levels: dict[int, Any]) -> None:
        self.heap: list[int] = []
        self.levels = levels

    def __bool__(self) -> bool:
        while self.heap and -self.heap[0] not in self.levels:
            heapq.heappop(self.heap)
        return bool(self.heap)

    def __getitem__(self, _last: int) -> int:
        return -self.heap[0] if self else 0


class HeapHalf(Half):
    """With a heap, deleted from lazily."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.keys: Any = Heap(self.levels)

    def add(self, order: Order) -> None:
        """As Half."""
        level = self.levels.get(order.key)
        if level is None:
            level = self.levels[order.key] = OrderedDict()
            heapq.heappush(self.keys.heap, -order.key)
        level[order] = None

    def drop(self, key: int) -> None:
        """As Half."""
        del self.levels[key]


def operations(count: int, spread: float) -> Operations:
    """Orders and cancellations; ``spread``: how many ticks from the price an order is on average."""
    rng = random.Random(7)
    made: Operations = []
    live: list[tuple[str, str]] = []
    for n in range(count):
        if live and rng.random() < 0.45:
            owner, order_id = live.pop(rng.randrange(max(0, len(live) - 200), len(live)))
            made.append((owner, Cancel(order_id)))
            continue
        side = rng.choice((Side.BUY, Side.SELL))
        away = int(rng.expovariate(1 / spread)) - 2
        ticks = 1_000_000 - away if side is Side.BUY else 1_000_001 + away
        owner, order_id = f"c{n % 50}", str(n)
        made.append((owner, Place(order_id, side, max(1, ticks), rng.randrange(1, 10) * 10**6, rng.random() < 0.8)))
        live.append((owner, order_id))
    return made


def bare(made: Operations) -> None:
    """The floor: the same orders in a dict."""
    orders: dict[tuple[str, str], Any] = {}
    for owner, command in made:
        if type(command) is Place:
            orders[owner, command.order_id] = command
        else:
            orders.pop((owner, command.order_id), None)


def exchange(made: Operations, half: type[Half]) -> None:
    """The exchange, its halves of the given kind."""
    matching.Half = half  # type: ignore[misc]
    paper = Exchange(MARKET)
    for owner, command in made:
        paper.execute(owner, command, 0)


def flow(events: list[dict[str, Any]]) -> None:
    """The real flow through an exchange."""
    matching.Half = Half  # type: ignore[misc]
    real = RealFlow(Exchange(MARKET))
    for event in events:
        real.take(event)
    real.finish()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=200_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    near, wide = operations(options.operations, 30), operations(options.operations, 200_000)
    runs: dict[str, tuple[int, Callable[[], None]]] = {
        "dict alone": (len(near), lambda: bare(near)),
        "exchange": (len(near), lambda: exchange(near, Half)),
        "  sortedcontainers": (len(near), lambda: exchange(near, SortedHalf)),
        "  heap": (len(near), lambda: exchange(near, HeapHalf)),
        "wide": (len(wide), lambda: exchange(wide, Half)),
        "  sortedcontainers, wide": (len(wide), lambda: exchange(wide, SortedHalf)),
        "  heap, wide": (len(wide), lambda: exchange(wide, HeapHalf)),
    }
    if found := dataset.load(load_settings().home):
        events = [orjson.loads(line) for path in (found.book, found.market) for line in path.read_bytes().splitlines()]
        runs["flow"] = (len(events), lambda: flow(events))
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.turns):
        for name, (_, run) in runs.items():
            started_s = time.process_time()
            run()
            seconds[name].append(time.process_time() - started_s)
    rates = {name: count / statistics.median(seconds[name]) for name, (count, _) in runs.items()}
    if options.json:
        print(
            json.dumps(
                {name.strip(): {"per_s": rate, "of_dict": rate / rates["dict alone"]} for name, rate in rates.items()}
            )
        )
        return
    print(f"{'':26}{'operations/s':>14}{'of dict':>10}")
    for name, rate in rates.items():
        print(f"{name:26}{rate:>14,.0f}{rate / rates['dict alone']:>10.3f}")


if __name__ == "__main__":
    main()
