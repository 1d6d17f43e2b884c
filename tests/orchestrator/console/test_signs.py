"""What is written where the output's encoding lacks a sign."""

from __future__ import annotations

import io
import sys

import pytest

from orchestrator.console.signs import in_ascii, write_what_can_be_read


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_every_text_can_be_written_and_no_minus_is_lost(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(kept, encoding=encoding, write_through=True))
    write_what_can_be_read()
    print("\u22120.5 eV ± 5 meV, – %, ⠋ \udcff", end="")
    said = kept.getvalue().decode(encoding)
    assert said.replace("\u2212", "-").startswith("-0.5 eV ")
    assert said.endswith("?")


def test_signs_become_others_of_one_meaning_and_letters_lose_their_accents() -> None:
    assert in_ascii("80 µl/min at 120 °C, x² → ü…") == "80 ul/min at 120 degC, x2 -> u..."


def test_an_output_that_is_no_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    write_what_can_be_read()
