"""Evolution: the covariance matrix adaptation of Hansen (cmaes) and a genetic algorithm (pymoo)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.asked import Cost, Searched, needs
from planners.errors import PlannerError

_SIGMA = 0.25
_GENERATIONS = 400
_LEAST_SIGMA = 1e-4


@dataclass(frozen=True)
class CmaEs(Searched):
    """CMA-ES (Hansen, arXiv:1604.00772) around the best point of the initial design, with its usual population."""

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "cma_es"

    @property
    def step(self) -> str:
        """See `Searched`."""
        return "sample of the adapted distribution"

    def search(self, cost: Cost, start: NDArray[np.float64], start_costs: NDArray[np.float64], seed: int) -> None:
        """See `Searched`."""
        from cmaes import CMA

        d = start.shape[1]
        # The library adapts a covariance, so it wants two dimensions: one variable gets a companion that costs nothing.
        wide = max(d, 2)
        mean = np.full(wide, 0.5)
        mean[:d] = start[0]
        search = CMA(mean=mean, sigma=_SIGMA, bounds=np.tile([0.0, 1.0], (wide, 1)), seed=seed)
        for _ in range(_GENERATIONS):
            told = []
            for _ in range(search.population_size):
                point = search.ask()
                told.append((point, cost(point[:d])))
            search.tell(told)
            if search.should_stop() or search._sigma < _LEAST_SIGMA:
                return


@dataclass(frozen=True)
class Genetic(Searched):
    """The genetic algorithm of pymoo (tournament, simulated binary crossover, polynomial mutation); the initial design
    is its first generation.

    Raises:
        PlannerError: a population below four.
    """

    population: int = 12

    def __post_init__(self) -> None:
        if self.population < 4:
            raise PlannerError(f"genetic: population must be at least 4, not {self.population}")

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "genetic"

    @property
    def step(self) -> str:
        """See `Searched`."""
        return "child of a generation"

    def search(self, cost: Cost, start: NDArray[np.float64], start_costs: NDArray[np.float64], seed: int) -> None:
        """See `Searched`."""
        try:
            from pymoo.algorithms.soo.nonconvex.ga import GA
            from pymoo.core.evaluator import Evaluator
            from pymoo.core.problem import Problem
            from pymoo.core.termination import NoTermination
            from pymoo.problems.static import StaticProblem
        except ImportError as error:
            raise needs("pymoo", self.name) from error
        d = start.shape[1]
        first = start
        if len(first) < self.population:
            rng = np.random.Generator(np.random.PCG64(seed))
            first = np.vstack([first, rng.random((self.population - len(first), d))])
        problem = Problem(n_var=d, n_obj=1, n_constr=0, xl=np.zeros(d), xu=np.ones(d))
        algorithm = GA(pop_size=self.population, sampling=first[: self.population], eliminate_duplicates=True)
        algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)
        for _ in range(_GENERATIONS):
            generation = algorithm.ask()
            if generation is None or len(generation) == 0:
                return
            costs = np.array([cost(np.asarray(point, dtype=np.float64)) for point in generation.get("X")])
            Evaluator().eval(StaticProblem(problem, F=costs[:, None]), generation)
            algorithm.tell(infills=generation)
