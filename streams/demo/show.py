"""What a person sees of the demo: a live table on a terminal, lines elsewhere, JSON lines where asked for."""

from __future__ import annotations

import sys
import time
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from m1cep.ledger.liabilities.verify_balance import shown
from m1cep.model.time import to_rfc3339
from streams.demo.score import percentiles

if TYPE_CHECKING:
    from streams.demo.director import Progress

COLOURS = {"info": "dim", "low": "cyan", "medium": "yellow", "high": "red", "critical": "bold white on red"}
SHOWN = 14


class Show(Protocol):
    """Where a demo shows itself."""

    def phase(self, text: str) -> None:
        """What is being done now."""

    def page(self, url: str) -> None:
        """Where the web page is."""

    def note(self, text: str) -> None:
        """Something that happened beside the alerts."""

    def alert(self, alert: dict[str, Any], raw: bytes) -> None:
        """An alert, as an object and as it came."""

    def draw(self, progress: Progress) -> None:
        """A chance to draw; called often."""

    def end(self, summary: dict[str, Any]) -> None:
        """The summary."""


class JsonShow:
    """JSON lines on stdout: one an alert, then the summary."""

    def __init__(self) -> None:
        self._phase = ""

    def phase(self, text: str) -> None:
        if text != self._phase:
            print(f"m1cep demo: {text}", file=sys.stderr)
        self._phase = text

    def page(self, url: str) -> None:
        self.note(f"the dashboard is at {url}")

    def note(self, text: str) -> None:
        print(f"m1cep demo: {text}", file=sys.stderr)

    def alert(self, _alert: dict[str, Any], raw: bytes) -> None:
        sys.stdout.buffer.write(raw + b"\n")

    def draw(self, _progress: Progress) -> None:
        sys.stdout.buffer.flush()

    def end(self, summary: dict[str, Any]) -> None:
        import orjson

        sys.stdout.buffer.write(orjson.dumps({"summary": summary}) + b"\n")
        sys.stdout.buffer.flush()


class TableShow:
    """Alerts and figures for a person: drawn anew on a terminal, alerts as lines where stdout is none."""

    def __init__(self) -> None:
        self._console = Console()
        self._latest: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self._live: Live | None = None
        self._phase = ""
        self._note = ""
        self._url = ""
        self._drawn_s = 0.0
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, screen=False)
            self._live.start()

    def phase(self, text: str) -> None:
        if self._live is not None:
            self._live.update(Text(f" {text} ...", style="italic"), refresh=True)
        elif text != self._phase:
            print(f"m1cep demo: {text}", file=sys.stderr)
        self._phase = text

    def page(self, url: str) -> None:
        self._url = url
        if self._live is None:
            print(f"m1cep demo: the dashboard is at {url}", file=sys.stderr)

    def note(self, text: str) -> None:
        self._note = text
        if self._live is None:
            print(f"m1cep demo: {text}", file=sys.stderr)

    def alert(self, alert: dict[str, Any], _raw: bytes) -> None:
        self._latest.appendleft(alert)
        if self._live is None:
            print(_line(alert))

    def draw(self, progress: Progress) -> None:
        now_s = time.monotonic()
        if self._live is None or now_s - self._drawn_s < 0.25:
            return
        self._drawn_s = now_s
        self._live.update(self._page(progress), refresh=True)

    def close(self) -> None:
        """Give the terminal back; to be called whatever happens."""
        if self._live is not None:
            self._live.stop()

    def end(self, summary: dict[str, Any]) -> None:
        self.close()
        self._console.print(summary_table(summary))

    def _page(self, progress: Progress) -> Group:
        risk, marks = progress.risk, progress.marks
        latency = percentiles(progress.latencies_ms[-500:])
        at = to_rfc3339(marks.times_ms[-1], "ms")[:19].replace("T", " ") if marks.times_ms else "-"
        facts = Table.grid(padding=(0, 3))
        facts.add_row(
            f"[bold]{risk.get('events', 0):,}[/] events",
            f"[bold]{progress.stats.get('events_per_s', 0):,.0f}[/]/s",
            f"[bold]{len(progress.alerts):,}[/] alerts",
            f"latency p50 [bold]{latency['p50'] or 0:.0f}[/] ms, p99 [bold]{latency['p99'] or 0:.0f}[/] ms",
            f"{risk.get('dead_letters', 0)} dead letters",
            f"event time {at}",
        )
        table = Table(box=None, expand=True, header_style="dim", pad_edge=False)
        for name, width in (("event time", 12), ("severity", 8), ("rule", 21), ("key", 30)):
            table.add_column(name, width=width, no_wrap=True)
        table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
        for alert in self._latest:
            table.add_row(*_cells(alert))
        title = f"M1CEP - {self._phase}"
        where = f"dashboard: {self._url}" if self._url else None
        parts = [Panel(facts, title=title, title_align="left", subtitle=where, border_style="cyan")]
        if progress.grid.get("state"):
            parts.append(
                Panel(_grid(progress.grid, self._note), title="grid", title_align="left", border_style="green")
            )
        return Group(*parts, table)


def _grid(grid: dict[str, Any], note: str) -> Table:
    facts = Table.grid(padding=(0, 3))
    colour = {"live": "green", "halted": "bold red"}.get(grid["state"], "yellow")
    facts.add_row(
        f"[{colour}]{grid['state']}[/]",
        f"generation [bold]{grid['generations']}[/]",
        f"[bold]{grid['fills']}[/] fills",
        f"grid profit [bold]{_money(grid['grid_profit'])}[/]",
        f"floating [bold]{_money(grid['floating_pnl'])}[/]",
        note,
    )
    return facts


def _money(text: str) -> str:
    return f"{Decimal(text):+,.2f}"


def _cells(alert: dict[str, Any]) -> list[Text]:
    colour = COLOURS.get(alert["severity"], "")
    row = {k: v for k, v in alert["row"].items() if k not in alert["key"] and k != "ts"}
    return [
        Text(to_rfc3339(alert["event_time"], "ms")[11:23]),
        Text(alert["severity"], style=colour),
        Text(alert["rule"], style="bold"),
        Text(" ".join(str(v) for v in alert["key"].values())),
        Text(" ".join(f"{k}={_value(v)}" for k, v in row.items()), style="dim"),
    ]


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(alert: dict[str, Any]) -> str:
    return "  ".join(cell.plain for cell in _cells(alert))


def _accountable(reserves: dict[str, Any]) -> dict[str, str]:
    """What is owed and what is there, in two lines."""
    assets = reserves.get("assets")
    if not assets:
        return {"reserves": f"{reserves['statements']} statements of what is owed; nobody has signed for what is there"}
    held = {name: one for name, one in assets.items() if one["units"] is not None}
    short = [name for name, one in held.items() if not one["covered"]]
    amounts = ", ".join(
        f"{name} {shown(int(one['units']), one['decimals'])} of {shown(int(one['owed_units']), one['decimals'])}"
        for name, one in held.items()
    )
    others = ", ".join(sorted(assets.keys() - held.keys()))
    proof = reserves["proof"]
    return {
        "reserves": (
            f"{reserves['addresses']} vaults have signed that what is owed is there: {amounts}: "
            f"{'NOT COVERED: ' + ', '.join(short) if short else 'covered'}"
            + (f"; what the synthetic flow trades is in no vault ({others})" if others else "")
        ),
        "proof": ("checked by a customer with the one-file verifier: " if proof["true"] else "NOT TRUE: ")
        + proof["said"],
    }


def summary_table(summary: dict[str, Any]) -> Table:
    """The summary as a table."""
    table = Table(title="What happened", title_justify="left", title_style="bold", show_header=False, box=None)
    attacks, latency = summary["attacks"], summary["alert_latency_ms"]
    data = "real Bitstamp orders and a synthetic account flow" if summary["real_data"] else "a synthetic flow only"
    streams = ", ".join(f"{n} {c:,}" for n, c in summary["events_by_stream"].items())
    rows = {
        "events": f"{summary['events']:,} in {summary['seconds']} s ({streams}); {data}",
        "throughput": f"{summary['events_per_s']:,} events/s",
        "alerts": f"{summary['alerts']:,}",
        "latency": f"p50 {latency['p50']} ms, p99 {latency['p99']} ms from the producer's send to the alert being readable",
        "attacks": f"{attacks['found']} of {attacks['planted']} planted found, {attacks['unexplained']} alerts without one",
        "dead letters": f"{summary['dead_letters']} damaged records set aside, {summary['late']} late events",
    }
    if grid := summary.get("grid"):
        rows["grid"] = (
            f"{grid['generations']} generations, {grid['fills']} fills, halts: {grid['halts']}; profit of pairs "
            f"{grid['grid_profit']} + floating {grid['floating_pnl']} = {grid['equity_change']} USD, "
            f"unexplained {grid['unexplained']}"
        )
    if custody := summary.get("custody"):
        released = ", ".join(f"{chain} {count}" for chain, count in custody["released"].items()) or "none"
        rows["custody"] = (
            f"{custody['requests']} requests to {custody['signer_processes']} signers: released {released}; "
            f"{custody['rejected']} rejected, {custody['expired']} expired"
        )
    if ledger := summary.get("ledger"):
        rows["ledger"] = (
            f"{ledger['postings']:,} postings, {'balanced' if ledger['balanced'] else 'NOT BALANCED'}; risk "
            f"{'CAN' if ledger['risk_can_write'] else 'cannot'} write (tried)"
        )
    if (reserves := summary.get("reserves")) is not None:
        rows |= _accountable(reserves)
    if rpc := summary.get("rpc"):
        rows["pre-trade"] = (
            f"{rpc['checks']:,} orders checked before they were placed, {rpc['rejected']:,} rejected; "
            f"a batch took p99 {rpc['p99_ms']} ms"
        )
    for name, text in rows.items():
        table.add_row(Text(name, style="bold"), text)
    for rule, count in sorted(summary["alerts_by_rule"].items(), key=lambda item: -item[1]):
        table.add_row(Text(f"  {rule}", style="cyan"), f"{count:,}")
    return table
