"""`--csv` and `--parquet`: a row for each verdict."""

import csv
import io
import os
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Pipeline, Stage2
from kidsnanny.cli.app import app
from kidsnanny.profiles.profile import Profile
from kidsnanny.reports.verdict_table import COLUMNS, ROWS, ParquetTable, row


@pytest.fixture(autouse=True)
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A safe picture, an unsafe one with a formula for a name, and a broken one."""
    monkeypatch.setattr(Profile, "build_stage1", lambda _: ScriptedStage1())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr("you are mean"), ScriptedTextModel()))
    monkeypatch.chdir(tmp_path)
    Path("=album").mkdir()
    Path("=album/a.png").write_bytes(encoded(Image.new("RGB", (16, 12), (250, 0, 0))))
    Path("=album/broken.jpg").write_bytes(encoded(gradient(300, 300), "JPEG")[:900])
    Path("=album/none.jpg").write_bytes(b"")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments])


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path(path).read_text("utf-8"), newline="")))


def test_both_tables_hold_the_verdicts() -> None:
    result = run("--policy", "child,teen", "--csv", "a.csv", "--parquet", "a.parquet", "=album")
    assert result.exit_code == 10, result.output
    cells = rows("a.csv")
    table = pyarrow.parquet.read_table("a.parquet")
    assert list(cells[0]) == table.column_names == list(COLUMNS)
    for text, value in zip(cells, table.to_pylist(), strict=True):
        value["text_found"] = {True: "yes", False: "no", None: ""}[value["text_found"]]
        plain = {name: "" if cell is None else str(cell) for name, cell in value.items()}
        assert text == plain | {"name": f"'{plain['name']}"}, "a name is no formula"
    first = cells[0]
    assert (first["policy"].split("@")[0], cells[1]["policy"].split("@")[0]) == ("child", "teen")
    assert (first["label"], first["action"], first["nudity"], first["weapons"]) == (
        "unsafe",
        "block",
        str(250 / 255),
        "",
    )
    assert (first["text_found"], first["width"], first["height"], first["frames"]) == ("yes", "16", "12", "1")
    assert "you are mean" in first["reasons"]
    assert float(first["ms"]) > 0
    assert len(first["sha256"]) == 64
    assert (cells[4]["text_found"], cells[4]["width"], cells[4]["not_inspected"] != "") == ("", "", True)


def test_a_row_of_a_message() -> None:
    Path("a.txt").write_text("hello\nyou are mean\n")
    run("--text", "a.txt", "--csv", "a.csv")
    assert [(one["name"], one["label"], one["text_found"]) for one in rows("a.csv")] == [
        ("a.txt:1", "safe", "yes"),
        ("a.txt:2", "unsafe", "yes"),
    ]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("count", [0, 1, ROWS, ROWS + 1])
def test_a_parquet_table_is_whole_however_it_ends(error: type[BaseException] | None, count: int) -> None:
    verdict = Pipeline()("=album/a.png")
    try:
        with ParquetTable("a.parquet") as table:
            for _ in range(count):
                table.add(None, verdict)
            if error:
                raise error
    except (KeyboardInterrupt, OSError):
        pass
    assert pyarrow.parquet.read_table("a.parquet").to_pylist() == [row(verdict)] * count


@pytest.mark.parametrize("option", ["--csv", "--parquet"])
def test_a_table_takes_the_place_of_a_table_and_of_nothing_else(option: str) -> None:
    for _ in range(2):
        assert run(option, "table", "=album/a.png").exit_code == 10
    other = pyarrow.table({"a": [1]})
    pyarrow.parquet.write_table(other, "other.parquet")
    Path("other.csv").write_text("a,b\n1,2\n")
    for foreign in ("=album/a.png", "other.parquet", "other.csv"):
        before = Path(foreign).read_bytes()
        result = run(option, foreign, "=album/a.png")
        assert result.exit_code == 2
        assert result.stderr == f"kidsnanny: {foreign}: it is there and is not a table of ours; name another file.\n"
        assert Path(foreign).read_bytes() == before


def test_a_table_that_a_kill_has_torn_is_replaced() -> None:
    run("--parquet", "a.parquet", "=album/a.png")
    Path("a.parquet").write_bytes(Path("a.parquet").read_bytes()[:-20])
    assert run("--parquet", "a.parquet", "=album/a.png").exit_code == 10
    assert pyarrow.parquet.read_table("a.parquet").num_rows == 1


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    result = run("--parquet", "a.parquet", "=album/a.png")
    assert result.exit_code == 3
    assert "--parquet needs pyarrow" in result.stderr
    assert "pip install 'kidsnanny[eval]'" in result.stderr
    assert run("--csv", "a.csv", "=album/a.png").exit_code == 10, "CSV needs nothing"


@pytest.mark.parametrize("option", ["--csv", "--parquet"])
def test_a_table_that_cannot_be_written(option: str) -> None:
    result = run(option, "no/such/table", "=album/a.png")
    assert result.exit_code == 2
    assert "no/such/table: the table cannot be written (No such file or directory); choose another" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_only_the_owner_may_read_it() -> None:
    run("--csv", "a.csv", "--parquet", "a.parquet", "=album/a.png")
    assert {Path(name).stat().st_mode & 0o77 for name in ("a.csv", "a.parquet")} == {0}
