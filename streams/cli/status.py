"""``m1cep status``: the workers of the cluster, as they say themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.output import wide

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from streams.status import StatusReader

EXAMPLE = "Example: m1cep status --watch"

_EVERY_S = 1.0
_NARROW = 110


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one object for each look.")] = False,
) -> None:
    """Show the workers: agents, what is left to read, rates, rules.

    Exit code 0, also when no worker runs; 3 when there is no broker, or no topic m1cep.status.v1.
    """
    import orjson

    from streams.config import load_settings
    from streams.status import StatusReader

    with StatusReader(load_settings()) as reader:
        if as_json:
            for workers in _looks(reader, watch=watch):
                typer.echo(orjson.dumps({"workers": workers}))
            return
        _show(reader, watch=watch)


def _show(reader: StatusReader, *, watch: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    if not watch:
        wide().print(_page(reader.look()))
        return
    console = Console()
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        for workers in _looks(reader, watch=True):
            live.update(_page(workers, narrow=console.width < _NARROW), refresh=True)


def _looks(reader: StatusReader, *, watch: bool) -> Iterator[list[dict[str, Any]]]:
    yield reader.look()
    try:
        while watch:
            time.sleep(_EVERY_S)
            yield reader.look()
    except KeyboardInterrupt:
        return


def _page(workers: Sequence[dict[str, Any]], *, narrow: bool = False) -> RenderableType:
    from rich.console import Group

    if not workers:
        return "No worker writes to m1cep.status.v1; `m1cep worker` starts one."
    parts: list[RenderableType] = []
    for worker in workers:
        parts += [_heading(worker), _agents(worker)]
    if any(worker["rules"] for worker in workers):
        parts.append(_rules(workers, narrow=narrow))
    return Group(*parts)


def _heading(worker: dict[str, Any]) -> RenderableType:
    latency = worker["alert_latency_ms"]
    state = (
        ("ready" if worker["ready"] else "not ready") if worker["alive"] else f"gone for {worker['age_ms'] // 1000} s"
    )
    words = [worker["worker"], state, f"{worker['events_per_s']:,.0f} events/s"]
    if latency:
        words.append(f"alerts after {latency['p50']:,.1f} ms, p99 {latency['p99']:,.1f} ms")
    if at := worker.get("event_time"):
        words.append(_event_time(at, worker["watermark_lag_ms"]))
    if worker["web"]:
        words.append(worker["web"])
    return _plain("  ".join(words))


def _event_time(at: dict[str, Any], lag_ms: dict[str, int]) -> str:
    """Of events of now how far rules are behind the clock; of others where in their time they are."""
    from m1cep.model.time import to_rfc3339

    if lag_ms:
        return f"event time {max(lag_ms.values()) / 1000:.1f} s behind the clock"
    newest = to_rfc3339(at["newest_ms"], "ms")[:19].replace("T", " ")
    return f"event time {newest} UTC (not of now), rules {at['behind_ms'] / 1000:.1f} s behind it"


def _agents(worker: dict[str, Any]) -> RenderableType:
    table = _table("agent", "state", ">events", ">to read", ">alerts", ">dead", ">late", ">unsaved s")
    for name, agent in worker["agents"].items():
        counts = (agent["events"], agent["lag_total"], agent["alerts"], agent["dead_letters"], agent["late"])
        table.add_row(name, agent["state"], *(f"{count:,}" for count in counts), f"{agent['unsaved_s']:.1f}")
    return table


def _rules(workers: Sequence[dict[str, Any]], *, narrow: bool) -> RenderableType:
    """Every rule once, added up over the workers that live; on a narrow screen what matters most of them."""
    left = ("version",) * (not narrow)
    counted = ("events", "alerts", "open") if narrow else ("events", "matches", "alerts", "open", "keys")
    table = _table("rule", *left, "mode", *(f">{name}" for name in counted), ">µs/event")
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for worker in workers:
        for rule in worker["rules"] if worker["alive"] else ():
            found.setdefault((rule["id"], rule["version"], rule["mode"]), []).append(rule)
    for (rule_id, version, mode), parts in sorted(found.items()):
        sums = {name: sum(part[name] for part in parts) for name in counted}
        cost = sum(part["busy_us"] for part in parts) / sums["events"] if sums["events"] else 0.0
        counts = (f"{count:,}" for count in sums.values())
        table.add_row(_plain(rule_id), *(version[:12] for _ in left), mode, *counts, f"{cost:.2f}")
    return table


def _table(*columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.removeprefix(">"), justify="right" if right else "left", no_wrap=right, overflow="fold")
    return table


def _plain(text: str) -> Text:
    """Text of others, which is no markup."""
    from rich.text import Text

    return Text(text)
