"""Plots are well-formed and true to their points."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.plots import Series, line_plot

_SVG = "{http://www.w3.org/2000/svg}"


def _plot(*series: Series) -> ElementTree.Element:
    return ElementTree.fromstring(line_plot("A & B", series, x_label="x", y_label="y"))  # noqa: S314 - our own


def _circles(plot: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in plot.iter(f"{_SVG}circle")]


def test_powers_of_ten_are_equally_far_apart_and_more_is_higher() -> None:
    (one, two, three) = _circles(_plot(Series("line", [(1, 0), (10, 50), (100, 100)])))
    assert two[0] - one[0] == pytest.approx(three[0] - two[0], abs=0.11)
    assert one[1] - two[1] == pytest.approx(two[1] - three[1], abs=0.11)
    assert one[1] > two[1] > three[1]


def test_every_series_has_a_line_its_name_and_a_colour_of_its_own() -> None:
    plot = _plot(Series("few", [(1, 1), (10, 2)]), Series("<many>", [(1, 2), (10, 3)]))
    texts = [one.text for one in plot.iter(f"{_SVG}text")]
    assert {"A & B", "few", "<many>", "x", "y"} <= set(texts)
    assert len({one.attrib["stroke"] for one in plot.iter(f"{_SVG}polyline")}) == 2


def test_points_stay_within_the_axes() -> None:
    places = _circles(_plot(Series("line", [(3, 7), (80, 33_333), (12_345, 1)])))
    assert all(80 <= x <= 620 and 50 <= y <= 340 for x, y in places)


@pytest.mark.parametrize("points", [[], [(0, 1)]], ids=["none", "zero on a logarithmic axis"])
def test_what_cannot_be_drawn_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="needs points"):
        _plot(Series("line", points))


def test_a_flat_line_at_zero_can_be_drawn() -> None:
    assert len(_circles(_plot(Series("line", [(1, 0)])))) == 1
