"""What commands share of their output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

#: Of tables, at least: a file or a pipe has no width of its own, and a table that is squeezed loses figures.
WIDTH = 140
_LATEST_MS = 10**14

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


def say(facts: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Print a result, as one line of JSON or as text for people."""
    typer.echo(orjson.dumps(facts) if as_json else text)


def wide() -> Console:
    """Where tables are printed: as wide as the terminal, and wide enough that no figure is cut."""
    from rich.console import Console

    return Console(width=max(Console().width, WIDTH))


def event_moment(time: int) -> str:
    """An event time for people, in UTC. It is in its stream's unit, milli- or microseconds: no event is of the year 5138."""
    from m1cep.model.time import to_rfc3339

    return to_rfc3339(time, "us" if time > _LATEST_MS else "ms")


def counted(number: int, noun: str) -> str:
    """A number of things in words: ``1 alert``, ``12,345 alerts``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
