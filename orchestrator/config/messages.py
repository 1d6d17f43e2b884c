"""What pydantic found wrong, in the words of the file: where it stands, what may stand there, what was likely meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrator.config.quantities import NAME
from orchestrator.errors import Problem
from orchestrator.yaml_source import Document

JsonSchema = Mapping[str, Any]

KINDS = ("rig", "campaign", "pool", "daemon")
"""What a file may say that it is."""

_WANTED: Mapping[str, str] = {
    "int_type": "a whole number is wanted here",
    "int_from_float": "a whole number is wanted here",
    "float_type": "a number is wanted here",
    "string_type": "text is wanted here",
    "bool_type": "true or false is wanted here",
    "tuple_type": "a list is wanted here",
    "dict_type": "a mapping of names is wanted here",
    "mapping_type": "a mapping of names is wanted here",
    "model_type": "a section with keys of its own is wanted here",
    "model_attributes_type": "a section with keys of its own is wanted here",
    "finite_number": "the number must be finite",
    "greater_than": "out of range",
    "greater_than_equal": "out of range",
    "less_than": "out of range",
    "less_than_equal": "out of range",
}


def closest(text: str, choices: Iterable[str]) -> str:
    """The choice that ``text`` was likely meant to be; empty when none is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = get_close_matches(text.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[near[0]] if near else ""


def of_another_kind(document: Document, wanted: str) -> Problem | None:
    """The one problem of a file that says it is another of our kinds: what it says besides is not held against it."""
    declared = document.root.get("kind")
    if declared is None or declared.value == wanted or declared.value not in KINDS:
        return None
    return document.problem(("kind",), f"this is a {declared.value} file, and a {wanted} file is wanted here")


def refusal(error: ValidationError, text: str) -> str:
    """What pydantic found wrong with a text that stands in no file: in words, with what is allowed and likely meant."""
    words = []
    for detail in error.errors(include_url=False):
        context = detail.get("ctx", {})
        if detail["type"] == "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"])
            said, allowed, near = "not one of the choices", ", ".join(choices), closest(text, choices)
        elif detail["type"] == "quantity":
            said, allowed, near = context["message"], context["allowed"], context["suggestion"]
        else:
            said, allowed, near = detail["msg"], "", ""
        hints = [f"allowed: {allowed}"] if allowed else []
        hints += [f"did you mean {near}?"] if near else []
        words.append(f"{said} ({'; '.join(hints)})" if hints else said)
    return "; ".join(words)


def problems_of(error: ValidationError, document: Document, schema: JsonSchema) -> list[Problem]:
    """Every complaint of pydantic as a problem of the file, in the order of the file.

    ``schema``: the JSON Schema of the model that complained; it knows the allowed keys, choices and bounds.
    """
    details = error.errors(include_url=False)
    # A list whose entries are wrong is called too short by those: they are there, so only they are told.
    inside = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    details = [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in inside]
    found = [_problem(detail, document, schema) for detail in details]
    unique = {(problem.line, problem.column, problem.path, problem.message): problem for problem in found}
    return sorted(unique.values(), key=lambda problem: (problem.line, problem.column))


@dataclass(frozen=True)
class _Place:
    """A path in the file, the schema of what should be there, and that of the mapping around it."""

    path: tuple[str | int, ...]
    schema: JsonSchema
    around: JsonSchema
    at_key: bool


def _walk(loc: Sequence[str | int], root: JsonSchema) -> _Place:
    """Follow a pydantic location, in which the tags of unions are steps too, through the schema."""
    path: list[str | int] = []
    schema = around = root
    at_key = False
    for step in loc:
        schema = _resolve(schema, root)
        if step == "[key]":
            at_key = True
            continue
        if "discriminator" in schema:
            schema = {"$ref": schema["discriminator"]["mapping"][step]}
            continue
        around = schema
        if isinstance(step, int):
            schema = schema.get("items", {})
        elif step in schema.get("properties", {}):
            schema = schema["properties"][step]
        elif "patternProperties" in schema:
            schema = next(iter(schema["patternProperties"].values()))
        elif isinstance(schema.get("additionalProperties"), Mapping):
            schema = schema["additionalProperties"]
        elif "properties" not in schema:
            continue
        else:
            schema = {}
        path.append(step)
    return _Place(tuple(path), _resolve(schema, root), around, at_key)


def _resolve(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    """The schema behind a reference, and behind the choice between something and nothing."""
    while True:
        if "$ref" in schema:
            schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in schema and {"type": "null"} in schema["anyOf"]:
            schema = next(option for option in schema["anyOf"] if option != {"type": "null"})
        else:
            return schema


def _problem(detail: ErrorDetails, document: Document, root: JsonSchema) -> Problem:
    kind = detail["type"]
    context = detail.get("ctx", {})
    place = _walk(detail["loc"], root)
    path = place.path
    if kind == "missing":
        return _missing(place, document)
    if kind == "extra_forbidden":
        return _unknown_key(place, document)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _tag(place, document, root)
    text = _offending(document, path)
    if kind == "quantity":
        return document.problem(
            path,
            context["message"],
            offending=text,
            allowed=context["allowed"],
            suggestion=context["suggestion"],
        )
    if kind == "literal_error":
        choices = [str(choice) for choice in place.schema.get("enum", [place.schema.get("const")])]
        near = closest(text, choices)
        message = "a number is wanted here, without quotes" if near == text else "not one of the choices"
        return document.problem(path, message, offending=text, allowed=", ".join(choices), suggestion=near)
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return document.problem(path, _length(kind, context), at_key=place.at_key, offending=text)
    message = _WANTED.get(kind, detail["msg"])
    suggestion = _unquoted(kind, detail["input"])
    if suggestion and suggestion == text:
        message = f"{message}, without quotes"
    if kind == "string_pattern_mismatch" and context["pattern"] == NAME.pattern:
        message = "a name is a letter, then letters, digits, '_' or '-', 40 at the most"
    elif kind == "string_pattern_mismatch":
        message, near = "not of the form that is wanted here", text.upper()
        suggestion = near if near != text and re.search(context["pattern"], near) else ""
        return document.problem(
            path, message, offending=text, allowed=place.schema.get("description", ""), suggestion=suggestion
        )
    return document.problem(
        path,
        message,
        at_key=place.at_key,
        offending=str(path[-1]) if place.at_key else text,
        allowed=_bounds(place.schema),
        suggestion=suggestion,
    )


def _missing(place: _Place, document: Document) -> Problem:
    name = place.path[-1]
    if isinstance(name, int):
        path = place.path[:-1]
        message = f"a list of {place.around.get('minItems', name + 1)} is wanted here"
        return document.problem(path, message, offending=_offending(document, path))
    example = next(iter(place.schema.get("examples", ())), "")
    allowed = f"for example {name}: {example}" if example else ", ".join(_choices(place.schema))
    message = f"the key {str(name)!r} is missing here"
    return document.problem(place.path, message, offending="", allowed=allowed)


def _unknown_key(place: _Place, document: Document) -> Problem:
    key = str(place.path[-1])
    keys = list(place.around.get("properties", {}))
    _, around, _ = document.find(place.path[:-1])
    free = [name for name in keys if around.get(name) is None]
    return document.problem(
        place.path, "unknown key", at_key=True, offending=key, allowed=", ".join(keys), suggestion=closest(key, free)
    )


def _tag(place: _Place, document: Document, root: JsonSchema) -> Problem:
    """The key that says what kind of section this is, missing or unknown."""
    schema = _resolve(place.schema, root)
    key = schema["discriminator"]["propertyName"]
    tags = sorted(schema["discriminator"]["mapping"])
    path = (*place.path, key)
    if document.find(path)[2] != path:
        message = f"the key {key!r} is missing here"
        return document.problem(path, message, offending="", allowed=", ".join(tags))
    text = _offending(document, path)
    message = f"no such {key}"
    if key == "driver":
        from orchestrator.kinds import broken_plugins

        plugin = broken_plugins().get(text)
        message = message if plugin is None else str(plugin)
    return document.problem(path, message, offending=text, allowed=", ".join(tags), suggestion=closest(text, tags))


def _offending(document: Document, path: Sequence[str | int]) -> str:
    return document.find(path)[1].text or "nothing"


def _choices(schema: JsonSchema) -> list[str]:
    if "enum" in schema:
        return [str(choice) for choice in schema["enum"]]
    return [str(schema["const"])] if "const" in schema else list(schema.get("properties", ()))


def _bounds(schema: JsonSchema) -> str:
    """The numeric bounds of a schema in words."""
    parts = []
    for word, key in (
        ("above", "exclusiveMinimum"),
        ("from", "minimum"),
        ("below", "exclusiveMaximum"),
        ("to", "maximum"),
    ):
        if key in schema:
            parts.append(f"{word} {schema[key]:g}")
    return " ".join(parts)


def _length(kind: str, context: Mapping[str, Any]) -> str:
    what = "character" if kind.startswith("string") else "entry"
    low, high = context.get("min_length"), context.get("max_length")
    plural = {"character": "characters", "entry": "entries"}
    if kind.endswith("short"):
        return f"at least {low} {what if low == 1 else plural[what]} must stand here"
    return f"at most {high} {plural[what]} may stand here"


def _unquoted(kind: str, value: object) -> str:
    """The number inside a text, where a number is wanted."""
    if kind not in ("int_type", "float_type", "int_from_float"):
        return ""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return ""
        return value.strip() if abs(number) < 1e300 else ""
    if kind == "int_from_float" and isinstance(value, float) and abs(value) < 1e15:
        return str(round(value))
    return ""
