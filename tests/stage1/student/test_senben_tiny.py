"""The student that ships: what it was trained for, on scenes that it has never seen."""

import pytest

from kidsnanny import Pipeline
from kidsnanny.evaluation.graphs.graph_metrics import score
from kidsnanny.models.cards import cards
from kidsnanny.stage1.scene_graphs import SceneGraphs
from kidsnanny.stage1.scene_graphs import load_student as named_student
from kidsnanny.stage1.student.student import Student
from kidsnanny.training.student.scenes import VOCABULARY, scene

pytestmark = pytest.mark.torch
FIRST = 3_000_000_000


@pytest.fixture(scope="module")
def tiny() -> Student:
    return named_student("senben-tiny")


def test_it_describes_scenes_it_has_not_seen(tiny: Student) -> None:
    unseen = [scene(FIRST + n, 128) for n in range(60)]
    graphs = tiny([drawn.image for drawn in unseen])
    found = score([(drawn.graph, graph) for drawn, graph in zip(unseen, graphs, strict=True)], VOCABULARY)
    assert found.tag_f1.value > 0.9
    assert found.graph.objects.recall.value > 0.8
    assert found.graph.f1.value > 0.7


def test_the_verdict_follows_the_planted_relation(tiny: Student) -> None:
    pipeline = Pipeline("senben", stage1=SceneGraphs(tiny), stage2=None)
    for seed in range(FIRST, FIRST + 5):
        verdict = pipeline(scene(seed, 128, relation=("man", "hitting", "woman")).image)
        assert verdict.label == "unsafe"
        (why,) = [r for r in verdict.reasons if "hitting" in r.what and r.what.startswith("man")][:1]
        assert why.category == "violence"
        assert why.box is not None
        hug = pipeline(scene(seed, 128, relation=("man", "hugging", "woman")).image)
        assert not any("hitting" in reason.what for reason in hug.reasons)
        assert hug.label != "safe"  # it knows drawings alone, and says so
        assert "know scenes that kidsnanny drew and nothing else" in str(hug)


def test_it_says_what_it_was_trained_on(tiny: Student) -> None:
    assert tiny.settings.trained_on == "generated scenes of 128 pixels: comic drawings, no photographs"
    assert "nothing else" in cards()["senben-tiny"].what
