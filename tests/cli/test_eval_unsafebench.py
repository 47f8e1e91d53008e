"""UnsafeBench's table by one command, on drawings in its columns and with random weights."""

import json
from pathlib import Path

import pytest
from sklearn.metrics import f1_score
from typer.testing import CliRunner

pytest.importorskip("torch")
from published_weights import pin_tiny_clip, write_head

from kidsnanny.cli.app import app
from kidsnanny.evaluation import generated
from kidsnanny.models.cards import cards
from kidsnanny.taxonomy import UNSAFEBENCH

pytestmark = pytest.mark.torch
ALIGNED = {
    "q16": set(UNSAFEBENCH) - {"Sexual", "Spam"},
    "multiheaded": {"Sexual", "Violence", "Shocking", "Hate", "Political"},
    "sd-filter": {"Sexual"},
    "nsfw-detector": {"Harassment", "Sexual"},
}
"""Which classifier the paper evaluates on what (arXiv 2405.03486)."""


def test_one_command_gives_the_papers_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    assert not own_home.exists()
    for n, split in enumerate(("train", "test")):
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        generated.write(path, 88, seed=n, categories=tuple(UNSAFEBENCH), size=64)
    pin_tiny_clip(tmp_path / "clip", monkeypatch)
    for kind in ALIGNED:
        cards()[kind].pin_local(write_head(tmp_path / kind, kind))
    out = tmp_path / "out"
    asked = ["--category", "all", "--expect", "176", "--systems", ",".join([*ALIGNED, "nudenet-classifier"])]
    done = CliRunner().invoke(app, ["eval", "--data", str(tmp_path / "data"), "--out", str(out), *asked])
    assert done.exit_code == 3, done.output
    assert "not evaluated: nudenet-classifier: its weights are not on this machine; download" in " ".join(
        done.output.split()
    )
    tables = {one["source"]: one for one in json.loads((out / "summary.json").read_text())["unsafebench"]}
    assert list(tables) == ["", "Laion5B", "Lexica"]
    for source, table in tables.items():
        assert table["categories"] == list(UNSAFEBENCH)
        assert [row["system"] for row in table["rows"]] == list(ALIGNED)
        for row in table["rows"]:
            assert {name for name, cell in row["cells"].items() if cell} == ALIGNED[row["system"]]
            lines = list(map(json.loads, (out / "predictions" / f"{row['system']}.jsonl").read_text().splitlines()))
            for name in ALIGNED[row["system"]]:
                here = [one for one in lines if one["category"] == name and source in ("", one["source"])]
                scored = [one for one in here if "score" in one]
                said = [one["score"] >= one["threshold"] for one in scored]
                expected = f1_score([one["unsafe"] for one in scored], said, zero_division=0)
                cell = row["cells"][name]
                assert cell["pictures"] == len(here) == (16 if source == "" else 8)
                assert cell["unscored"] == len(here) - len(scored)
                assert (cell["scores"]["f1"]["value"] or 0) == pytest.approx(expected)
    assert "q16 (random weights)" in done.output
    assert "nudenet-classifier: not evaluated" in done.output
    assert "Q16: published | .641 | .517" in done.output
    report = (out / "report.html").read_text("utf-8")
    assert "By source and category, as in UnsafeBench" in report
    assert "Published (arXiv 2405.03486, version 1)" in report
