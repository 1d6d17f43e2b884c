"""Files that people name as archives: choices by name, runs that do not belong, tables as programs export them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.campaign import archives
from orchestrator.campaign.header import Overrides, header_of
from orchestrator.config import LoadedCampaign, load_campaign
from orchestrator.errors import ConfigError
from tests.orchestrator.campaign.test_archives import ROWS, TABLE, campaign
from tests.orchestrator.recipes.test_pump_choice import EDITS, choosing
from tests.orchestrator.rehearsal import CONFIGS, rehearse, small

BOTTLES = TABLE.replace("    peak:", "      bottle: {column: bottle}\n    peak:")


def refused(loaded: LoadedCampaign) -> str:
    """The one thing that is wrong with its archives."""
    with pytest.raises(ConfigError) as error:
        archives.gather(loaded)
    (problem,) = error.value.problems
    return problem.summary()


def table(folder: Path, text: str, archive: str = TABLE) -> LoadedCampaign:
    """The quickstart with a table of this text."""
    (folder / "earlier.csv").write_text(text, encoding="utf-8")
    return campaign(folder, archive)


def with_bottles(folder: Path, *cells: str, archive: str = BOTTLES) -> LoadedCampaign:
    """The quickstart with iodide in two syringes, and a table with these cells in the column of the choice."""
    rows = "".join(f"0.5,1.3,1.0,393.15,551,2,90,{cell}\n" for cell in cells)
    (folder / "earlier.csv").write_text(f"x_I,ratio,t,T,peak,sd,width,bottle\n{rows}", encoding="utf-8")
    return choosing_campaign(folder, archive)


def choosing_campaign(folder: Path, archive: str) -> LoadedCampaign:
    files = {"campaign.yaml": choosing().campaign_text + f"\narchives:\n  before:\n{archive}"}
    files["rig.yaml"] = choosing().rig_text
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load_campaign(folder / "campaign.yaml", folder / "rig.yaml")


def test_a_cell_of_a_choice_is_the_name_of_a_pump_and_a_row_keeps_its_place_in_the_list(tmp_path: Path) -> None:
    (found,) = archives.gather(with_bottles(tmp_path, "weak", " halide "))
    assert [row[4] for row in found["rows"]] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("cell", "got"),
    [("1", "1"), ("0", "0"), ("0.0", "0.0"), ("week", "week"), ("cs", "cs"), ("Weak", "Weak")],
)
def test_a_cell_of_a_choice_that_names_none_of_its_pumps_is_refused(tmp_path: Path, cell: str, got: str) -> None:
    said = refused(with_bottles(tmp_path, "weak", cell))
    assert "inputs.bottle.column: line 3, column bottle: the name of a pump is wanted here" in said
    assert f"(got {got}; allowed: halide, weak" in said
    assert ("did you mean weak?" in said) == (got in ("week", "Weak"))


def test_a_choice_is_left_blank_or_given_a_unit_in_vain(tmp_path: Path) -> None:
    assert "line 3 leaves an input blank" in refused(with_bottles(tmp_path, "weak", " "))
    unit = BOTTLES.replace("column: bottle", "column: bottle, unit: nm")
    assert "the names of pumps have no unit" in refused(with_bottles(tmp_path, "weak", archive=unit))


def test_a_choice_of_an_earlier_run_and_one_that_comes_along_keep_their_places_too(tmp_path: Path) -> None:
    run = rehearse(choosing(), tmp_path / "first.sqlite")
    loaded = choosing_campaign(tmp_path, "    kind: runs\n    files: [first.sqlite]\n")
    (found,) = archives.gather(loaded)
    bottle = list(loaded.config.inputs).index("bottle")
    assert [row[bottle] for row in found["rows"]] == [each.recipe["bottle"] for each in run.state.told]
    assert archives.taken_along(loaded, [found]) == [found]
    between = [[*row[:bottle], 0.5, *row[bottle + 1 :]] for row in found["rows"]]
    (came,) = archives.taken_along(loaded, [{**found, "rows": [*found["rows"], *between]}])
    assert (came["rows"], came["off_steps"]) == (found["rows"], len(between))


def test_a_choice_among_other_pumps_is_not_the_same_choice(tmp_path: Path) -> None:
    rehearse(
        small(1, **{**EDITS, "\nfixed:\n": EDITS["\nfixed:\n"].replace("halide, weak", "weak, halide")}),
        tmp_path / "first.sqlite",
    )
    said = refused(choosing_campaign(tmp_path, "    kind: runs\n    files: [first.sqlite]\n"))
    assert "neither chose nor fixed what bottle is here" in said


def test_a_run_that_is_named_twice_is_refused_under_whatever_name(tmp_path: Path) -> None:
    rehearse(small(2), tmp_path / "first.sqlite")
    shutil.copy(tmp_path / "first.sqlite", tmp_path / "copy.sqlite")
    for again in ("first.sqlite", "../" + tmp_path.name + "/first.sqlite", "copy.sqlite"):
        loaded = campaign(tmp_path, f"    kind: runs\n    files:\n      - first.sqlite\n      - {again}\n")
        said = refused(loaded)
        assert "archives.before.files[1]: the same run as archives.before.files[0]: its experi" in said
        assert f"campaign.yaml:{len(loaded.campaign_text.splitlines())}:" in said
    beside = "    kind: runs\n    files: [first.sqlite]\n  again:\n    kind: runs\n    files: [copy.sqlite]\n"
    assert "archives.again.files[0]: the same run as archives.before.files[0]" in refused(campaign(tmp_path, beside))


def test_runs_of_two_seeds_are_two_runs(tmp_path: Path) -> None:
    for seed in (1, 2):
        rehearse(small(2, **{"seed: 1 #": f"seed: {seed} #"}), tmp_path / f"seed-{seed}.sqlite")
    (found,) = archives.gather(campaign(tmp_path, "    kind: runs\n    files: [seed-1.sqlite, seed-2.sqlite]\n"))
    assert len(found["rows"]) + found["outside"] == 4


def test_a_run_of_a_rig_that_looked_at_other_light_is_refused(tmp_path: Path) -> None:
    rehearse(small(1), tmp_path / "first.sqlite")
    text = campaign(tmp_path, "    kind: runs\n    files: [first.sqlite]\n").campaign_text
    path = tmp_path / "campaign.yaml"
    text = text.replace("  yield:\n    weight: 0.25", "  yield:\n    weight: 0").replace("  spectra: emission", "  #")
    path.write_text(text, encoding="utf-8")
    said = refused(load_campaign(path, CONFIGS / "rigs" / "perovskite-white-light.yaml"))
    assert "archives.before.files[0]: its rig looked at emission and that of this campaign looks at absorption" in said
    assert "allowed: runs on rigs that look at absorption" in said


EUROPEAN = ROWS.replace(",", ";").replace(".", ",")
WRITTEN = '    delimiter: ";"\n    decimal: ","\n'


def test_a_table_may_have_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    (plain,) = archives.gather(table(tmp_path, ROWS))
    (found,) = archives.gather(table(tmp_path, EUROPEAN, TABLE + WRITTEN))
    assert found == plain
    header = header_of(campaign(tmp_path, TABLE + WRITTEN), Overrides(), hardware=False, archives=[found])
    assert len(archives.of_header(header)[0].observations) == 2


def test_a_line_that_tells_excel_what_stands_between_cells_is_no_part_of_the_table(tmp_path: Path) -> None:
    (plain,) = archives.gather(table(tmp_path, ROWS))
    (found,) = archives.gather(table(tmp_path, "sep=;\n" + EUROPEAN, TABLE + WRITTEN))
    assert found["rows"] == plain["rows"]
    said = refused(table(tmp_path, "sep=;\n" + EUROPEAN))
    assert "the table says that ';' stands between its cells, and the campaign file ','" in said
    assert 'did you mean delimiter: ";"?' in said
    broken = EUROPEAN.replace("\n", ";\n").replace(";\n", "\n", 1)
    assert "line 3 has" in refused(table(tmp_path, "sep=;\n" + broken, TABLE + WRITTEN))


@pytest.mark.parametrize(("between", "meant"), [(";", ";"), ("\t", "\\t")])
def test_a_table_whose_cells_are_set_apart_by_something_else_is_told_by_what(
    tmp_path: Path, between: str, meant: str
) -> None:
    said = refused(table(tmp_path, ROWS.replace(",", between)))
    assert "archives.before.file: the names of its columns are not set apart by ','" in said
    assert f'did you mean delimiter: "{meant}"?' in said
    archive = f'{TABLE}    delimiter: "{meant}"\n'
    (found,) = archives.gather(table(tmp_path, ROWS.replace(",", between), archive))
    assert len(found["rows"]) == 2
    assert 'did you mean delimiter: ","?' in refused(table(tmp_path, ROWS, archive))


@pytest.mark.parametrize(
    ("written", "cell", "said"),
    [
        (
            '    delimiter: ";"\n',
            "0,5",
            "line 2, column x_I: '0,5' is not a number (got earlier.csv; did you mean decimal: \",\"?",
        ),
        (WRITTEN, "0.5", "line 2, column x_I: '0.5' is not a number (got earlier.csv; did you mean decimal: \".\"?"),
        (WRITTEN, "1.000,5", "line 2, column x_I: '1.000,5' is not a number"),
        ('    delimiter: ";"\n', "1_5", "line 2, column x_I: '1_5' is not a number"),
    ],
)
def test_a_number_is_written_with_the_decimal_mark_of_its_table(
    tmp_path: Path, written: str, cell: str, said: str
) -> None:
    rows = f"x_I;ratio;t;T;peak;sd;width\n{cell};1;1;393;551;2;90\n"
    assert said in refused(table(tmp_path, rows, TABLE + written))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('    decimal: ","\n', "archives.before.decimal: what stands between cells cannot stand before decimals too"),
        ('    decimal: ","\n', 'did you mean delimiter: ";"?'),
        ('    delimiter: "."\n', "archives.before.delimiter: what stands between cells cannot stand before decimals"),
        ('    delimiter: "\\n"\n', "archives.before.delimiter: line ends and quotes cannot stand between cells"),
    ],
)
def test_a_delimiter_that_cannot_be_told_from_decimals_or_lines_is_refused(
    tmp_path: Path, written: str, said: str
) -> None:
    assert said in refused(table(tmp_path, ROWS, TABLE + written))


def test_no_other_decimal_mark_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"archives\.before\.decimal: .*allowed: \., ,"):
        table(tmp_path, ROWS, TABLE + '    decimal: "\'"\n')


@pytest.mark.parametrize("text", ["", "x_I,ratio,t,T,peak,sd,width\n", "x_I,ratio,t,T,peak,sd,width\n,,,,,,\n\n"])
def test_a_table_without_a_row_is_said_to_have_no_experiments(tmp_path: Path, text: str) -> None:
    assert "archives.before.file: the table has no experiments" in refused(table(tmp_path, text))
