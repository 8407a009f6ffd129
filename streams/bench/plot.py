"""The document as a picture: one SVG, four panels."""

from __future__ import annotations

import math
from typing import Any

from streams.svg import BLUE, INK, ORANGE, RED, Canvas, Points, legend, round_up, scale

WIDTH, HEIGHT = 1000, 760
_LEFT, _RIGHT = (40, 470), (580, 960)  # from and to, horizontally, of the two columns of panels
_TOP, _BOTTOM = (100, 350), (450, 680)  # and vertically


def draw(document: dict[str, Any]) -> str:
    """The picture of a document of ``m1cep bench``; a section that was not measured leaves its panel out."""
    canvas = Canvas(WIDTH, HEIGHT)
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


def _bars(canvas: Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
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
    unit = (right - start) / 1.15
    for n, row in enumerate(rows):
        y, share = top + n * step, row["of_decode"]
        canvas.box(start, y + step * 0.15, share * unit, step * 0.7, BLUE if share >= row["least"] else ORANGE)
        canvas.text(start - 8, y + step * 0.62, row["what"], anchor="end", size=12)
        flink = f", {row['times_flink']:,g} times Flink" if "times_flink" in row else ""
        canvas.text(start + share * unit + 8, y + step * 0.62, f"{share:.2f}{flink}", size=12)
        canvas.line(start + row["least"] * unit, y + 2, start + row["least"] * unit, y + step - 2, RED)
    canvas.line(start, top, start, bottom, INK)


def _many_rules(canvas: Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
    rows = sections.get("rules", [])
    points = [(float(row["what"].split()[0]), row["us_per_event"]) for row in rows]
    if points:
        title = "µs per event, by rules (dashed: 8 times one rule)"
        _curves(canvas, title, _RIGHT, _TOP, {"": points}, limit=8 * points[0][1])


def _lengths(canvas: Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
    curves: dict[str, Points] = {}
    for name, label in (("length", "A+ B"), ("nested", "((A+)+ B)")):
        rows = [row for row in sections.get(name, []) if "us_per_event" in row]
        if rows:
            curves[label] = [(_number(row["what"]), row["us_per_event"]) for row in rows]
    if curves:
        _curves(canvas, "µs per event, by the rows of a match (engine alone)", _LEFT, _BOTTOM, curves)


def _keys(canvas: Canvas, sections: dict[str, list[dict[str, Any]]]) -> None:
    rows = sections.get("keys", [])
    labels = {"bytes_per_key": "open", "bytes_per_key_after": "after WITHIN"}
    curves = {label: [(_number(row["what"]), row[name]) for row in rows] for name, label in labels.items()}
    if rows:
        title = "Bytes per open key, by keys (dashed: 300)"
        _curves(canvas, title, _RIGHT, _BOTTOM, curves, limit=300)


def _number(what: str) -> float:
    return float(what.split(maxsplit=1)[0].replace(",", ""))


def _curves(
    canvas: Canvas,
    title: str,
    across: tuple[int, int],
    down: tuple[int, int],
    curves: dict[str, Points],
    limit: float = 0.0,
) -> None:
    """Curves over a logarithmic x, y from zero."""
    (left, right), (top, bottom) = across, down
    canvas.text(left, top - 8, title, size=14)
    places = sorted({x for points in curves.values() for x, _ in points})
    highest = round_up(max([limit, *(y for points in curves.values() for _, y in points)]))
    at_x = scale(math.log10(places[0]), math.log10(places[-1]), left + 50, right - 10)
    at_y = scale(0, highest, bottom, top + 10)
    for n in range(5):
        value = highest * n / 4
        canvas.line(left + 40, at_y(value), right, at_y(value))
        canvas.text(left + 34, at_y(value) + 4, f"{value:,g}", anchor="end", size=11)
    for x in places:
        canvas.text(at_x(math.log10(x)), bottom + 18, f"{x:,.0f}", anchor="middle", size=11)
    if limit:
        canvas.line(left + 40, at_y(limit), right, at_y(limit), RED, dash="5 4")
    for points, color in zip(curves.values(), (BLUE, ORANGE), strict=False):
        canvas.path([(at_x(math.log10(x)), at_y(y)) for x, y in points], color)
    legend(canvas, list(curves), left + 50, bottom + 40)
