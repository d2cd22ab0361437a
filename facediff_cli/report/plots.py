"""Line plots as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 460, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 130, 14, 46
_TICKS = 5
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which the colour-blind can tell apart."""


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Points that a line joins in their order."""

    name: str
    points: tuple[Point, ...]


def line_plot(series: Sequence[Series], x_title: str, y_title: str) -> str:
    """An ``<svg>`` element with axes, one line and colour a series, and a legend. Needs one point or more."""
    every = [point for one in series for point in one.points]
    x_axis, y_axis = _Axis.around([p.x for p in every]), _Axis.around([p.y for p in every])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(y_title)} over {escape(x_title)}">'
    ]
    parts += _draw_axes(x_axis, y_axis, x_title, y_title)
    for number, one in enumerate(series):
        parts += _draw_series(one, _COLOURS[number % len(_COLOURS)], number, x_axis, y_axis)
    return "\n".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> _Axis:
        margin = 0.08 * (max(values) - min(values)) or 0.1 * abs(values[0]) or 1.0
        return cls(min(values) - margin, max(values) + margin)

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * n / (_TICKS - 1) for n in range(_TICKS)]


def _x(axis: _Axis, value: float) -> str:
    return f"{_LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT):.1f}"


def _y(axis: _Axis, value: float) -> str:
    return f"{_HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM):.1f}"


def _draw_axes(x_axis: _Axis, y_axis: _Axis, x_title: str, y_title: str) -> list[str]:
    left, right, bottom = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [f'<path d="M{left} {_TOP}V{bottom}H{right}" fill="none" stroke="#888"/>']
    for tick in x_axis.ticks():
        parts.append(f'<text x="{_x(x_axis, tick)}" y="{bottom + 16}" text-anchor="middle">{tick:.3g}</text>')
    for tick in y_axis.ticks():
        parts.append(f'<text x="{left - 6}" y="{_y(y_axis, tick)}" dy="4" text-anchor="end">{tick:.3g}</text>')
    parts.append(f'<text x="{(left + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>')
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(y_title)}</text>'
    )
    return parts


def _draw_series(series: Series, colour: str, number: int, x_axis: _Axis, y_axis: _Axis) -> list[str]:
    places = [(_x(x_axis, p.x), _y(y_axis, p.y)) for p in series.points]
    joined = " ".join(",".join(place) for place in places)
    parts = [f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="1.5"/>']
    for (x, y), point in zip(places, series.points, strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>')
        parts.append(f'<text x="{x}" y="{y}" dx="6" dy="-5">{escape(point.label)}</text>')
    legend_y = _TOP + 14 + 18 * number
    parts.append(f'<circle cx="{_WIDTH - _RIGHT + 14}" cy="{legend_y - 4}" r="4" fill="{colour}"/>')
    parts.append(f'<text x="{_WIDTH - _RIGHT + 24}" y="{legend_y}">{escape(series.name)}</text>')
    return parts
