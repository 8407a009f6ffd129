"""``m1cep grid start|status|pause|resume|stop``: grids that run, over Kafka."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.config import load_settings
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Name = Annotated[str, typer.Argument(help="Of the grid.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a grid.")]

_COLUMNS = ("grid", "state", "generations", "centre", "orders", "fills", "grid_profit", "floating_pnl", "fees")
_MONEY = ("grid_profit", "floating_pnl", "fees")  # exact in the JSON
_WIDTH = 120  # at least: a file or a pipe has no width of its own
_STYLES = {"live": "green", "halted": "bold red", "paused": "yellow", "stopped": "dim"}


def start(
    name: Annotated[str, typer.Argument(help="Of the grid; used once, for ever: order ids are made of it.")],
    spec: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="What it is to be: grid plan --spec FILE.")],
    account: Annotated[str, typer.Option(help="That it trades for; alerts on it halt the grid.")],
    venue: Annotated[str, typer.Option(help="Where it trades: the agent that carries out its commands.")] = "paper",
    as_json: AsJson = False,
) -> None:
    """Start a grid and wait until a worker has begun with it.

    Example: m1cep grid start btc --spec btc.json --account desk-1
    """
    from m1cep.grid import wire
    from streams.files import read_text
    from streams.grid.desk import start_grid

    try:
        plain = orjson.loads(read_text(spec))
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{spec} is not JSON: {error}", "m1cep grid plan --spec FILE writes such a file") from None
    _show([start_grid(load_settings(), name, wire.spec(plain), account=account, venue=venue)], as_json=as_json)


def status(
    name: Annotated[str | None, typer.Argument(help="Of the grid; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the grids stand.

    Example: m1cep grid status btc
    """
    from streams.errors import ShellError
    from streams.grid.desk import standing

    found = standing(load_settings())
    if name is not None:
        if name not in found:
            raise ShellError(f"there is no grid {name!r}", f"there are: {', '.join(sorted(found)) or 'none'}")
        found = {name: found[name]}
    if not found and not as_json:
        typer.echo("There are no grids; `m1cep grid start` starts one.")
        return
    _show([found[name] for name in sorted(found)], as_json=as_json)


def pause(name: Name, as_json: AsJson = False) -> None:
    """Cancel a grid's orders and wait for resume.

    Example: m1cep grid pause btc
    """
    _ask(name, "pause", as_json=as_json)


def resume(name: Name, as_json: AsJson = False) -> None:
    """Go on after a pause or a halt, around the newest price.

    Example: m1cep grid resume btc
    """
    _ask(name, "resume", as_json=as_json)


def stop(name: Name, as_json: AsJson = False) -> None:
    """Cancel a grid's orders, for good.

    Example: m1cep grid stop btc
    """
    _ask(name, "stop", as_json=as_json)


def _ask(name: str, what: str, *, as_json: bool) -> None:
    from streams.grid.desk import ask_grid

    _show([ask_grid(load_settings(), name, what)], as_json=as_json)


def _show(found: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            typer.echo(orjson.dumps(one))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in _COLUMNS:
        table.add_column(column.replace("_", " "), justify="left" if column in {"grid", "state"} else "right")
    table.add_column("reason")
    for one in found:
        market = one["spec"]["market"]
        centre = f"{one['centre_ticks'] * Decimal(market['tick']):,f}" if one["centre_ticks"] else ""
        values = {**one, "centre": centre} | {name: f"{Decimal(one[name]):,.4f}" for name in _MONEY}
        state = f"[{_STYLES.get(one['state'], 'cyan')}]{one['state']}[/]"
        quarantined = f"{one['quarantined']} reports put aside" if one["quarantined"] else ""
        table.add_row(
            *(state if c == "state" else escape(str(values[c])) for c in _COLUMNS),
            escape("; ".join(filter(None, (one["reason"], quarantined)))),
        )
    Console(width=max(Console().width, _WIDTH)).print(table)
