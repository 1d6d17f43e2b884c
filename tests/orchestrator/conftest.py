"""Tests marked `data` read real experiments that live beside the repository; without them they are deselected. Others
have a table that is made up."""

import os
from pathlib import Path

import pytest

from tests.orchestrator.pool.couplings import SPEC, write_table

ROOT = Path(__file__).resolve().parents[2]


def data_folder() -> Path | None:
    """Where the tables of past experiments are: LUMIFLOW_DATA, or ../shared/data; None if neither is there."""
    named = os.environ.get("LUMIFLOW_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say that the tests were deselected, rather than pass or skip them."""
    if data_folder() is not None:
        return
    reading = [item for item in items if item.get_closest_marker("data")]
    if reading:
        config.hook.pytest_deselected(items=reading)
        items[:] = [item for item in items if item not in reading]


@pytest.fixture
def data() -> Path:
    """The folder of tables."""
    folder = data_folder()
    assert folder is not None
    return folder


@pytest.fixture
def pool_files(tmp_path: Path) -> tuple[Path, Path]:
    """The made-up table of couplings, and its pool file."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    return write_table(tmp_path / "table.csv"), spec
