"""Short form of the benchmark on physics twins: the reactor, one campaign each, and the tables."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.benchmarks.twin_reactor import LEAST_LIGHT, Batch, TwinReactor
from tests.benchmarks.twin_runs import TARGETS_EV, Run, earlier, one_run, salt_for
from tests.benchmarks.twin_tables import reached, tables
from tests.benchmarks.twins import known_runs, twin_modules

LOST = Run(
    "sobol", 5, "cold", 2.0, 1, (9.0, 9.0, 9.0, math.nan), (9.0,) * 4, None, None, 90.0, 0.4, 1, (), (), 9, 9, ()
)
WON = replace(
    LOST, arm="ensemble", truth_mev=(9.0, 4.0, 0.8, 0.5), to_5_mev=9, to_1_mev=12, covered=(True,), nll=(-4.0,)
)


@pytest.mark.parametrize("inputs", [5, 8])
@pytest.mark.parametrize("salt", ["iodide", "chloride"])
def test_every_target_can_be_reached_by_a_recipe_that_the_pumps_can_run_and_the_cell_can_see(
    inputs: Literal[5, 8], salt: Literal["iodide", "chloride"]
) -> None:
    reactor = TwinReactor(inputs, salt)
    recipes = reactor.space.from_unit(np.random.default_rng(1).random((300, inputs)))
    truths = [reactor.truth(tuple(map(float, x))) for x in recipes[reactor.feasible(recipes)]]
    peaks = [truth.peak_ev for truth in truths if truth.light >= LEAST_LIGHT]
    wanted = [target for target in TARGETS_EV if salt_for(target) == salt]
    assert min(peaks) < min(wanted)
    assert max(peaks) > max(wanted)
    assert 0.05 < 1.0 - len(truths) / len(recipes) < 0.4


def test_flows_make_up_the_recipe_and_its_residence_time() -> None:
    reactor = TwinReactor(5, "iodide")
    recipe = np.array([[0.5, 1.3, 2.0, 60.0, 110.0]])
    caesium, lead, salt, ligand, solvent = reactor.flows_ul_min(recipe)[0]
    total = caesium + lead + salt + solvent
    assert total == pytest.approx(392.7, abs=0.1)
    assert 20.0 * lead / total == pytest.approx(2.0)
    assert caesium / lead == pytest.approx(1.3)
    assert 100.0 * salt / (100.0 * salt + 40.0 * lead) == pytest.approx(0.5)
    assert ligand == 0.0


def test_another_batch_shifts_the_line_by_more_than_the_noise_and_an_equal_one_does_not() -> None:
    recipe = (0.5, 1.3, 2.0, 60.0, 110.0)
    here = TwinReactor(5, "iodide").truth(recipe)
    there = TwinReactor(5, "iodide", Batch.drawn(np.random.default_rng(3))).truth(recipe)
    assert abs(there.peak_ev - here.peak_ev) > 0.002
    assert TwinReactor(5, "iodide", Batch()).truth(recipe) == here


def test_a_campaign_is_scored_on_the_noiseless_twin_and_is_the_same_every_time() -> None:
    run = one_run("sobol", 5, "cold", 2.2, 1)
    again = one_run("sobol", 5, "cold", 2.2, 1)
    assert run == again
    assert len(run.truth_mev) == 4
    assert run.truth_mev[-1] != run.reading_mev[-1]
    assert run.volume_ml > 10.0


def test_the_tables_show_what_was_lost_as_lost() -> None:
    text = "\n".join(tables([LOST, WON]))
    assert "none in 1 of 1 seeds" in text
    assert reached([None, None, 9], 25).startswith("> 25")
    assert "33 %" in reached([None, None, 9], 25)


def test_runs_of_other_code_and_half_written_lines_are_not_taken(tmp_path: Path) -> None:
    from dataclasses import asdict
    from json import dumps

    path = tmp_path / "runs.jsonl"
    lines = [dumps({"code": code, "run": asdict(run)}) for code, run in (("old", LOST), ("old", WON), ("new", WON))]
    path.write_text("\n".join(lines) + '\n{"code": "new", "ru')
    assert list(known_runs(path, {"sobol": "new", "ensemble": "new"}).values()) == [WON]
    assert path.read_text().endswith('"new", "ru'), "to read is not to write"


def test_an_archive_holds_half_of_its_experiments_with_each_salt_and_is_the_same_every_time() -> None:
    (archive,) = earlier(5, "iodide", "archive", 1)
    assert len(archive.observations) == 125
    assert earlier(5, "iodide", "archive", 1) == (archive,)
    assert earlier(5, "iodide", "archive_of_another_batch", 1) != (archive,)
    assert earlier(5, "iodide", "cold", 1) == ()


def test_rows_are_as_good_as_before_when_the_electronics_of_twins_have_changed() -> None:
    modules = set(twin_modules())
    assert {"chemistry", "perovskite", "emission", "rtd"} <= modules
    assert not {module for module in modules if module.startswith("wire_")}
