"""The four rooms must come from one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_strangers_drivers_package_is_noticed_at_start_up(tmp_path: Path) -> None:
    stranger = tmp_path / "drivers"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; from orchestrator.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode != 0
    assert "must come from one folder" in done.stderr
    assert str(tmp_path) in done.stderr
