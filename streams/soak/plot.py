"""The document of a soak as a picture: memory, lag, events and alerts over time, faults as vertical lines."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from streams.soak.options import TO_WORKERS
from streams.svg import BLUE, FAINT, GREEN, INK, ORANGE, RED, Canvas, legend, round_up, scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.svg import Points

WIDTH = 1000
_LEFT, _RIGHT = 80, 970
_LEGEND = 500  # where it begins, beside the title
_HEAD, _PANEL, _GAP = 110, 170, 60
_COLORS = (BLUE, ORANGE, GREEN, "#7c3aed", "#0891b2")
_LETTERS = {"kill": "K", "pause": "P", "join": "J", "leave": "L", "burst": "B"}


def draw(doc: dict[str, Any]) -> str:
    """The picture of a document of ``streams.soak.report``."""
    samples = doc["samples"]
    panels = [
        ("Memory of the workers, MB (a line ends with its process)", _memory(samples)),
        ("Lag: records sent and not yet safe", {"": [[(s["at_s"], float(s["lag"])) for s in samples]]}),
        ("Events a second: sent, and processed and safe", _rates(samples)),
        ("Alerts received, each once", {"": [[(s["at_s"], float(s["alerts"])) for s in samples]]}),
    ]
    if any(s["broker_mb"] for s in samples):
        broker = [[(s["at_s"], float(s["broker_mb"] or 0)) for s in samples]]
        panels.append(("Memory of the embedded broker, MB (it keeps everything)", {"": broker}))
    canvas = Canvas(WIDTH, _HEAD + len(panels) * (_PANEL + _GAP))
    canvas.text(40, 28, f"m1cep soak: {doc['load_s']:,.0f} s, {doc['rate']:,} events/s, seed {doc['seed']}", size=18)
    verdict = "; ".join(doc["reasons"]) or "nothing missing, nothing invented"
    canvas.text(40, 48, verdict, size=13, color=GREEN if doc["ok"] else RED)
    canvas.text(40, 66, "Lines: K kill -9, P pause (SIGSTOP), J a worker joins, L one leaves, B burst", size=12)
    longest = max((s["at_s"] for s in samples), default=1.0)
    for n, (title, curves) in enumerate(panels):
        _panel(canvas, title, _HEAD + n * (_PANEL + _GAP), curves, doc["faults"], longest)
    return canvas.svg()


def _memory(samples: Sequence[dict[str, Any]]) -> dict[str, list[Points]]:
    """By worker, a line for each of its processes."""
    lines: dict[str, Points] = {}
    for sample in samples:
        for name, mb in sample["rss_mb"].items():
            lines.setdefault(name, []).append((sample["at_s"], mb))
    found: dict[str, list[Points]] = {}
    for name, points in lines.items():
        worker = name.partition(".")[0]
        found.setdefault(f"worker {worker}" if int(worker) < len(_COLORS) else "others", []).append(points)
    return found


def _rates(samples: Sequence[dict[str, Any]]) -> dict[str, list[Points]]:
    found: dict[str, list[Points]] = {"sent": [[]], "processed": [[]]}
    for before, now in pairwise(samples):
        span_s = now["at_s"] - before["at_s"]
        for name, points in found.items():
            points[0].append((now["at_s"], max(0.0, now[name] - before[name]) / span_s))
    return found


def _panel(
    canvas: Canvas,
    title: str,
    top: float,
    curves: Mapping[str, list[Points]],
    faults: Sequence[dict[str, Any]],
    longest: float,
) -> None:
    """One panel: curves over the seconds, y from zero."""
    bottom = top + _PANEL
    highest = round_up(max((y for lines in curves.values() for line in lines for _, y in line), default=1.0))
    at_x, at_y = scale(0, longest, _LEFT, _RIGHT), scale(0, highest, bottom, top)
    canvas.text(_LEFT, top - 22, title, size=14)
    for n in range(5):
        value = highest * n / 4
        canvas.line(_LEFT, at_y(value), _RIGHT, at_y(value))
        canvas.text(_LEFT - 6, at_y(value) + 4, f"{value:,g}", anchor="end", size=11)
    for n in range(7):
        canvas.text(at_x(longest * n / 6), bottom + 16, f"{longest * n / 6:.0f} s", anchor="middle", size=11)
    for fault in faults:
        x, color = at_x(fault["at_s"]), RED if fault["kind"] in TO_WORKERS else INK
        canvas.line(x, top - 4, x, bottom, color if fault["kind"] in TO_WORKERS else FAINT, dash="3 3")
        canvas.text(x, top - 7, _LETTERS[fault["kind"]], anchor="middle", size=10, color=color)
    for lines, color in zip(curves.values(), _COLORS, strict=False):
        for line in lines:
            canvas.path([(at_x(x), at_y(y)) for x, y in line], color, width=1.4, dots=False)
    legend(canvas, list(curves), _LEGEND, top - 22, _COLORS)
