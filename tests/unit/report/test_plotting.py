"""How figures are stored."""

import re

import numpy as np
import pytest

from archbench.report.plotting import new_figure, styled, svg_bytes

SIZE_INCHES = (4.0, 3.0)
DATA = np.linspace(0.0, 1.0, 57) ** 2


@styled
def drawn() -> bytes:
    figure, (axes,) = new_figure(*SIZE_INCHES)
    axes.set_position((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    axes.plot(DATA, 1.0 - DATA, "o-", label="a contender")
    axes.legend()
    return svg_bytes(figure)


@pytest.fixture(scope="module")
def svg() -> str:
    return drawn().decode()


def test_coordinates_are_written_to_a_hundredth_of_a_point_and_are_those_of_the_data(svg: str) -> None:
    (line,) = [path for path in re.findall(r' d="([^"]*)"', svg) if path.count("L") == len(DATA) - 1]
    x, y = np.array([pair.split() for pair in re.split("[ML]", line)[1:]], dtype=float).T
    width, height = (72.0 * inches for inches in SIZE_INCHES)
    # Half a hundredth of rounding.
    np.testing.assert_allclose(x, width * DATA, atol=0.0051)
    np.testing.assert_allclose(y, height * DATA, atol=0.0051)


def test_no_path_takes_more_than_a_line_and_no_coordinate_more_than_two_decimals(svg: str) -> None:
    places = re.findall(r' d="([^"]*)"| [xy]="([^"]*)"|translate\(([^)]*)\)', svg)
    assert len(places) > len(DATA)
    for place in map("".join, places):
        assert "\n" not in place
        assert not re.search(r"\.\d{3}|-0(?![.\d])", place)


def test_the_same_figure_is_the_same_bytes(svg: str) -> None:
    assert drawn().decode() == svg
