"""YAML as its parser and people see it: where lines end, and what is wrong in words for whoever writes the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError, StringMark

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def lines_of(text: str) -> list[str]:
    """The lines with their ends, as YAML 1.2 counts them: what Python counts beyond (U+2028, U+0085) is content."""
    return _LINE.findall(text)


def complaint(error: MarkedYAMLError) -> tuple[StringMark | None, str | None]:
    """Where and what ruamel.yaml complains about, in the words of somebody who writes configuration files.

    Something that was opened and not closed is blamed on its beginning: that is the line to mend. No words for a colon
    that came unexpected: who is to blame for it shows in the lines around.
    """
    problem, context = error.problem or "", error.context or ""
    at, began = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    if "could not find expected ':'" in problem:
        return began, "a key without its colon"
    if "quoted scalar" in context:
        return began, "the quotes that open here are not closed"
    if "flow sequence" in context or "flow mapping" in context:
        return began, f"the bracket that opens here is not closed as expected: {problem}"
    if "mapping values are not allowed" in problem:
        return at, None
    if "cannot start any token" in problem:
        if r"'\t'" in problem:
            return at, "a tab where YAML takes only blanks"
        character = problem.removeprefix("found character ").removesuffix(" that cannot start any token")
        return at, f"text cannot begin with {character}; put it in quotes"
    if "expected <block end>" in problem:
        return at, "this line is indented unlike the lines it belongs to"
    return at, problem or context or "cannot be read"
