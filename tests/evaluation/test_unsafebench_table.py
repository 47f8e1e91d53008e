"""F1 by source and category: who is counted where, and what stands beside it."""

import pytest
from sklearn.metrics import f1_score

from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.evaluation.systems.system import unmapped
from kidsnanny.evaluation.unsafebench_table import OVERALL, as_text, printed_rows, unsafebench_tables
from kidsnanny.taxonomy import UNSAFEBENCH


def line(n: int, category: str, source: str, unsafe: bool, score: float | None, **more: object) -> Prediction:
    given = {"sha256": "0" * 64, "unscored": None if score is not None else "it is damaged"} | more
    return Prediction(
        id=str(n), system="x", category=category, source=source, unsafe=unsafe, score=score, threshold=0.5, **given
    )


def silent(n: int, category: str, source: str, unsafe: bool) -> Prediction:
    return line(n, category, source, unsafe, None, unscored=unmapped("x", category))


LINES = [
    line(0, "Hate", "Laion5B", True, 0.9),
    line(1, "Hate", "Laion5B", False, 0.8),
    line(2, "Hate", "Lexica", True, 0.1),
    line(3, "Hate", "Lexica", True, 0.7),
    line(4, "Political", "Lexica", False, 0.2),
    line(5, "Political", "Lexica", True, None),
    silent(6, "Spam", "Laion5B", True),
    silent(7, "Spam", "Lexica", False),
]


def test_each_source_and_all_of_them_have_a_table_of_the_categories_in_the_papers_order() -> None:
    tables = unsafebench_tables({"x": LINES[::-1]})
    assert [one.source for one in tables] == ["", "Laion5B", "Lexica"]
    assert {one.categories for one in tables} == {("Hate", "Political", "Spam")}


def test_a_cell_is_the_f1_of_unsafe_on_its_pictures() -> None:
    by = {one.source: one.rows[0] for one in unsafebench_tables({"x": LINES})}
    for source, expected in (
        ("Laion5B", ([1, 0], [1, 1])),
        ("Lexica", ([1, 1], [0, 1])),
        ("", ([1, 0, 1, 1], [1, 1, 0, 1])),
    ):
        cell = by[source].cells["Hate"]
        assert cell
        assert cell.scores.f1.value == pytest.approx(f1_score(*expected))
        assert cell.pictures == len(expected[0])


def test_overall_is_over_the_pictures_and_not_a_mean_of_cells() -> None:
    row = unsafebench_tables({"x": LINES})[0].rows[0]
    assert row.evaluated_on == 2
    assert row.overall.scores.f1.value == pytest.approx(f1_score([1, 0, 1, 1, 0], [1, 1, 0, 1, 0]))
    assert (row.overall.pictures, row.overall.unscored) == (6, 1)


def test_what_is_not_evaluated_is_empty_and_what_failed_is_counted() -> None:
    by = {one.source: one.rows[0].cells for one in unsafebench_tables({"x": LINES})}
    assert all(cells["Spam"] is None for cells in by.values())
    failed = by["Lexica"]["Political"]
    assert failed
    assert (failed.pictures, failed.unscored, failed.scores.f1.value) == (2, 1, None)
    nothing_here = by["Laion5B"]["Political"]
    assert nothing_here
    assert nothing_here.pictures == 0


@pytest.mark.parametrize(
    ("one", "evaluated"),
    [
        (line(0, "Political", "", True, None, unscored="the system failed"), True),
        (line(0, "Sexual", "", True, None, unscored="gone", sha256=None, mapped=("nudity",)), True),
        (line(0, "Sexual", "", True, None, unscored="gone", sha256=None), False),
        (silent(0, "Sexual", "", True), False),
    ],
)
def test_a_system_that_fails_on_a_category_is_evaluated_on_it(one: Prediction, evaluated: bool) -> None:
    (table,) = unsafebench_tables({"x": [one, line(1, "Hate", "", True, 0.9)]})
    assert (table.rows[0].cells[one.category] is not None) == evaluated


@pytest.mark.parametrize("categories", [("Sexual",), ("any",), ("Sexual", "mine"), ()])
def test_other_data_have_no_such_table(categories: tuple[str, ...]) -> None:
    assert unsafebench_tables({"x": [line(n, name, "", True, 0.9) for n, name in enumerate(categories)]}) == ()


def test_the_printed_rows_are_blank_where_the_paper_is() -> None:
    rows = {(row.source, row.system): row.f1 for row in printed_rows()}
    assert len(rows) == len(printed_rows()) == 3 * 8
    for source in ("", "Laion5B", "Lexica"):
        assert rows[source, "Q16"].keys() == set(UNSAFEBENCH) - {"Sexual", "Spam"}
        assert rows[source, "SD_Filter"].keys() == rows[source, "NudeNet"].keys() == {"Sexual"}
        assert rows[source, "NSFW_Detector"].keys() == {"Harassment", "Sexual"}
        assert rows[source, "GPT-4V"].keys() == {*UNSAFEBENCH, OVERALL}
    assert rows["Laion5B", "Q16"]["Hate"] == ".641"
    assert rows["Lexica", "MultiHeaded"]["Political"] == ".744"
    assert rows["", "GPT-4V"][OVERALL] == ".709"


def test_the_text_names_what_is_absent_and_what_is_random() -> None:
    said = as_text(unsafebench_tables({"x": LINES}), {"x": " (random weights)"}, ["y"])
    assert said.count("| x (random weights) |") == said.count("| y: not evaluated |") == 3
    first = said.splitlines()
    assert first[0] == "| F1, all sources | Hate | Political | Spam | Overall |"
    assert first[2] == "| x (random weights) | .667 | – |  | .667 (of 2) |"
    assert "| Q16: published | .533 | .482 |  |  |" in first
