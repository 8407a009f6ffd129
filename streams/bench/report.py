"""The document as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from streams.bench.figures import Row, Section
    from streams.bench.run import Document


def tables(document: Document) -> RenderableType:
    """One table a section, then what was reached."""
    machine = document.machine
    head = f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; medians of {document.runs} runs; "
    parts: list[RenderableType] = [Text(head + f"Flink: {document.flink.source}", style="dim")]
    if document.quick:
        parts.append(Text("--quick: too small for figures that mean anything", style="yellow"))
    for section in document.sections:
        parts += [Text(""), Text(f"{section.name}: {section.title}", style="bold"), _table(section)]
    judged = [reached for section in document.sections for row in section.rows for _, reached in row.judged()]
    parts += [Text(""), Text(f"{sum(judged)} of {len(judged)} targets reached")]
    return Group(*parts)


def _table(section: Section) -> Table:
    names = list(dict.fromkeys(name for row in section.rows for name in row.figures))
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(name.replace("_per_s", "/s").replace("_", " "), justify="right")
    table.add_column("target", no_wrap=True)
    for row in section.rows:
        cells = [_figure(row.figures[name]) if name in row.figures else "" for name in names]
        table.add_row(row.what, *cells, _judgement(row))
    return table


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".removesuffix(".00")


def _judgement(row: Row) -> Text:
    text = Text()
    for target, reached in row.judged():
        if text:
            text.append(", ")
        text.append(f"{target} {'reached' if reached else 'not reached'}", style="green" if reached else "bold red")
    return text.append(row.note, style="dim")
