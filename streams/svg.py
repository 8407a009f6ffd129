"""Pictures as SVG text, no library: shapes, scales, colours. What is drawn with them is the business of others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INK, FAINT, BLUE, ORANGE, RED, GREEN = "#1f2937", "#d1d5db", "#2563eb", "#d97706", "#b91c1c", "#15803d"

Points = list[tuple[float, float]]


class Canvas:
    """A page of so many pixels; shapes are added to it one over the other.

    Args:
        width, height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.parts: list[str] = []

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, color: str = INK) -> None:
        where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self.parts.append(f'<text {where} font-size="{size}" fill="{color}">{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str = FAINT, dash: str = "") -> None:
        where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f'<line {where} stroke="{color}"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>')

    def path(self, points: Points, color: str, *, width: float = 2, dots: bool = True) -> None:
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{where}" fill="none" stroke="{color}" stroke-width="{width:g}"/>')
        if dots:
            self.parts.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points)

    def svg(self) -> str:
        """The whole."""
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
        return "\n".join(
            [head, f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>', *self.parts, "</svg>", ""]
        )


def legend(canvas: Canvas, labels: Sequence[str], x: float, y: float, colors: Sequence[str] = (BLUE, ORANGE)) -> None:
    """Boxes of the colours with their names, from left to right."""
    for label, color in zip(labels, colors, strict=False):
        if label:
            canvas.box(x, y - 9, 12, 10, color)
            canvas.text(x + 18, y, label, size=12)
            x += 40 + 8 * len(label)


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From a value to a place in pixels."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def round_up(value: float) -> float:
    """To 1, 2, 4, 5 or 8 times a power of ten, so that its quarters read well."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value)
