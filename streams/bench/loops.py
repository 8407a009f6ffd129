"""Matches of many rows: what an event costs must not depend on how long they are. The engine alone, on rows decoded before."""

from __future__ import annotations

import gc
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import m1cep
from streams.bench.figures import Row, Section, Target, most
from streams.bench.measure import by_turns
from streams.bench.rules import LONG_MATCH, NESTED_LOOP
from streams.files import load_streams
from streams.replay import rare_collections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.bench.setup import Setup

LONGEST_OVER_SHORTEST = 1.2  # "flat (within 20 %)"
NESTED_LONGEST_OVER_SHORTEST = 1.5  # "in time proportional to the rows"; the shortest takes milliseconds, hence noisy
SLICE = 500  # rows pushed at once
BUDGET_S = 20.0  # one measurement is broken off after so long


class _Runs:
    """Rows of one key: runs of new orders, each ended by a cancel that completes a match with all of them."""

    def __init__(self, rows: int) -> None:
        row = load_streams()["orders"].row_type
        same = {"account": "a", "order_id": "o", "symbol": "S", "side": "buy", "price": 1.0}
        self.new = [row(event_id=f"o{n}", action="new", qty=1 + n % 7 / 10, ts=n, **same) for n in range(rows)]
        self._cancel = partial(row, action="cancel", **same)

    def of(self, length: int) -> list[Any]:
        """Runs of ``length`` rows, as many as there are rows for."""
        period = length + 1
        rows = self.new[: len(self.new) // period * period]
        for n in range(length, len(rows), period):
            rows[n] = self._cancel(event_id=f"o{n}", qty=3.0, ts=n)
        return rows


def length(setup: Setup) -> Section:
    """`A+ B` where A+ is 10, 100 ... 100 000 rows long."""
    runs = _Runs(max(setup.sizes.long_rows, max(setup.sizes.lengths) + 1))
    cases = {f"{n:,} rows": runs.of(n) for n in setup.sizes.lengths}
    title = "matches of A+ B with AVG(A.qty), the engine alone: cost an event by the rows of a match"
    flat = most("longest_over_shortest", LONGEST_OVER_SHORTEST)
    return _cases("length", title, LONG_MATCH, cases, flat, setup)


def nested(setup: Setup) -> Section:
    """`((A+)+ B)` over one run."""
    new = _Runs(max(setup.sizes.nested_rows)).new
    cases = {f"{n:,} rows": new[:n] for n in setup.sizes.nested_rows}
    title = "((A+)+ B) over a run that never ends in B, the engine alone: cost by the length of the run"
    flat = most("longest_over_shortest", NESTED_LONGEST_OVER_SHORTEST)
    return _cases("nested", title, NESTED_LOOP, cases, flat, setup)


def _cases(name: str, title: str, text: str, cases: dict[str, list[Any]], flat: Target, setup: Setup) -> Section:
    rule = m1cep.compile_rule(text, load_streams(), name)
    broken_off: dict[str, tuple[int, float]] = {}

    def run(case: str) -> float:
        done, seconds = broken_off.get(case) or cost(rule, cases[case])
        if done < len(cases[case]):
            broken_off[case] = done, seconds
        return seconds / done

    taken = by_turns({case: partial(run, case) for case in cases}, setup.runs, setup.step)
    section = Section(name, title)
    for case, seconds in taken.items():
        note = f"broken off after {broken_off[case][0]:,} rows and {BUDGET_S:.0f} s" if case in broken_off else ""
        section.rows.append(Row(case, {"us_per_event": round(seconds * 1e6, 3)}, note=note))
    times = list(taken.values())
    section.rows.append(
        Row("longest over shortest", {"longest_over_shortest": round(times[-1] / times[0], 2)}, (flat,))
    )
    return section


def cost(rule: m1cep.Rule, rows: Sequence[Any]) -> tuple[int, float]:
    """Rows given to the rule, and the seconds that it took; broken off after BUDGET_S."""
    engine = m1cep.Engine([rule])
    gc.collect()
    with rare_collections():
        started = time.process_time()
        for at in range(0, len(rows), SLICE):
            engine.push_rows("orders", list(rows[at : at + SLICE]))
            if (taken := time.process_time() - started) > BUDGET_S:
                return min(at + SLICE, len(rows)), taken
        engine.finish()
        return len(rows), time.process_time() - started
