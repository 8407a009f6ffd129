"""What commands share of their output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


def say(facts: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Print a result, as one line of JSON or as text for people."""
    typer.echo(orjson.dumps(facts) if as_json else text)
