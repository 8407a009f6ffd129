"""``m1cep rules list``: how every rule stands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import orjson

from streams.cli.options import Group, RunningRules, Streams  # noqa: TC001 - typer reads the annotations
from streams.cli.output import AsJson, counted, wide

if TYPE_CHECKING:
    from collections.abc import Iterable


def list_(rules: RunningRules = None, streams: Streams = None, group: Group = "m1cep", as_json: AsJson = False) -> None:
    """Show every rule: version, how it stands, who decided that, and what it has done in the running workers.

    Example: m1cep rules list
    """
    from streams.config import load_settings
    from streams.files import load_rules, load_streams
    from streams.rules import desk
    from streams.rules.table import rows

    settings = load_settings()
    deployed = desk.read_rules(settings)
    workers = desk.running_workers(settings, group)
    found = rows(load_rules(rules, load_streams(streams)), deployed.records, workers)
    if as_json:
        for row in found:
            sys.stdout.buffer.write(orjson.dumps(row) + b"\n")
    else:
        _print_list(found)
        print(f"{counted(len(found), 'rule')}, {counted(len(workers), 'worker')} of group {group}", file=sys.stderr)
    for key, reason in deployed.bad.items():
        print(f"record {key!r}: {reason}", file=sys.stderr)


def _print_list(found: Iterable[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("id", "version", "mode", "origin", "by"):
        table.add_column(name, no_wrap=True)
    for name in ("events", "alerts", "open", "µs/event"):
        table.add_column(name, justify="right")
    table.add_column("reason")
    colours = {"quarantined": "red", "disabled": "dim", "shadow": "yellow", "proposed": "cyan"}
    for row in found:
        cost = "" if row["cost_us_per_event"] is None else f"{row['cost_us_per_event']:.2f}"
        facts = (
            row["id"],
            row["version"],
            row["mode"],
            row["origin"],
            row["by"] or "",
            *(f"{row[name]:,}" for name in ("events", "alerts", "open")),
        )
        cells = (*map(str, facts), cost, row["reason"] or "")
        table.add_row(*map(escape, cells), style=colours.get(row["mode"], ""))
    wide().print(table)
