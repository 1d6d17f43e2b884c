"""JSON Schema of the configuration files, for editors: it allows the text that the loader allows."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.pool import PoolSpec
from orchestrator.config.quantities import Section
from orchestrator.config.rig import RigConfig

Kind = Literal["rig", "campaign", "pool"]

MODELS: dict[Kind, type[Section]] = {"rig": RigConfig, "campaign": CampaignConfig, "pool": PoolSpec}


@cache
def json_schema(kind: Kind) -> dict[str, Any]:
    """The schema of rig, campaign or pool files (JSON Schema 2020-12).

    References between names are the loader's to check.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Lumiflow {kind} file",
        **_tidy(MODELS[kind].model_json_schema()),
    }


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the titles that pydantic makes up from names, and with mappings closed to keys that are no names."""
    tidied: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        tidied[key] = (
            _tidy(value) if isinstance(value, dict) else _tidy_list(value) if isinstance(value, list) else value
        )
    if "patternProperties" in tidied:
        tidied["additionalProperties"] = False
    return tidied


def _tidy_list(values: list[Any]) -> list[Any]:
    return [_tidy(value) if isinstance(value, dict) else value for value in values]


def schema_text(kind: Kind) -> str:
    """The schema as the text of its file under ``configs/schema``."""
    import json

    return json.dumps(json_schema(kind), ensure_ascii=False, indent=2) + "\n"
