"""The shipped pool files on the tables that they describe."""

from pathlib import Path

import pytest

from orchestrator.pool import Pool, load_pool, load_spec
from orchestrator.pool.replay import replay

POOLS = Path(__file__).resolve().parents[3] / "configs" / "pools"

pytestmark = pytest.mark.data


def pool_of(data: Path, table: str, spec: str) -> Pool:
    return load_pool(data / table, load_spec(POOLS / spec))


def test_the_silver_table_has_164_conditions_and_nine_best(data: Path) -> None:
    pool = pool_of(data, "agnp.csv", "silver-nanoprisms.yaml")
    assert (len(pool), pool.rows, len(pool.variables)) == (164, 3295, 5)
    assert len(pool.goals[0].hits) == 9
    assert [hits for _, hits in pool.goals[0].steps] == [5, 8, 9]


def test_the_platelet_table_has_171_clean_rows_and_nothing_near_2_76_ev(data: Path) -> None:
    pool = pool_of(data, "lmu_cspbbr3.csv", "cspbbr3-platelets.yaml")
    assert (len(pool), pool.rows, len(pool.variables)) == (146, 171, 7)
    assert [goal.reachable for goal in pool.goals] == [True, True, False]
    peaks = [value for value in pool.values if value is not None]
    assert min(abs(peak - 2.76) for peak in peaks) == pytest.approx(0.0351, abs=1e-4)


@pytest.mark.parametrize(
    ("table", "spec", "variables"),
    [
        *((f"summit/reizman_suzuki_case_{case}.csv", "reizman-suzuki.yaml", 4) for case in range(1, 5)),
        ("summit/baumgartner_aniline_cn_crosscoupling.csv", "baumgartner-couplings.yaml", 5),
        ("summit/baumgartenter_benzamide_cross_coupling.csv", "baumgartner-couplings.yaml", 5),
        ("olympus/snar/data.csv", "snar.yaml", 4),
        ("olympus/benzylation/data.csv", "benzylation.yaml", 4),
        ("olympus/fullerenes/data.csv", "fullerenes.yaml", 3),
        ("olympus/colors_bob/data.csv", "colors.yaml", 5),
        ("lmu_cspbbr3.csv", "cspbbr3-narrow.yaml", 7),
    ],
)
def test_every_other_pool_file_fits_its_table_and_can_be_replayed(
    data: Path, table: str, spec: str, variables: int
) -> None:
    pool = pool_of(data, table, spec)
    assert len(pool.variables) == variables
    (goal,) = pool.goals
    best = sorted((value or 0.0 for value in pool.values), reverse=goal.goal != "minimise")
    assert {pool.values[i] for i in goal.hits} <= set(best[: len(goal.hits)])
    assert replay(pool, "sobol", goal, 1, clock=lambda: 0.0).reached[-1] is not None


def test_the_ensemble_needs_few_experiments_to_a_frequent_platelet(data: Path) -> None:
    pool = pool_of(data, "lmu_cspbbr3.csv", "cspbbr3-platelets.yaml")
    (reached,) = replay(pool, "ensemble", pool.goals[0], 1, clock=lambda: 0.0).reached
    assert reached is not None
    assert reached <= 23  # the median of random choice
