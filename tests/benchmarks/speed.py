"""Seconds per proposal of the ensemble, beside BoTorch's composite Gaussian process on the same data, in one run.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.speed

Eight inputs and three outputs of the twin without its rig. The peer is built here plainly, as BoTorch's own tutorials
do it: three SingleTaskGPs, fitted, qLogNoisyExpectedImprovement of the utility of their joint samples, and
optimize_acqf with 10 restarts of 512 raw samples. Neither is told what the pumps cannot run. Each size is measured in a
process of its own, so that the peak of its memory is its own; both take turns, so that a busy machine delays both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (20, 100, 250, 2000)
LARGEST_OF_PEER = 250
TARGET_EV = 2.2
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Timing:
    """Seconds of each proposal, of wall time and of the processor, and the peak of the process's memory in MB."""

    arm: str
    size: int
    wall_s: tuple[float, ...]
    processor_s: tuple[float, ...]
    memory_mb: float


def data(size: int, seed: int) -> Any:
    """A request with readings of `size` random recipes."""
    from planners import Objective, Observation, Request
    from tests.benchmarks.twin_reactor import TwinReactor

    reactor = TwinReactor(8, "iodide")
    rng = np.random.default_rng([seed, size])
    told: list[Observation] = []
    while len(told) < size:
        recipe = tuple(map(float, reactor.space.from_unit(rng.random((1, 8)))[0]))
        seen = reactor.observe(recipe, rng)
        if not seen.failed:
            told.append(seen)
    return Request(reactor.space, Objective(TARGET_EV, 0.005), tuple(told), seed=seed)


def ours(request: Any) -> None:
    """One proposal of the ensemble as shipped."""
    from planners import strategy

    assert strategy("ensemble").propose(request).phase == "model"


def peer(request: Any) -> None:
    """One proposal of a composite Gaussian process, with BoTorch's own defaults."""
    import torch
    from botorch import fit_gpytorch_mll
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.objective import GenericMCObjective
    from botorch.models import SingleTaskGP
    from botorch.models.model_list_gp_regression import ModelListGP
    from botorch.models.transforms import Standardize
    from botorch.optim.optimize import optimize_acqf
    from gpytorch.mlls import SumMarginalLogLikelihood

    space, objective = request.space, request.objective
    x = torch.from_numpy(space.to_unit([o.x for o in request.observations]))
    y = torch.tensor([o.readings for o in request.observations], dtype=torch.float64)
    model = ModelListGP(*(SingleTaskGP(x, y[:, [i]], outcome_transform=Standardize(1)) for i in range(3)))
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))

    def worth(outputs: torch.Tensor, X: torch.Tensor | None = None) -> torch.Tensor:
        return objective.worth(outputs)  # type: ignore[no-any-return]

    function = qLogNoisyExpectedImprovement(model, X_baseline=x, objective=GenericMCObjective(worth))
    bounds = torch.stack([torch.zeros(x.shape[1]), torch.ones(x.shape[1])]).double()
    optimize_acqf(function, bounds, q=1, num_restarts=10, raw_samples=512)


ARMS: dict[str, Callable[[Any], None]] = {"ensemble": ours, "botorch": peer}


def measure(arm: str, size: int, proposals: int) -> Timing:
    """Time some proposals in this process, after one that is not counted."""
    import warnings

    warnings.simplefilter("ignore")
    wall, processor = [], []
    for number in range(proposals + 1):
        request = data(size, number)
        began, used = time.perf_counter(), time.process_time()
        ARMS[arm](request)
        if number:
            wall.append(time.perf_counter() - began)
            processor.append(time.process_time() - used)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return Timing(arm, size, tuple(wall), tuple(processor), memory_mb)


def table(timings: Sequence[Timing]) -> list[str]:
    """Both arms beside each other, and their ratio, as Markdown."""
    lines = [
        "| readings | arm | proposals | s per proposal, p50 | p95 | p95 / p50 | processor s, p50 | ratio to BoTorch, "
        "wall / processor | peak memory |",
        "|---" * 9 + "|",
    ]
    peers = {timing.size: timing for timing in timings if timing.arm == "botorch"}
    for timing in sorted(timings, key=lambda each: (each.size, each.arm)):
        middle, late = np.quantile(timing.wall_s, [0.5, 0.95])
        used = float(np.median(timing.processor_s))
        other = peers.get(timing.size)
        ratio = "-"
        if other is not None and other is not timing:
            ratio = f"{middle / np.median(other.wall_s):.2f} / {used / np.median(other.processor_s):.2f}"
        lines.append(
            f"| {timing.size} | {timing.arm} | {len(timing.wall_s)} | {middle:.2f} | {late:.2f} | {late / middle:.1f} "
            f"| {used:.2f} | {ratio} | {timing.memory_mb:.0f} MB |"
        )
    return lines


def main() -> None:
    """Measure everything in processes of their own, in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--proposals", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2, help="processes of each arm and size; they take turns")
    parser.add_argument("--one", nargs=2, metavar=("ARM", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(measure(options.one[0], int(options.one[1]), options.proposals))))
        return
    found: list[Timing] = []
    for size in options.sizes:
        arms = [arm for arm in ARMS if arm == "ensemble" or size <= LARGEST_OF_PEER]
        several: dict[str, list[Timing]] = {arm: [] for arm in arms}
        for _ in range(options.rounds):
            for arm in arms:
                command = [sys.executable, "-m", "tests.benchmarks.speed", "--one", arm, str(size)]
                command += ["--proposals", str(options.proposals)]
                out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
                several[arm].append(Timing(**json.loads(out.splitlines()[-1])))
                print(f"{arm}, {size}: {np.median(several[arm][-1].wall_s):.2f} s", file=sys.stderr)
        for arm, parts in several.items():
            wall = tuple(each for part in parts for each in part.wall_s)
            processor = tuple(each for part in parts for each in part.processor_s)
            found.append(Timing(arm, size, wall, processor, max(part.memory_mb for part in parts)))
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"OMP_NUM_THREADS {threads}\n"
    )
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
