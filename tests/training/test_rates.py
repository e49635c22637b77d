"""Learning rates against their drawing: a straight line up, half a cosine down."""

import numpy as np
import pytest

from duckrabbit.training.rates import one_cycle


@pytest.mark.parametrize(
    ("total", "warmup", "rise"), [(100, 0.1, 10), (7, 0.3, 2), (50, 0.0, 1), (1, 0.5, 1), (10, 1.0, 10)]
)
def test_the_rate_goes_through_its_corners(total, warmup, rise):
    """(-1, 0), (rise - 1, highest), and the cosine from (rise, highest) to (total, 0); interpolated by numpy."""
    got = [one_cycle(0.5, step, total, warmup) for step in range(total)]
    line = np.interp(np.arange(rise), [-1, rise - 1], [0, 0.5])
    half = 0.25 * (1 + np.cos(np.linspace(0, np.pi, total - rise + 1)))[: total - rise]
    np.testing.assert_allclose(got, [*line, *half], rtol=1e-12)


def test_after_the_last_step_there_is_nothing_left():
    assert one_cycle(1.0, 100, 100, 0.1) == pytest.approx(0)
    assert one_cycle(1.0, 2, 2, 0.5) == pytest.approx(0)
    assert one_cycle(1.0, 10, 10, 1.0) == 1  # all of it was the rise: the cosine would begin here
