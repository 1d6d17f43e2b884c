"""Every error of the orchestrator has one root, says what was asked and what came back, and carries an exit code.

Exit codes of the command line: 0 target reached, 1 ended without it, 2 refused input, 3 fault, 130 interrupted
where nothing runs that has to be made safe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

EXIT_TARGET_REACHED = 0
EXIT_WITHOUT_TARGET = 1
EXIT_REFUSED = 2
EXIT_FAULT = 3
EXIT_INTERRUPTED = 130


class LumiflowError(Exception):
    """Root of the orchestrator's errors. ``exit_code``: what the command line ends with when nobody handles it."""

    exit_code: ClassVar[int] = EXIT_FAULT

    def as_dict(self) -> dict[str, Any]:
        """The error for ``--json``: its kind, its words, and whatever state its class adds."""
        return {"error": type(self).__name__, "message": str(self)}


@dataclass(frozen=True)
class Problem:
    """One thing wrong in one place of a file, or of two files against each other.

    ``line`` and ``column`` count from 1; 0 means that the file as a whole is meant. ``path`` is the dotted path of
    keys, ``offending`` the text found there, ``allowed`` what may stand there, ``suggestion`` the likely intended text
    and ``source`` the line as written, for the caret.
    """

    file: str
    line: int
    column: int
    path: str
    offending: str
    message: str
    allowed: str = ""
    suggestion: str = ""
    source: str = ""

    @property
    def place(self) -> str:
        """``file:line:column``, the form that editors and terminals jump to."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def summary(self) -> str:
        """The problem on one line."""
        details = [f"got {self.offending}"] if self.offending else []
        if self.allowed:
            details.append(f"allowed: {self.allowed}")
        if self.suggestion:
            details.append(f"did you mean {self.suggestion}?")
        head = f"{self.place}: {self.path}: {self.message}" if self.path else f"{self.place}: {self.message}"
        return f"{head} ({'; '.join(details)})" if details else head

    def __str__(self) -> str:
        """The summary, then the source line with a caret under the offending text."""
        if not self.source or not self.line:
            return self.summary()
        gutter = f"{self.line:>5} | "
        return f"{self.summary()}\n{gutter}{self.source}\n{' ' * (len(gutter) + max(self.column - 1, 0))}^"

    def as_dict(self) -> dict[str, Any]:
        """The problem for ``--json``."""
        return asdict(self)


def in_words(error: Exception) -> str:
    """An error on one line: of the operating system, the file first and then what it says."""
    if not isinstance(error, OSError) or not error.strerror:
        return " ".join(str(error).split()) or type(error).__name__
    name = error.filename2 or error.filename
    return f"{name}: {error.strerror}" if name else error.strerror


class _ProblemsError(LumiflowError):
    exit_code = EXIT_REFUSED

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def as_dict(self) -> dict[str, Any]:
        return {
            "error": type(self).__name__,
            "message": "; ".join(problem.summary() for problem in self.problems),
            "problems": [problem.as_dict() for problem in self.problems],
        }


class ConfigError(_ProblemsError):
    """A configuration file cannot be used as it stands; ``problems`` holds everything that is wrong with it."""


class PreflightError(_ProblemsError):
    """Files that are fine one by one do not fit together, so that the campaign could not run."""


class Unreachable(LumiflowError):  # noqa: N818 - a fact about a recipe, which its caller reports to the planner
    """The rig cannot make this recipe. ``quantity`` needs ``value``, and the rig allows ``low`` to ``high``.

    ``quantity`` is a pump's name, or what was asked for: "temperature", "total flow", "pressure", "composition",
    or the constraint of the campaign that does not hold.
    """

    exit_code = EXIT_REFUSED

    def __init__(self, reason: str, *, quantity: str, value: float, low: float, high: float, unit: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.quantity = quantity
        self.value = value
        self.low = low
        self.high = high
        self.unit = unit

    def as_dict(self) -> dict[str, Any]:
        state = {"quantity": self.quantity, "value": self.value, "low": self.low, "high": self.high, "unit": self.unit}
        return {**super().as_dict(), **state}


class LimitRefused(LumiflowError):  # noqa: N818 - a refusal, not a malfunction
    """A command was refused before it reached its device because it lies outside the rig's hard limits."""

    def __init__(self, device: str, quantity: str, value: float, low: float, high: float, unit: str) -> None:
        super().__init__(f"{device}: {quantity} of {value:g} {unit} is outside {low:g} to {high:g} {unit}")
        self.device = device
        self.quantity = quantity
        self.value = value
        self.low = low
        self.high = high
        self.unit = unit

    def as_dict(self) -> dict[str, Any]:
        state = {"quantity": self.quantity, "value": self.value, "low": self.low, "high": self.high, "unit": self.unit}
        return {**super().as_dict(), "device": self.device, **state}


class JournalError(LumiflowError):
    """A journal cannot be read, trusted or written."""

    exit_code = EXIT_REFUSED


class JournalLost(LumiflowError):  # noqa: N818 - what happened
    """A run's journal could not be written any more; the run was ended and the rig brought to its safe state."""


class RigFault(LumiflowError):  # noqa: N818 - the word of the trade
    """The rig did something that no recipe explains."""


class ReplayDivergence(LumiflowError):  # noqa: N818 - what happened, not what is wrong
    """A run that is repeated decides differently from its record."""


class UsageRefused(LumiflowError):  # noqa: N818 - a refusal, not a malfunction
    """The command line asks for something that makes no sense, or that would harm."""

    exit_code = EXIT_REFUSED


class UnknownRun(LumiflowError):  # noqa: N818 - a fact about a name
    """There is no run of this name."""

    exit_code = EXIT_REFUSED


class NotBegun(LumiflowError):  # noqa: N818 - a fact about a run
    """A campaign was submitted under this name; there is no record of a run yet, or none was ever made."""

    exit_code = EXIT_REFUSED
