"""What the twins' chemistry says of the constants that a campaign gives it, before a run begins."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.config.campaign import Chemistry
from orchestrator.errors import Problem
from orchestrator.yaml_source import Document
from simulators.chemistry import build_chemistry
from simulators.errors import SpecError, UnknownNameError
from simulators.specs import ChemistrySpec


def refused_constants(document: Document, chemistry: Chemistry) -> Iterator[Problem]:
    """Constants that the chemistry does not have, and values that they cannot take."""
    for name, value in chemistry.parameters.items():
        path = ("chemistry", "parameters", name)
        try:
            build_chemistry(ChemistrySpec(chemistry.twin, {name: value}))
        except UnknownNameError as error:
            message, known = f"the twin {chemistry.twin!r} has no such constant", ", ".join(error.known)
            yield document.problem(path, message, at_key=True, allowed=known, suggestion=error.suggestion or "")
        except SpecError as error:
            yield document.problem(path, "out of range", allowed=error.allowed)
