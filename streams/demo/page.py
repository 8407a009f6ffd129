"""The demo on a terminal: figures, the grid, what happens beside the alerts, the newest alerts; in whatever room there is."""

from __future__ import annotations

import time
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from m1cep.model.time import to_rfc3339
from streams.demo.score import percentiles

if TYPE_CHECKING:
    from rich.console import RenderableType

    from streams.demo.director import Progress

COLOURS = {"info": "dim", "low": "cyan", "medium": "yellow", "high": "red", "critical": "bold white on red"}
_MOST_ALERTS, _NOTES = 200, 3
_RATE_OVER_S = 5.0
_WIDE = 110  # columns from which on there is room for what an alert says
_FRAMES = "|/-\\"
_GAP = "   "


class Page:
    """What is shown while the demo runs; drawn anew each time that rich asks for it.

    Attributes:
        url: of the dashboard.
    """

    def __init__(self) -> None:
        self.url = ""
        self._phase = ""
        self._since_s = time.monotonic()
        self._alerts: deque[dict[str, Any]] = deque(maxlen=_MOST_ALERTS)
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._counts: deque[tuple[float, int]] = deque()
        self._figures: RenderableType | None = None
        self._grid: RenderableType | None = None

    def phase(self, text: str) -> None:
        """What is being done now."""
        self._phase = text

    def note(self, text: str) -> None:
        """Something that happened beside the alerts."""
        self._notes.append(text)

    def alert(self, alert: dict[str, Any]) -> None:
        """A new alert."""
        self._alerts.appendleft(alert)

    def take(self, progress: Progress) -> None:
        """How things stand."""
        risk, marks = progress.risk, progress.marks
        latency = percentiles(progress.latencies_ms[-500:])
        facts = [
            f"[bold]{risk.get('events', 0):,}[/] events",
            f"[bold]{self._rate(int(risk.get('events', 0))):,.0f}[/] events/s",
            f"[bold]{counted(len(progress.alerts), 'alert')}[/]",
            f"latency p50 [bold]{latency['p50'] or 0:,.0f}[/] ms, p99 [bold]{latency['p99'] or 0:,.0f}[/] ms",
            counted(risk.get("dead_letters", 0), "dead letter"),
        ]
        if marks.times_ms:
            facts.append(f"event time {to_rfc3339(marks.times_ms[-1], 'ms')[:19].replace('T', ' ')}")
        self._figures = _Flow(facts)
        self._grid = _Flow(_grid_facts(progress.grid)) if progress.grid.get("state") else None

    def _rate(self, events: int) -> float:
        """Events a second of the last seconds."""
        now_s = time.monotonic()
        self._counts.append((now_s, events))
        while now_s - self._counts[0][0] > _RATE_OVER_S:
            self._counts.popleft()
        since_s, before = self._counts[0]
        return (events - before) / (now_s - since_s) if now_s > since_s else 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """In the size of the terminal, whole: rich cuts off what is longer."""
        if self._figures is None:
            yield from self._starting()
            return
        where = f"dashboard: {self.url}" if self.url else None
        title = f"M1CEP - {self._phase}"
        parts: list[RenderableType] = [
            Panel(self._figures, title=title, title_align="left", subtitle=where, border_style="cyan")
        ]
        if self._grid is not None:
            parts.append(Panel(self._grid, title="grid", title_align="left", border_style="green"))
        parts += [Text(f" {note}", no_wrap=True, overflow="ellipsis", style="italic") for note in list(self._notes)]
        above = Group(*parts)
        used = len(console.render_lines(above, options.update(height=None), pad=False))
        yield above
        yield self._table(max(3, console.height - used - 2), options.max_width)

    def _starting(self) -> RenderResult:
        seconds = time.monotonic() - self._since_s
        frame = _FRAMES[int(seconds * 4) % len(_FRAMES)]
        yield Text(f" {frame} {self._phase} ... {seconds:.0f} s", style="italic", no_wrap=True, overflow="ellipsis")
        for note in list(self._notes):
            yield Text(f"   {note}", no_wrap=True, overflow="ellipsis")

    def _table(self, rows: int, width: int) -> Table:
        table = Table(box=None, expand=True, header_style="dim", pad_edge=False)
        wide = width >= _WIDE
        for name, fixed in (("event time", 12), ("severity", 8), ("rule", 21)):
            table.add_column(name, width=fixed, no_wrap=True)
        table.add_column("key", width=30 if wide else None, no_wrap=True, overflow="ellipsis")
        if wide:
            table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
        for alert in list(self._alerts)[:rows]:
            table.add_row(*cells(alert)[: len(table.columns)])
        return table


def cells(alert: dict[str, Any]) -> list[Text]:
    """Time, severity, rule, key and what an alert says."""
    colour = COLOURS.get(alert["severity"], "")
    row = {k: v for k, v in alert["row"].items() if k not in alert["key"] and k != "ts"}
    return [
        Text(to_rfc3339(alert["event_time"], "ms")[11:23]),
        Text(alert["severity"], style=colour),
        Text(alert["rule"], style="bold"),
        Text(" ".join(str(v) for v in alert["key"].values())),
        Text(" ".join(f"{k}={_value(v)}" for k, v in row.items()), style="dim"),
    ]


def counted(number: int, what: str) -> str:
    """Such as 1 alert, 1,200 alerts."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def money(text: str | None) -> str:
    """An amount with its sign, in cents."""
    return f"{Decimal(text or 0):+,.2f}"


class _Flow:
    """Facts beside each other, as many a line as fit, none of them broken."""

    def __init__(self, facts: list[str]) -> None:
        self._facts = [Text.from_markup(fact) for fact in facts]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text()
        for fact in self._facts:
            if line and len(line) + len(_GAP) + len(fact) > options.max_width:
                yield line
                line = Text()
            line = Text.assemble(line, _GAP if line else "", fact)
        yield line


def _grid_facts(grid: dict[str, Any]) -> list[str]:
    colour = {"live": "green", "halted": "red"}.get(grid["state"], "yellow")
    return [
        f"[{colour}]{grid['state']}[/]",
        f"generation [bold]{grid['generations']}[/]",
        f"[bold]{counted(grid['fills'] or 0, 'fill')}[/]",
        f"grid profit [bold]{money(grid['grid_profit'])}[/] USD",
        f"floating [bold]{money(grid['floating_pnl'])}[/] USD",
    ]


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
