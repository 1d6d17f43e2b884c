"""What a reading would state of its noise."""

import numpy as np
import pytest

from planners.stated_noise import StatedNoise

CUBE = np.random.default_rng(4).random((40, 3))


def test_where_all_state_the_same_every_reading_would() -> None:
    assert StatedNoise(CUBE, np.full(40, 0.001)).at(CUBE[:5]).tolist() == [0.001] * 5
    assert StatedNoise(CUBE[:1], np.array([0.002])).at(CUBE[:2]).tolist() == [0.002] * 2


def test_noise_that_grows_along_an_input_is_foreseen_along_it() -> None:
    sd = 0.01 * 10.0 ** CUBE[:, 1]
    foreseen = StatedNoise(CUBE, sd).at(np.array([[0.5, 0.1, 0.5], [0.5, 0.9, 0.5]]))
    assert foreseen == pytest.approx([0.01 * 10.0**0.1, 0.01 * 10.0**0.9], rel=0.4)
    assert foreseen[1] > 3.0 * foreseen[0]


def test_noise_is_nowhere_beyond_what_was_stated() -> None:
    near = CUBE * [1.0, 0.3, 1.0]
    sd = 0.01 * 10.0 ** near[:, 1]
    foreseen = StatedNoise(near, sd).at(np.array([[0.5, 1.0, 0.5], [0.5, 0.0, 0.5]]))
    assert sd.min() <= foreseen.min() and foreseen.max() <= sd.max()


def test_a_reading_that_states_no_noise_at_all_makes_no_trouble() -> None:
    assert np.isfinite(StatedNoise(CUBE, np.where(CUBE[:, 0] > 0.5, 0.0, 0.01)).at(CUBE)).all()
