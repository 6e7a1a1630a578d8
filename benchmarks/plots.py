"""Line plots over a logarithmic axis as SVG, written by hand so that a benchmark needs no plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 50, 60
_TICKS = 5
# Told apart also by those who see no difference between red and green: M. Okabe and K. Ito, "Color universal design".
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name and its points, x positive and ascending, y at least 0."""

    name: str
    points: Sequence[Point]


def line_plot(title: str, series: Sequence[Series], *, x_label: str, y_label: str) -> str:
    """Return an SVG with one line a series: x by powers of ten, y from 0.

    Raises:
        ValueError: there is no point, or an x is not positive.
    """
    xs = [x for one in series for x, _ in one.points]
    if not xs or min(xs) <= 0:
        raise ValueError("a plot needs points, and a logarithmic axis positive ones")
    first, last = floor(log10(min(xs))), max(ceil(log10(max(xs))), floor(log10(min(xs))) + 1)
    step = _round_step(max(y for one in series for _, y in one.points) / _TICKS)
    top = step * _TICKS

    def place(point: Point) -> Point:
        across = (log10(point[0]) - first) / (last - first)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - point[1] / top * _inner_height()

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_WIDTH / 2, 20, title, anchor="middle", size=14),
        _text(_WIDTH / 2, _HEIGHT - 12, x_label, anchor="middle"),
        f'<g transform="rotate(-90 16 {_HEIGHT / 2:g})">{_text(16, _HEIGHT / 2, y_label, anchor="middle")}</g>',
        *(_vertical(place((10.0**power, 0))[0], f"{10**power:,}") for power in range(first, last + 1)),
        *(_horizontal(place((10.0**first, step * tick))[1], f"{step * tick:,g}") for tick in range(_TICKS + 1)),
        *(_line(one, number, [place(point) for point in one.points]) for number, one in enumerate(series)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below."""
    if least <= 0:
        return 1.0
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least)


def _inner_height() -> float:
    return _HEIGHT - _TOP - _BOTTOM


def _vertical(x: float, label: str) -> str:
    line = f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#ddd"/>'
    return line + _text(x, _HEIGHT - _BOTTOM + 18, label, anchor="middle")


def _horizontal(y: float, label: str) -> str:
    return f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>' + _text(
        _LEFT - 8, y + 4, label, anchor="end"
    )


def _line(series: Series, number: int, places: Sequence[Point]) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    name = _text(_LEFT + 10, _TOP + 14 + 16 * number, series.name, colour=colour)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{name}'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
    )
