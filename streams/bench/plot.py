"""The document as a picture: one SVG, four panels, no library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 1000, 760
_INK, _FAINT, _BLUE, _ORANGE, _RED = "#1f2937", "#d1d5db", "#2563eb", "#d97706", "#b91c1c"
_LEFT, _RIGHT = (40, 470), (580, 960)  # from and to, horizontally, of the two columns of panels
_TOP, _BOTTOM = (100, 350), (450, 680)  # and vertically

_Points = list[tuple[float, float]]


class _Canvas:
    """Shapes in SVG, as text."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, color: str = _INK) -> None:
        where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self.parts.append(f'<text {where} font-size="{size}" fill="{color}">{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str = _FAINT, dash: str = "") -> None:
        where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f'<line {where} stroke="{color}"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>')

    def path(self, points: _Points, color: str) -> None:
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{where}" fill="none" stroke="{color}" stroke-width="2"/>')
        self.parts.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points)

    def svg(self) -> str:
        """The whole."""
        size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
        return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *self.parts, "</svg>", ""])


def draw(document: dict[str, Any]) -> str:
    """The picture of a document of ``m1cep bench``; a section that was not measured leaves its panel out."""
    canvas = _Canvas()
    machine = document["machine"]
    about = (
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, medians of {document['runs']} runs"
    )
    canvas.text(40, 28, f"m1cep bench {document['m1cep']}", size=18)
    canvas.text(40, 48, about + (", --quick: figures mean little" if document["quick"] else ""), size=12)
    sections = {section["name"]: section["rows"] for section in document["sections"]}
    _bars(canvas, sections)
    _many_rules(canvas, sections)
    _lengths(canvas, sections)
    _keys(canvas, sections)
    return canvas.svg()


def _bars(canvas: _Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
    """Throughput of each kind and of the pack, as a share of decoding alone."""
    rows = [row | {"least": 0.6} for row in sections.get("kinds", []) if "of_decode" in row and row["what"] != "decode"]
    rows += [
        row | {"least": 0.25, "what": f"pack of {row['what']}"}
        for row in sections.get("pack", [])
        if row["what"] != "decode"
    ]
    if not rows:
        return
    (left, right), (top, bottom) = _LEFT, _TOP
    canvas.text(left, top - 8, "Events/s as a share of decoding alone (mark: target)", size=14)
    start, step = left + 130, (bottom - top) / len(rows)
    scale = (right - start) / 1.15
    for n, row in enumerate(rows):
        y, share = top + n * step, row["of_decode"]
        canvas.box(start, y + step * 0.15, share * scale, step * 0.7, _BLUE if share >= row["least"] else _ORANGE)
        canvas.text(start - 8, y + step * 0.62, row["what"], anchor="end", size=12)
        flink = f", {row['times_flink']:,g} times Flink" if "times_flink" in row else ""
        canvas.text(start + share * scale + 8, y + step * 0.62, f"{share:.2f}{flink}", size=12)
        canvas.line(start + row["least"] * scale, y + 2, start + row["least"] * scale, y + step - 2, _RED)
    canvas.line(start, top, start, bottom, _INK)


def _many_rules(canvas: _Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
    rows = sections.get("rules", [])
    points = [(float(row["what"].split()[0]), row["us_per_event"]) for row in rows]
    if points:
        title = "µs per event, by rules (dashed: 8 times one rule)"
        _curves(canvas, title, _RIGHT, _TOP, {"": points}, limit=8 * points[0][1])


def _lengths(canvas: _Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
    curves: dict[str, _Points] = {}
    for name, label in (("length", "A+ B"), ("nested", "((A+)+ B)")):
        rows = [row for row in sections.get(name, []) if "us_per_event" in row]
        if rows:
            curves[label] = [(_number(row["what"]), row["us_per_event"]) for row in rows]
    if curves:
        _curves(canvas, "µs per event, by the rows of a match (engine alone)", _LEFT, _BOTTOM, curves)


def _keys(canvas: _Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
    rows = sections.get("keys", [])
    labels = {"bytes_per_key": "open", "bytes_per_key_after": "after WITHIN"}
    curves = {label: [(_number(row["what"]), row[name]) for row in rows] for name, label in labels.items()}
    if rows:
        title = "Bytes per open key, by keys (dashed: 300)"
        _curves(canvas, title, _RIGHT, _BOTTOM, curves, limit=300)


def _number(what: str) -> float:
    return float(what.split(maxsplit=1)[0].replace(",", ""))


def _curves(
    canvas: _Canvas,
    title: str,
    across: tuple[int, int],
    down: tuple[int, int],
    curves: dict[str, _Points],
    limit: float = 0.0,
) -> None:
    """Curves over a logarithmic x, y from zero."""
    (left, right), (top, bottom) = across, down
    canvas.text(left, top - 8, title, size=14)
    places = sorted({x for points in curves.values() for x, _ in points})
    highest = _round_up(max([limit, *(y for points in curves.values() for _, y in points)]))
    at_x = _scale(math.log10(places[0]), math.log10(places[-1]), left + 50, right - 10)
    at_y = _scale(0, highest, bottom, top + 10)
    for n in range(5):
        value = highest * n / 4
        canvas.line(left + 40, at_y(value), right, at_y(value))
        canvas.text(left + 34, at_y(value) + 4, f"{value:,g}", anchor="end", size=11)
    for x in places:
        canvas.text(at_x(math.log10(x)), bottom + 18, f"{x:,.0f}", anchor="middle", size=11)
    if limit:
        canvas.line(left + 40, at_y(limit), right, at_y(limit), _RED, dash="5 4")
    for points, color in zip(curves.values(), (_BLUE, _ORANGE), strict=False):
        canvas.path([(at_x(math.log10(x)), at_y(y)) for x, y in points], color)
    _legend(canvas, list(curves), left + 50, bottom + 40)


def _legend(canvas: _Canvas, labels: Sequence[str], x: float, y: float) -> None:
    for label, color in zip(labels, (_BLUE, _ORANGE), strict=False):
        if label:
            canvas.box(x, y - 9, 12, 10, color)
            canvas.text(x + 18, y, label, size=12)
            x += 40 + 8 * len(label)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _round_up(value: float) -> float:
    """To 1, 2, 4, 5 or 8 times a power of ten, so that its quarters read well."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value)
