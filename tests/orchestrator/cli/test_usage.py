"""Options and arguments that a command does not take are refused in words, and as JSON where that was asked for."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from tests.orchestrator.rehearsal import CONFIGS

QUICKSTART = CONFIGS / "campaigns" / "quickstart.yaml"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "Missing argument"),
        (["run", "x", "--seed", "-3"], "--seed"),
        (["run", "x", "--bogus"], "--bogus"),
        (["run", "x", "y"], "(y)"),
        (["rnu", "x"], "rnu"),
        (["twin", "serve"], "Missing argument"),
        (["twin", "srve"], "srve"),
    ],
)
def test_what_the_parser_refuses_is_a_line_of_json_too(words: list[str], said: str) -> None:
    plain = CliRunner().invoke(app, words)
    assert (plain.exit_code, plain.stdout) == (2, "")
    refused = CliRunner().invoke(app, [*words, "--json"])
    assert refused.exit_code == 2
    assert "Usage: " in refused.stderr
    (line,) = refused.stdout.splitlines()
    error = json.loads(line)["error"]
    assert error["error"] == "UsageRefused"
    assert said in error["message"]


def test_a_misspelt_strategy_is_told_what_is_allowed_and_what_was_meant() -> None:
    done = CliRunner().invoke(app, ["run", str(QUICKSTART), "--strategy", "ensemle"])
    assert done.exit_code == 2
    assert '--strategy "ensemle": not one of the choices (allowed: ensemble, gp, ' in done.stderr
    assert "did you mean ensemble?" in done.stderr
    far = CliRunner().invoke(app, ["run", str(QUICKSTART), "--strategy", "xyz"]).stderr
    assert "allowed: ensemble, gp, " in far and "did you mean" not in far
    bare = CliRunner().invoke(app, ["run", str(QUICKSTART), "--target", "2.25"]).stderr
    assert "(allowed: " in bare and 'did you mean "2.25 eV"?' in bare


@pytest.mark.parametrize("volume", ["-3 ml", "3"])
def test_a_volume_that_no_syringe_can_hold_is_refused_before_anybody_is_asked(volume: str) -> None:
    done = CliRunner().invoke(app, ["refill", "halide", "--volume", volume])
    assert done.exit_code == 2
    assert done.stderr.startswith(f'lumiflow: --volume "{volume}": ')
