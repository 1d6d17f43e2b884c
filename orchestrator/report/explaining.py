"""What a run teaches of its inputs: computed from its journal when somebody asks, never in the campaign's loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import LumiflowError
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Journal
from orchestrator.report.said import finding_sentences, fitted_to

if TYPE_CHECKING:
    from planners import Request, Strategy

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Explained:
    """What ``lumiflow explain`` says of a run."""

    journal: Path
    campaign: str
    data: Data

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: the keys of `explain_run`."""
        return {"journal": str(self.journal), "campaign": self.campaign, **self.data}

    def text(self) -> str:
        """For a person."""
        head = f"{self.campaign or self.journal}: "
        if "cannot" in self.data:
            return f"{head}the part of the inputs cannot be told: {self.data['cannot']}"
        lines = [f"{head}{self.data['described']}, fitted to {fitted_to(self.data)}, says:"]
        for output, sentences in finding_sentences(self.data).items():
            lines += ["", f"{output}:", *(f"  {sentence}" for sentence in sentences)]
        return "\n".join(lines)


def explain_journal(path: Path) -> Explained:
    """Explain the run of a journal, finished or not. Raises JournalError."""
    with Journal.open(path, readonly=True) as journal:
        state = fold(journal.events())
    return Explained(path, str(state.header.get("campaign_name", "")), explain_run(state))


def explain_run(state: RunState) -> Data:
    """The explanation of what was told so far, as plain data; a function of the state alone.

    Its keys are the fields of `planners.Explanation` and ``archived``, how many experiments of archives the ensemble is
    fitted to as well; bands are ``{"low", "middle", "high"}``. Where there is nothing to say of the inputs it is
    ``{"cannot": why, in words}``: a report has to be written either way.
    """
    from planners import PlannerError, explain

    asked = question_of(state)
    if isinstance(asked, str):
        return {"cannot": asked}
    try:
        found = asdict(explain(*asked))
    except PlannerError as error:
        return {"cannot": f"{_first_line(error)}."}
    except ImportError as error:
        return {"cannot": f"the ensemble needs a package that is not installed here ({_first_line(error)})."}
    except (ArithmeticError, RuntimeError, ValueError) as error:  # torch, scipy and numpy tell a failed fit so
        return {"cannot": f"the ensemble could not be fitted to these readings ({_first_line(error)})."}
    if state.of_absorption:
        found["unread"] = tuple(output for output in found["unread"] if output != "quantum_yield")
    return {**found, "archived": sum(len(archive.observations) for archive in asked[0].archives)}


def question_of(state: RunState) -> tuple[Request, Strategy] | str:
    """What the planner is asked, loading nothing heavy; or why there is nothing to ask, in words."""
    from orchestrator.campaign import planning
    from orchestrator.campaign.header import loaded_from
    from planners import PlannerError

    if not state.has_reading:
        return "no experiment gave a reading."
    try:
        loaded = loaded_from(state.header)
        return planning.request(loaded.config, loaded.rig, state), planning.build_strategy(loaded.config)
    except (LumiflowError, PlannerError, KeyError, TypeError, ValueError) as error:
        return f"the configuration in the journal is not understood ({_first_line(error)})."


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0].rstrip(".") or type(error).__name__
