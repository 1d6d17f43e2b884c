"""The JSON Schemas that editors use allow what the loader allows, and the shipped ones are up to date."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import json_schema, schema_text
from orchestrator.config.schema import Kind
from orchestrator.errors import ConfigError
from orchestrator.yaml_source import parse, read_text

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "configs").glob("*/*.yaml"))
BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
BEYOND_A_SCHEMA = {
    # References between names, sums over the file, and bounds of quantities: the loader's business.
    "campaign-acquisition-of-another-strategy",
    "campaign-acquisition-with-a-cost",
    "campaign-condition-without-content",
    "campaign-constraint-unknown-name",
    "campaign-flow-set-twice",
    "campaign-fraction-without-itself",
    "campaign-infinite-quantity",
    "campaign-initial-above-budget",
    "campaign-log-from-zero",
    "campaign-no-such-rig",
    "campaign-no-temperature",
    "campaign-one-condition-too-few",
    "campaign-one-condition-too-many",
    "campaign-rig-name-too-long",
    "campaign-only-ratios",
    "campaign-planner-setting-misspelt",
    "campaign-planner-setting-too-small",
    "campaign-range-reversed",
    "campaign-species-not-in-syringes",
    "campaign-target-invisible",
    "campaign-unknown-pump",
    "campaign-unknown-species",
    "campaign-unknown-stock",
    "rig-flush-too-fast",
    "rig-heater-is-a-pump",
    "rig-negative-length",
    "rig-safe-sequence-never-stops",
    "rig-safe-sequence-order",
    "rig-shared-address",
    "rig-unknown-port",
    "rig-wrong-port-kind",
}
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
KNOWN = {
    "$schema $defs $ref title description default examples discriminator type enum const pattern anyOf oneOf",
    "properties",
    "patternProperties additionalProperties required items prefixItems",
    "minItems maxItems minProperties maxProperties minLength",
    "maxLength minimum maximum exclusiveMinimum exclusiveMaximum",
}


def complaints(data: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    """What a JSON Schema validator would say, for the keywords that these schemas use."""
    unknown = set(schema) - set(" ".join(KNOWN).split())
    assert not unknown, f"this validator does not know {unknown}"
    if "$ref" in schema:
        yield from complaints(data, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
        return
    for key, wanted in (("anyOf", range(1, 99)), ("oneOf", range(1, 2))):
        if key in schema:
            fitting = sum(not any(complaints(data, option, root)) for option in schema[key])
            if fitting not in wanted:
                yield f"{fitting} of {key} fit {data!r}"
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(data, TYPES[kind]) or (isinstance(data, bool) and kind in ("integer", "number"))
    ):
        yield f"{data!r} is no {kind}"
        return
    if "enum" in schema and data not in schema["enum"]:
        yield f"{data!r} is none of {schema['enum']}"
    if "const" in schema and data != schema["const"]:
        yield f"{data!r} is not {schema['const']!r}"
    if isinstance(data, str):
        if "pattern" in schema and not re.search(schema["pattern"], data):
            yield f"{data!r} is not like {schema['pattern']}"
        if not schema.get("minLength", 0) <= len(data) <= schema.get("maxLength", math.inf):
            yield f"{data!r} is too short or too long"
    elif isinstance(data, (int, float)) and not isinstance(data, bool):
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
        if not math.isfinite(data) or not (low <= data <= high and above < data < below):
            yield f"{data!r} is out of range"
    elif isinstance(data, list):
        if not schema.get("minItems", 0) <= len(data) <= schema.get("maxItems", math.inf):
            yield f"{data!r} is too short or too long"
        first = schema.get("prefixItems", [])
        for item, its in zip(data, first, strict=False):
            yield from complaints(item, its, root)
        for item in data[len(first) :]:
            yield from complaints(item, schema.get("items", {}), root)
    elif isinstance(data, dict):
        yield from object_complaints(data, schema, root)


def object_complaints(data: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key} is missing" for key in schema.get("required", ()) if key not in data)
    if not schema.get("minProperties", 0) <= len(data) <= schema.get("maxProperties", math.inf):
        yield "too few or too many entries"
    for key, value in data.items():
        if key in schema.get("properties", {}):
            yield from complaints(value, schema["properties"][key], root)
            continue
        fitting = [its for pattern, its in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        if not fitting and schema.get("additionalProperties") is False:
            yield f"unknown key {key}"
        for its in fitting:
            yield from complaints(value, its, root)


def lists(data: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    if isinstance(data, dict):
        return {key: lists(value) for key, value in data.items()}
    return [lists(item) for item in data] if isinstance(data, tuple) else data


def kind_of(path: Path) -> Kind:
    if path.parent.name == "pools":
        return "pool"
    return "rig" if path.parent.name == "rigs" or path.name.startswith("rig-") else "campaign"


@pytest.mark.parametrize("kind", ["rig", "campaign", "pool"])
def test_the_shipped_schema_is_the_models_own(kind: Kind) -> None:
    shipped = ROOT / "configs" / "schema" / f"{kind}.schema.json"
    assert shipped.read_text("utf-8") == schema_text(kind)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_satisfies_its_schema(path: Path) -> None:
    schema = json_schema(kind_of(path))
    assert list(complaints(lists(parse(read_text(path), path.name).root.plain()), schema, schema)) == []


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_an_editor_sees_what_is_broken_wherever_a_schema_can_say_it(path: Path) -> None:
    try:
        data = lists(parse(read_text(path), path.name).root.plain())
    except ConfigError:
        return
    schema = json_schema(kind_of(path))
    assert bool(list(complaints(data, schema, schema))) is (path.stem not in BEYOND_A_SCHEMA)


@pytest.mark.parametrize("kind", ["rig", "campaign", "pool"])
def test_every_default_in_a_schema_satisfies_it(kind: Kind) -> None:
    schema = json_schema(kind)
    sections = [schema, *schema["$defs"].values()]
    defaults = [entry for section in sections for entry in section.get("properties", {}).values() if "default" in entry]
    assert len(defaults) > 5
    for entry in defaults:
        assert list(complaints(lists(entry["default"]), entry, schema)) == [], entry
