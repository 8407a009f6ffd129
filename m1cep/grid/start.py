"""From a planned grid to one that runs: the same levels, prices and quantities."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from m1cep.grid.machine import GridSpec, Rung
from m1cep.grid.plan import Sizing, Spacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.grid.plan import GridPlan
    from m1cep.grid.plan.result import Level


def grid_spec(plan: GridPlan) -> GridSpec:
    """What the state machine needs to run a plan."""
    return GridSpec(
        market=plan.market,
        centre_ticks=plan.centre_ticks,
        up=_rungs(plan, plan.sells, plan.sell_quote, plan.step_up, plan.step_up_ticks),
        down=_rungs(plan, plan.buys, plan.buy_quote, plan.step_down, plan.step_down_ticks),
        cash=plan.cash,
        lots=plan.base_lots,
        compound=plan.sizing is Sizing.COMPOUNDING,
        max_orders=len(plan.levels),
    )


def _rungs(plan: GridPlan, levels: Sequence[Level], quote: Decimal, step: Decimal, step_ticks: int) -> tuple[Rung, ...]:
    arithmetic = plan.spacing is Spacing.ARITHMETIC
    return tuple(
        Rung(
            ticks=step_ticks if arithmetic else 1,
            ratio=Decimal(0) if arithmetic else step,
            quote=quote,
            lots=0 if quote else level.lots,
        )
        for level in levels
    )
