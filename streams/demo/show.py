"""What a person sees of the demo: a live page on a terminal, lines elsewhere, JSON lines where asked for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.live import Live

from streams.demo.page import Page, cells
from streams.demo.words import summary_table

if TYPE_CHECKING:
    from streams.demo.director import Progress

_DRAWN_EVERY_S = 0.25


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

    def close(self) -> None:
        """Give the terminal back; to be called whatever happens."""


class _Lines:
    """What is said on stderr, a line each."""

    def __init__(self) -> None:
        self._phase = ""

    def phase(self, text: str) -> None:
        if text != self._phase:
            self.note(text)
        self._phase = text

    def page(self, url: str) -> None:
        self.note(f"the dashboard is at {url}")

    def note(self, text: str) -> None:
        print(f"m1cep demo: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """There is nothing to give back."""


class JsonShow(_Lines):
    """JSON lines on stdout: one an alert, then the summary."""

    def alert(self, _alert: dict[str, Any], raw: bytes) -> None:
        sys.stdout.buffer.write(raw + b"\n")

    def draw(self, _progress: Progress) -> None:
        sys.stdout.buffer.flush()

    def end(self, summary: dict[str, Any]) -> None:
        import orjson

        sys.stdout.buffer.write(orjson.dumps({"summary": summary}) + b"\n")
        sys.stdout.buffer.flush()


class LineShow(_Lines):
    """Alerts as lines on stdout, then the summary: into a file or a pipe."""

    def alert(self, alert: dict[str, Any], _raw: bytes) -> None:
        print("  ".join(cell.plain for cell in cells(alert)))

    def draw(self, _progress: Progress) -> None:
        sys.stdout.flush()

    def end(self, summary: dict[str, Any]) -> None:
        Console().print(summary_table(summary))


class LiveShow:
    """Alerts and figures, drawn anew four times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._page = Page()
        self._drawn_s = 0.0
        self._live = Live(self._page, console=console, refresh_per_second=1 / _DRAWN_EVERY_S, transient=True)
        self._live.start()

    def phase(self, text: str) -> None:
        self._page.phase(text)

    def page(self, url: str) -> None:
        self._page.url = url

    def note(self, text: str) -> None:
        self._page.note(text)

    def alert(self, alert: dict[str, Any], _raw: bytes) -> None:
        self._page.alert(alert)

    def draw(self, progress: Progress) -> None:
        now_s = time.monotonic()
        if now_s - self._drawn_s >= _DRAWN_EVERY_S:
            self._drawn_s = now_s
            self._page.take(progress)

    def close(self) -> None:
        self._live.stop()

    def end(self, summary: dict[str, Any]) -> None:
        self.close()
        self._console.print(self._page)
        self._console.print(summary_table(summary))


def show_for(*, as_json: bool) -> Show:
    """How the demo shows itself here."""
    if as_json:
        return JsonShow()
    console = Console()
    return LiveShow(console) if console.is_terminal and not console.is_dumb_terminal else LineShow()
