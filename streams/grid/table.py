"""A plan as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from m1cep.grid.orders import Side

if TYPE_CHECKING:
    from rich.console import RenderableType

    from m1cep.grid.plan import GridPlan


def tables(plan: GridPlan) -> RenderableType:
    """Levels from the highest price to the lowest, the reasons, the notes."""
    notes = [Text.assemble(("note: ", "bold yellow"), note) for note in plan.notes]
    return Group(_levels(plan), Text(), _reasons(plan), Text(), *notes)


def _levels(plan: GridPlan) -> Table:
    market = plan.market
    base, _, quote = market.symbol.partition("-")
    table = Table(title=f"{market.symbol}: {plan.spacing} grid, {plan.sizing} sizing", title_justify="left")
    for title in ("", "level", f"price {quote}", f"quantity {base}", f"notional {quote}", "from the centre"):
        table.add_column(title, justify="left" if not title else "right")
    for level in sorted(plan.levels, key=lambda level: -level.ticks):
        if level is plan.buys[0]:
            table.add_row("centre", "", f"{market.price(plan.centre_ticks):,f}", "", "", "", style="bold")
        table.add_row(
            level.side.value,
            str(level.index),
            f"{market.price(level.ticks):,f}",
            f"{market.quantity(level.lots):f}",
            f"{market.notional(level.ticks, level.lots):,.2f}",
            f"{level.ticks / plan.centre_ticks - 1:+.3%}",
            style="green" if level.side is Side.BUY else "red",
        )
    return table


def _reasons(plan: GridPlan) -> Table:
    table = Table(title="Why", title_justify="left")
    table.add_column("number")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("how it was got", overflow="fold")
    for reason in plan.reasons:
        table.add_row(reason.name, reason.value, reason.how)
    return table
