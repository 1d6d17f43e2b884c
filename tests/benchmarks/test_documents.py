"""What benchmarks write into documents: between two marks, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.documents import put_between

BEGIN, END = "<!-- begin -->", "<!-- end -->"


def test_what_stands_between_the_marks_is_replaced_and_all_else_stays(tmp_path: Path) -> None:
    document = tmp_path / "figures.md"
    document.write_text(f"words\n{BEGIN}\nold\n{END}\nmore words\n", encoding="utf-8")
    put_between(document, BEGIN, END, "new")
    assert document.read_text(encoding="utf-8") == f"words\n{BEGIN}\n\nnew\n\n{END}\nmore words\n"


@pytest.mark.parametrize(
    "text", [f"words\n{BEGIN}\nold, more words\n", f"words\n{END}\n", f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", ""]
)
def test_a_document_without_both_marks_in_their_order_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    document = tmp_path / "figures.md"
    document.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match="must stand in it once each"):
        put_between(document, BEGIN, END, "new")
    assert document.read_text(encoding="utf-8") == text


def test_a_document_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone\.md: there is no such document"):
        put_between(tmp_path / "gone.md", BEGIN, END, "new")
