"""The trainer: a toy folder in, a loadable and repeatable model out; rows, labels and templates as documented."""

import csv
import gzip
import random
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs the train extra")

import numpy as np

from kidsnanny.errors import ComponentError
from kidsnanny.stage2.normalisation import normalise
from kidsnanny.stage2.text_model import TextModel, features
from kidsnanny.training.text import rows as text_rows
from kidsnanny.training.text import train_text as trainer
from kidsnanny.training.text.rows import CATEGORIES, TextRow, split_drugs_weapons

HEADER = [*text_rows.COLUMNS, "source", "label_kind"]


def write(path: Path, rows: list[dict[str, str]], header: list[str] = HEADER) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, header, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def toy(folder: Path) -> Path:
    """A folder of a few rows per category, English and German."""
    folder.mkdir()
    zeros = dict.fromkeys(text_rows.COLUMNS[1:9], "0")
    rows = [{"text": f"nice weather number {i}", "lang": "en", "split": "train", **zeros} for i in range(60)]
    rows += [
        {"text": f"das wetter ist heute sehr schön {i}", "lang": "de", "split": "train", **zeros} for i in range(60)
    ]
    for column, word in (("harassment", "loser"), ("drugs_weapons", "cocaine"), ("scam", "prize")):
        rows += [
            {"text": f"a {word} for you, sample {i}", "lang": "en", "split": "train", column: "1", "any_harm": "1"}
            for i in range(30)
        ]
    write(folder / "toy.csv.gz", rows)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders trained from the same toy data and seed, from our lines thinned out to seconds."""
    base = tmp_path_factory.mktemp("train")
    data = toy(base / "data")
    patch = pytest.MonkeyPatch()
    patch.setattr(text_rows, "EXPANSIONS", 2)
    patch.setattr(text_rows, "PAGES", dict.fromkeys(text_rows.PAGES, 100))
    patch.setattr(trainer, "BITS", 14)
    for name in ("one", "two"):
        trainer.train(data, base / name)
    patch.undo()
    return base / "one", base / "two"


class TestTrain:
    def test_writes_what_the_library_loads(self, trained: tuple[Path, Path]) -> None:
        model = TextModel.load(trained[0])
        assert model.card.categories == CATEGORIES
        assert model.card.trained_on == ("toy.csv.gz", "lines.toml")
        scores = model.score(["nice weather", "i want to die", ""])
        assert scores.shape == (3, len(CATEGORIES))
        assert scores[1, CATEGORIES.index("self_harm")] > scores[0, CATEGORIES.index("self_harm")]

    def test_same_data_and_seed_same_bytes(self, trained: tuple[Path, Path]) -> None:
        for name in ("model.npz", "card.toml"):
            assert (trained[0] / name).read_bytes() == (trained[1] / name).read_bytes()

    def test_an_empty_folder_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ComponentError, match=r"no \*\.csv\.gz.*--data"):
            trainer.train(tmp_path, tmp_path / "out")

    def test_the_validation_set_is_not_training_data(self, tmp_path: Path) -> None:
        write(tmp_path / "eval_anything.csv.gz", [])
        with pytest.raises(ComponentError, match="--data"):
            trainer.train(tmp_path, tmp_path / "out")

    def test_a_missing_column_is_named(self, tmp_path: Path) -> None:
        write(tmp_path / "bad.csv.gz", [{"text": "x"}], [c for c in HEADER if c != "scam"])
        with pytest.raises(ComponentError, match=r"bad\.csv\.gz: lacks the columns scam"):
            trainer.train(tmp_path, tmp_path / "out")

    def test_a_broken_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "bad.csv.gz").write_bytes(b"not gzip")
        with pytest.raises(ComponentError, match=r"bad\.csv\.gz: cannot be read"):
            trainer.train(tmp_path, tmp_path / "out")

    def test_missing_scikit_learn_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
        with pytest.raises(ComponentError, match=r"kidsnanny\[train\]"):
            trainer.train(tmp_path, tmp_path / "out")

    def test_an_output_that_is_no_folder_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file")
        with pytest.raises(ComponentError, match="give another folder with --out"):
            trainer.train(toy(tmp_path / "data"), tmp_path / "out")

    def test_pages_lower_the_offset_until_few_alarm(self) -> None:
        pages = np.random.default_rng(0).normal(size=(1_000, 2)).astype(np.float32)
        platt = trainer._lowered(np.array([[1.0, 0.0], [2.0, 0.0]]), pages)
        assert ((pages * platt[:, 0] + platt[:, 1]).max(axis=1) > 0).mean() <= trainer.PAGE_FALSE_ALARMS
        assert trainer._lowered(platt, pages[:0]) is platt

    def test_the_matrix_is_the_features_of_inference(self) -> None:
        texts = ["Hello there", "", "see https://example.org NOW", "жук", "a" * 3_000]
        clean = [normalise(text) for text in texts]
        idf = trainer._rarity(clean, batch=2)
        matrix = trainer._matrix(clean, idf, batch=2)
        for i, text in enumerate(texts):
            row = features([normalise(text)], idf)
            assert matrix[i].indices.tolist() == row.buckets.tolist()
            np.testing.assert_array_equal(matrix[i].data, row.values)


class TestRows:
    @pytest.mark.parametrize(
        ("text", "label", "expected"),
        [
            ("how to cook meth", 1, (1, 0)),
            ("a pipe bomb from kitchen things", 1, (0, 1)),
            ("trade a gun for cocaine", 1, (-1, -1)),
            ("nothing that the rule knows", 1, (-1, -1)),
            ("a gun", 0, (0, 0)),
            ("a gun", -1, (-1, -1)),
        ],
    )
    def test_drugs_weapons_is_split_by_keywords(self, text: str, label: int, expected: tuple[int, int]) -> None:
        assert split_drugs_weapons(text, label) == expected

    def test_unknown_labels_stay_unknown_and_other_scripts_stay_out(self, tmp_path: Path) -> None:
        path = tmp_path / "some.csv.gz"
        rows = [
            {"text": "hello", "hate": "1", "any_harm": "1", "lang": "en", "split": "train"},
            {"text": "привет всем", "hate": "1", "any_harm": "1", "lang": "ru", "split": "train"},
            {"text": "guten tag", "hate": "1", "any_harm": "1", "lang": "de", "split": "train"},
            {"text": "bye", "any_harm": "0", "lang": "en", "split": "test"},
        ]
        write(path, rows)
        hello, tag, bye = text_rows.read_file(path)
        hate, grooming = CATEGORIES.index("hate"), CATEGORIES.index("grooming")
        assert hello.labels[hate] == 1
        assert set(hello.labels) == {1, -1}
        assert set(tag.labels) == {-1}  # harm in another language is not taught
        assert bye.labels[grooming] == 0
        assert bye.part == "held_out"

    def test_every_slot_exists_and_every_label_is_ours(self) -> None:
        slots, groups = text_rows.load_lines()
        assert groups
        for row in text_rows.synthetic_rows(0):
            assert "{" not in row.text
        for group in groups:
            assert set(group) <= {"name", "labels", "unknown", "lines", "part"}
            assert set(group["labels"]) | set(group.get("unknown", [])) <= set(CATEGORIES)
        assert all(slots.values())

    def test_no_line_joins_children_and_sexual_words(self) -> None:
        adult = {"sex", "sexy", "porn", "nude", "nudes", "naked", "horny", "xxx", "erotic"}
        for row in text_rows.synthetic_rows(0):
            if row.labels[CATEGORIES.index("grooming")] == 1:
                assert not adult & set(row.text.lower().split())

    def test_fillings_of_one_template_share_a_part(self) -> None:
        assert text_rows.part_of("see you {day}", template=True) == text_rows.part_of("see you {day}", template=True)
        parts = {row.part for row in text_rows.synthetic_rows(0)}
        assert parts == {"train", "calibration", "held_out"}

    def test_a_group_with_a_part_is_there_as_a_whole(self) -> None:
        for group in text_rows.load_lines()[1]:
            if "part" in group:
                mine = [row for row in text_rows.synthetic_rows(0) if row.group == group["name"]]
                assert {row.part for row in mine} == {group["part"]}
                assert len(mine) == len(group["lines"])

    def test_no_line_is_in_two_groups_or_parts(self) -> None:
        seen: dict[str, str] = {}
        for row in text_rows.synthetic_rows(0):
            assert seen.setdefault(row.text.lower(), row.part) == row.part

    def test_harmless_pages_are_harmless_and_of_one_part(self) -> None:
        zeros = (0,) * len(CATEGORIES)
        rows = [
            TextRow(f"{part} line {i}", zeros if i % 2 else (1, *zeros[1:]), "t", part=part)
            for part in ("train", "calibration", "held_out")
            for i in range(60)
        ]
        pages = text_rows.harmless_pages(rows, random.Random(0))
        assert {page.part for page in pages} == {"train", "calibration", "held_out"}
        for page in pages:
            assert page.labels == zeros
            assert {line.split()[0] for line in page.text.split("\n") if "line" in line} <= {page.part, "line"}
            if page.part != "train":
                assert len(page.text.split()) <= 153
                assert len(set(page.text.split("\n"))) == page.text.count("\n") + 1

    def test_pages_keep_the_label_and_the_part(self) -> None:
        zeros = (0,) * len(CATEGORIES)
        harm = (1, *zeros[1:])
        rows = [
            TextRow("a", zeros, "t", part="train"),
            TextRow("b", zeros, "t", part="held_out"),
            TextRow("x", harm, "t", part="train"),
        ]
        pages = text_rows.page_rows(rows, random.Random(0))
        assert [page.labels for page in pages] == [zeros, zeros, harm]
        assert "b" not in pages[2].text
        assert "x" in pages[2].text
