"""A backtest as a table for a terminal: each part of the history, the grid beside buy-and-hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from m1cep.grid.plan.explain import HONEST
from m1cep.grid.plan.history import duration, moment

if TYPE_CHECKING:
    from decimal import Decimal

    from rich.console import RenderableType

    from m1cep.grid.backtest import Backtest, Drawdown, Part

TITLES = {"in_sample": "in sample", "out_of_sample": "out of sample"}


def tables(found: Backtest, speed: str) -> RenderableType:
    """Numbers of each part, what ended early, and what to think of it.

    Args:
        found: what came out.
        speed: a line about how fast it was.
    """
    notes = [Text.assemble(("note: ", "bold yellow"), note) for note in notes_of(found)]
    return Group(_parts(found), Text(speed), *notes)


def headline(found: Backtest) -> tuple[str, list[str]]:
    """What was run, and what came of it: the lines above a picture."""
    plan = found.parts[-1].plan
    title = (
        f"{plan.market.symbol}: {len(plan.levels)} levels, {plan.step_up:.3%} up, {plan.step_down:.3%} down, "
        f"fee {plan.market.maker_fee:%}"
    )
    parts = [
        f"{TITLES[part.name]}: {part.change / part.capital:+.2%}, buy and hold {part.hold.change / part.capital:+.2%}; "
        f"drawdown {part.drawdown.share:.2%} and {part.hold.drawdown.share:.2%}; {part.fills:,} fills"
        for part in found.parts
    ]
    return title, parts


def notes_of(found: Backtest) -> list[str]:
    """What whoever reads the numbers should know."""
    notes = [
        f"{TITLES[part.name]}: the grid ended as {part.state}{f' ({part.reason})' if part.reason else ''}"
        for part in found.parts
        if part.state != "live"
    ]
    if found.out_of_sample is None:
        notes.append("the plan has seen all of this history: these numbers say nothing about another (--in-sample)")
    else:
        notes.append("the plan was fitted to the first part: only what it did out of sample says anything")
    return [*notes, HONEST]


def _parts(found: Backtest) -> Table:
    plan = found.parts[-1].plan
    _, _, quote = plan.market.symbol.partition("-")
    title = f"{plan.market.symbol}: {len(plan.levels)} levels, {plan.step_up:.4%} up, {plan.step_down:.4%} down"
    table = Table(title=title, title_justify="left")
    table.add_column(f"money in {quote}")
    for part in found.parts:
        table.add_column(f"{TITLES[part.name]}\ngrid", justify="right", no_wrap=True)
        table.add_column("\nbuy and hold", justify="right", no_wrap=True)
    columns = [_column(part) for part in found.parts]
    for name in columns[0]:
        table.add_row(name, *(cell for column in columns for cell in column[name]))
    return table


def _column(part: Part) -> dict[str, tuple[str, str]]:
    """By row: what the grid has, and buy-and-hold."""
    curve, hold, market = part.curve, part.hold, part.plan.market
    first, last = curve.ticks[0], curve.ticks[-1]
    return {
        "from": (moment(curve.time_ms[0])[:16], ""),
        "for": (duration(curve.time_ms[-1] - curve.time_ms[0]), ""),
        "price": (f"{market.price(first):f}", f"{last / first - 1:+.2%}"),
        "capital": (_money(part.capital), _money(hold.capital)),
        "equity at the end": (_money(part.equity), _money(hold.equity)),
        "change": (_change(part.change, part.capital), _change(hold.change, hold.capital)),
        "  grid profit, less fees": (_signed(part.grid_profit), ""),
        "  floating": (_signed(part.floating), ""),
        "  fee of the first inventory": (_signed(-part.entry_fee), ""),
        "  unexplained": (f"{part.unexplained.normalize():f}", ""),
        "fees in all": (_money(part.fees), _money(hold.fee)),
        "maximum drawdown": (_drawdown(part.drawdown), _drawdown(hold.drawdown)),
        "fills": (f"{part.fills:,}", ""),
        "re-creations": (f"{part.recreations:,}", ""),
    }


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.2f}"


def _change(amount: Decimal, capital: Decimal) -> str:
    return f"{amount:+,.2f} ({amount / capital:+.2%})"


def _drawdown(found: Drawdown) -> str:
    return f"{found.amount:,.2f} ({found.share:.2%})"
