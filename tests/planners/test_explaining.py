"""An explanation says which inputs matter, how, and where the readings cannot tell."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from planners import (
    Explanation,
    Observation,
    OneOutput,
    PlannerError,
    Request,
    SearchSpace,
    Variable,
    explain,
    strategy,
)
from planners.sampling import sobol
from tests.planners.reactor import OBJECTIVE, SPACE, design

NOISE = 0.01
CUBE = SearchSpace(tuple(Variable(f"x{i}", 0.0, 1.0) for i in range(1, 4)))
WANTED = OneOutput("y", "maximise", noise=NOISE)
SMALL = strategy("ensemble", members=64, hidden=96, steps=25)

Truth = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def readings(truth: Truth, count: int, space: SearchSpace = CUBE, **held: float) -> Request:
    """`count` noisy readings spread over the space, some inputs held at one value."""
    rng = np.random.default_rng(3)
    unit = sobol(space.dimension, count, rng)
    for name, value in held.items():
        unit[:, space.names.index(name)] = value
    raw = space.from_unit(unit)
    values = truth(raw) + NOISE * rng.standard_normal(count)
    told = tuple(
        Observation(tuple(map(float, x)), values=(float(y),), peak_sd_ev=NOISE)
        for x, y in zip(raw, values, strict=True)
    )
    return Request(space, WANTED, told, seed=1)


def rising(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x[:, 0] ** 2, dtype=np.float64)


@pytest.fixture(scope="module")
def alone() -> Explanation:
    """Of y = x1^2 + noise, over three inputs."""
    return explain(readings(rising, 24), SMALL)


def test_all_of_the_variance_is_the_one_inputs_that_the_output_depends_on(alone: Explanation) -> None:
    first, *others = (alone.effect(name, "y") for name in CUBE.names)
    assert first.first.low > 0.9 and first.total.high > 0.95
    assert all(other.first.middle < 0.02 and other.total.high < 0.1 for other in others)


def test_only_the_input_that_matters_is_said_to(alone: Explanation) -> None:
    assert [alone.effect(name, "y").finding == "shown" for name in CUBE.names] == [True, False, False]


def test_the_partial_dependence_covers_the_truth(alone: Explanation) -> None:
    grid = np.array(alone.inputs[0].grid)
    curve = alone.effect("x1", "y").curve
    inside = [band.low <= value**2 <= band.high for band, value in zip(curve, grid, strict=True)]
    assert np.mean(inside) >= 0.7
    flat = alone.effect("x2", "y")
    assert flat.change.by.low < 0.0 < flat.change.by.high


def test_the_change_says_from_where_to_where_and_how_much(alone: Explanation) -> None:
    change = alone.effect("x1", "y").change
    assert change.start < 0.2 and change.end == 1.0
    assert change.by.low < 1.0 < change.by.high + 0.05
    assert change.by.low > 0.8


def test_a_curve_is_averaged_over_every_recipe_that_was_run_however_many() -> None:
    request = readings(lambda x: 3.0 * x[:, 0], 90)
    told = explain(request, SMALL)
    middle = float(np.mean([3.0 * o.x[0] for o in request.observations]))
    for name in ("x2", "x3"):
        curve = told.effect(name, "y").curve
        assert np.mean([band.low <= middle <= band.high for band in curve]) >= 0.7, (middle, curve)


def test_of_an_input_that_was_never_varied_the_data_cannot_tell() -> None:
    told = explain(readings(rising, 24, x3=0.3), SMALL)
    still = told.effect("x3", "y")
    assert still.finding == "unknown"
    assert still.change.by.high - still.change.by.low > 0.5
    assert [each.share > 0.8 for each in told.inputs] == [True, True, False]
    assert told.inputs[2].tried == pytest.approx((0.3, 0.3))
    assert told.effect("x1", "y").finding == "shown"


def test_two_inputs_that_matter_only_together_are_both_shown() -> None:
    told = explain(readings(lambda x: 4.0 * (x[:, 0] - 0.5) * (x[:, 1] - 0.5), 32), SMALL)
    for name in ("x1", "x2"):
        effect = told.effect(name, "y")
        assert effect.finding == "shown"
        assert effect.first.middle < 0.2 and effect.total.middle > 0.8
    assert told.effect("x3", "y").finding != "shown"


def test_noise_alone_shows_next_to_nothing() -> None:
    told = [explain(readings(lambda x: 0.0 * x[:, 0], count), SMALL) for count in (10, 20)]
    assert sum(effect.finding == "shown" for each in told for effect in each.effects) == 0


def test_levels_and_steps_have_a_value_of_their_own_in_every_curve() -> None:
    space = SearchSpace(
        (
            Variable("ligand", kind="categorical", levels=("oleic", "octanoic", "none")),
            Variable("cycles", 1, 5, kind="integer"),
            Variable("bore", kind="discrete", values=(0.25, 0.5, 1.0), scale="log", unit="mm"),
            Variable("flow", 10.0, 100.0, scale="log"),
        )
    )
    told = explain(readings(lambda x: np.where(x[:, 0] == 1.0, 1.0, 0.0), 24, space), SMALL)
    assert [each.grid for each in told.inputs[:3]] == [(0.0, 1.0, 2.0), (1.0, 2.0, 3.0, 4.0, 5.0), (0.25, 0.5, 1.0)]
    assert [each.continuous for each in told.inputs] == [False, False, False, True]
    assert told.inputs[0].levels == ("oleic", "octanoic", "none")
    assert told.inputs[0].share == 1.0
    ligand = told.effect("ligand", "y")
    assert ligand.finding == "shown"
    assert [round(band.middle) for band in ligand.curve] == [0, 1, 0]
    assert told.inputs[3].grid[0] == pytest.approx(10.0) and told.inputs[3].grid[-1] == pytest.approx(100.0)


def test_a_fixed_input_has_no_part() -> None:
    space = SearchSpace((Variable("x1", 0.0, 1.0), Variable("held", 3.0, 3.0)))
    told = explain(readings(rising, 8, space), SMALL)
    assert [each.name for each in told.inputs] == ["x1"]
    assert {effect.input for effect in told.effects} == {"x1"}


def test_an_output_that_was_hardly_ever_read_is_named_and_left_out() -> None:
    told = tuple(
        Observation(o.x, o.peak_ev, o.fwhm_ev, o.quantum_yield if n < 2 else None, 0.001)
        for n, o in enumerate(design(14))
    )
    explanation = explain(Request(SPACE, OBJECTIVE, told), SMALL)
    assert explanation.outputs == ("peak_ev", "fwhm_ev")
    assert explanation.unread == ("quantum_yield",)


def test_too_few_recipes_are_refused_with_how_many_it_takes() -> None:
    with pytest.raises(PlannerError, match="3 different recipes gave a reading, and 3 inputs ask for at least 4"):
        explain(readings(rising, 3), SMALL)
    once = readings(rising, 1).observations[0]
    with pytest.raises(PlannerError, match="1 different recipes"):
        explain(Request(CUBE, WANTED, (once,) * 9), SMALL)
    with pytest.raises(PlannerError, match="every input is fixed"):
        explain(Request(SearchSpace((Variable("held", 3.0, 3.0),)), WANTED))


def test_readings_that_never_change_explain_nothing_and_break_nothing() -> None:
    told = tuple(Observation(o.x, values=(2.0,)) for o in readings(rising, 12).observations)
    explanation = explain(Request(CUBE, OneOutput("y", "target", 2.0, 0.1), told), SMALL)
    assert {effect.finding for effect in explanation.effects} <= {"unknown", "small"}
    numbers = [
        value for e in explanation.effects for band in (*e.curve, e.first, e.total) for value in vars(band).values()
    ]
    assert np.isfinite(numbers).all()


def test_one_request_has_one_explanation_whatever_strategy_asked() -> None:
    request = readings(rising, 10)
    assert explain(request, SMALL) == explain(request, SMALL)
    assert explain(request, strategy("sobol")).described == "The ensemble of 512 networks"


def test_bands_are_in_order_and_indices_are_shares() -> None:
    explanation = explain(Request(SPACE, OBJECTIVE, design(16)), SMALL)
    for effect in explanation.effects:
        for band in (*effect.curve, effect.change.by, effect.first, effect.total):
            assert band.low <= band.middle <= band.high
        assert effect.total.low >= 0.0 and effect.total.high <= 1.0
        assert all(band.low >= 0.0 for band in effect.curve)  # none of these outputs can be negative


def test_importing_it_loads_nothing_heavy() -> None:
    program = "import sys, planners.explaining; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
