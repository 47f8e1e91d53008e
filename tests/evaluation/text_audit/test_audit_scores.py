"""What counts as flagged and held, the rates, and how sure they are."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from audited_runs import ALONE, BOTH, PEER, ours, seen, theirs
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.evaluation.metrics import Proportion
from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.evaluation.text_audit.audit_comparisons import (
    given_comparison,
    paper_comparison,
    vision_comparison,
)
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText, Judged, judged, scores, system_audit
from kidsnanny.evaluation.text_audit.resampling import by_text, estimate, rate

PICTURES = st.lists(
    st.builds(
        seen,
        st.uuids().map(str),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(["meme", "poster"]),
    ),
    max_size=20,
)


@pytest.mark.parametrize(
    ("line", "flagged", "held", "unscored"),
    [
        (ours("1", BOTH, True, True), True, True, False),
        (ours("1", BOTH, True, False), False, False, False),
        (ours("1", BOTH, True, False, "review"), False, True, False),
        (ours("1", BOTH, True, True, "review"), True, True, False),
        (ours("1", BOTH, True, False, "review", score=None), False, True, True),
        (ours("1", BOTH, True, True, score=0.1), True, True, False),
        (theirs("1", PEER, True, 0.5), True, None, False),
        (theirs("1", PEER, True, 0.49), False, None, False),
        (theirs("1", PEER, True, None), False, None, True),
    ],
)
def test_what_is_flagged_and_held(line: Prediction, flagged: bool, held: bool | None, unscored: bool) -> None:
    """Ours: a reason, whatever the score; not safe, whatever the reason. Others: the score. Unscored is no flag."""
    (found,) = judged([line], {})
    assert (found.flagged, found.held, found.unscored) == (flagged, held, unscored)


def test_a_score_that_the_judge_brought_down_is_no_flag() -> None:
    line = ours("1", BOTH, True, True, "safe")
    lowered = line.reasons[0].model_copy(update={"lowered": 0.9, "score": 0.1})
    (found,) = judged([line.model_copy(update={"reasons": (lowered,)})], {})
    assert not found.flagged


def test_look_and_topic_are_those_given_or_those_of_the_run() -> None:
    lines = [ours(name, BOTH, True, True, source="meme") for name in "ab"]
    first, second = judged(lines, {"a": AuditedText("You", "poster", "threats")})
    assert (first.look, first.topic, second.look, second.topic) == ("poster", "threats", "meme", "harassment")


@pytest.mark.parametrize(
    ("texts", "clusters"),
    [(["See you", "see  YOU\n"], 1), (["one", "two"], 2), ([None, None], 2), (["", " "], 2)],
)
def test_pictures_of_one_text_belong_together(texts: Sequence[str | None], clusters: int) -> None:
    lines = [ours(str(n), BOTH, True, True) for n in range(2)]
    about = {str(n): AuditedText(text, "", "") for n, text in enumerate(texts)}
    assert scores(judged(lines, about)).texts == clusters


def test_the_rates() -> None:
    """Four harmful pictures, of which three are flagged and one held; five harmless ones, one flagged, two held."""
    pictures = [
        *(seen(f"u{n}", True, n < 3, held=True) for n in range(4)),
        *(seen(f"s{n}", False, n < 1, held=n < 2) for n in range(5)),
    ]
    found = scores(pictures)
    rates = (found.recall, found.precision, found.false_alarms, found.held_unsafe, found.held_safe)
    assert [(one.successes, one.n) for one in rates if one] == [(3, 4), (3, 4), (1, 5), (4, 4), (2, 5)]
    assert found.f1.value == pytest.approx(0.75)
    assert (found.pictures, found.texts, found.unsafe, found.unscored) == (9, 9, 4, 0)
    for one in filter(None, rates):
        assert one.interval == Proportion.of(one.successes, one.n).wilson, "each text stands once"


def test_nothing_at_all_is_undefined() -> None:
    found = scores([])
    assert (found.recall.value, found.recall.interval, found.f1.value) == (None, None, None)


def test_other_looks_of_a_text_make_nothing_surer() -> None:
    """Ten texts, five found: shown in one look, or all alike in eight, the interval is about as wide."""
    once = scores([seen(f"{n}", True, n < 5, f"text {n}") for n in range(10)])
    often = scores([seen(f"{n} {look}", True, n < 5, f"text {n}") for n in range(10) for look in range(8)])
    assert once.recall.interval is not None
    assert often.recall.interval is not None
    width_once, width_often = (high - low for low, high in (once.recall.interval, often.recall.interval))
    assert width_often == pytest.approx(width_once, rel=0.25)
    naive = Proportion.of(40, 80).wilson
    assert naive is not None
    assert width_often > 2 * (naive[1] - naive[0])


@pytest.mark.parametrize("flagged", [True, False])
def test_all_or_none_of_several_looks_is_as_sure_as_of_so_many_texts(flagged: bool) -> None:
    found = scores([seen(f"{n} {look}", True, flagged, f"text {n}") for n in range(10) for look in range(8)])
    assert found.recall.interval == Proportion.of(10 * flagged, 10).wilson


def test_one_text_says_nothing_about_others() -> None:
    found = scores([seen(str(n), True, n < 2, "the text") for n in range(4)])
    assert (found.recall.value, found.recall.interval) == (0.5, None)


def test_the_bootstrap_has_the_width_that_is_known() -> None:
    """The mean of 400 texts' own numbers has the standard error of their deviation over 20."""
    numbers = np.random.default_rng(5).normal(0.5, 0.1, 400)
    found = estimate(by_text(range(400), [(number, 1) for number in numbers]), lambda sums: sums[..., 0] / sums[..., 1])
    assert found.bootstrap is not None
    low, high = found.bootstrap
    assert high - low == pytest.approx(2 * 1.96 * numbers.std() / 20, rel=0.1)
    assert low < found.value < high  # type: ignore[operator]


@given(PICTURES, st.randoms())
def test_the_order_of_the_pictures_changes_nothing(pictures: list[Judged], chance: random.Random) -> None:
    shuffled = chance.sample(pictures, len(pictures))
    assert system_audit("s", shuffled) == system_audit("s", pictures)


@given(PICTURES)
def test_looks_add_up_to_the_whole(pictures: list[Judged]) -> None:
    found = system_audit("s", pictures)
    for part in ("recall", "false_alarms"):
        whole, looks = getattr(found.all, part), [getattr(one, part) for one in found.by_look.values()]
        assert (whole.successes, whole.n) == (sum(one.successes for one in looks), sum(one.n for one in looks))
    rates = [found.all.recall, found.all.precision, found.all.false_alarms]
    for low, high in (one.interval for one in rates if one.interval):
        assert -1e-9 <= low <= high <= 1 + 1e-9


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8))
def test_a_rate_lies_in_its_interval(counts: list[tuple[int, int]]) -> None:
    found = rate(by_text(range(len(counts)), [(min(pair), max(pair)) for pair in counts]).reshape(-1, 2))
    if found.value is not None and found.interval:
        assert found.interval[0] - 1e-9 <= found.value <= found.interval[1] + 1e-9


class TestAgainstTheTrueText:
    def test_the_ratios(self) -> None:
        """On the text 8 of 10 are found with 2 false alarms, in the picture 6 with 2."""
        given = [seen(f"u{n}", True, n < 8) for n in range(10)] + [seen(f"s{n}", False, n < 2) for n in range(10)]
        read = [seen(f"u{n}", True, n < 6) for n in range(10)] + [seen(f"s{n}", False, n < 2) for n in range(10)]
        found = given_comparison(BOTH, read, given).all
        assert found.recall.value == pytest.approx(6 / 8)
        assert found.precision.value == pytest.approx((6 / 8) / (8 / 10))
        assert found.f1.value == pytest.approx((12 / 18) / (16 / 20))
        low, high = found.recall.bootstrap or (0, 0)
        assert 0.3 < low < 0.75 < high <= 1

    def test_the_looks_have_their_own(self) -> None:
        read = [seen("a", True, True, "t", "meme"), seen("b", True, False, "t", "poster")]
        found = given_comparison(BOTH, read, [seen("a", True, True, "t"), seen("b", True, True, "t")])
        assert {look: one.recall.value for look, one in found.by_look.items()} == {"meme": 1.0, "poster": 0.0}

    def test_pictures_that_only_one_saw_do_not_count(self) -> None:
        found = given_comparison(BOTH, [seen("a", True, True), seen("b", True, False)], [seen("a", True, True)])
        assert (found.all.pictures, found.all.recall.value) == (1, 1.0)

    def test_where_both_agree_there_is_no_interval_and_where_nothing_is_found_no_ratio(self) -> None:
        same = [seen(str(n), True, n < 3) for n in range(5)]
        assert given_comparison(BOTH, same, same).all.recall.bootstrap is None
        none = [seen(str(n), True, False) for n in range(5)]
        assert given_comparison(BOTH, same, none).all.recall.value is None


class TestAgainstLookingAlone:
    def test_the_gain(self) -> None:
        """Twelve texts in two looks: reading finds ten of them in both, looking finds one, in one look."""
        read = [seen(f"{n} {look}", True, n < 10, f"t{n}") for n in range(12) for look in range(2)]
        look = [seen(f"{n} {look}", True, (n, look) == (11, 0), f"t{n}") for n in range(12) for look in range(2)]
        harmless = [seen(f"s{n}", False, n < 3) for n in range(10)]
        found = vision_comparison([*read, *harmless], [*look, *(seen(f"s{n}", False, False) for n in range(10))])
        assert found.recall_gain.value == pytest.approx((20 - 1) / 24)
        assert found.recall_gain.bootstrap is not None
        assert found.recall_gain.bootstrap[0] > 0.4
        assert (found.only_multimodal, found.only_vision) == (20, 1)
        assert (found.texts_gained, found.texts_lost) == (10, 1)
        assert found.p_pictures < 1e-4 < found.p_texts < 0.02, "twelve texts are no 24"
        assert (found.false_alarms.successes, found.false_alarms_vision.successes) == (3, 0)

    def test_no_gain(self) -> None:
        same = [seen(str(n), True, n < 2) for n in range(4)]
        found = vision_comparison(same, same)
        assert (found.recall_gain.value, found.p_pictures, found.p_texts) == (0.0, 1.0, 1.0)


def test_the_papers_figures() -> None:
    found = paper_comparison()
    assert (found.recall.successes, found.recall.n) == (25, 25)
    assert (found.false_alarms.successes, found.false_alarms.n) == (8, 19)


def test_rows_of_systems_without_labels_hold_nothing() -> None:
    found = system_audit(PEER, judged([theirs("1", PEER, True, 0.9), theirs("2", PEER, False, None)], {}))
    assert (found.all.held_unsafe, found.all.held_safe, found.all.unscored) == (None, None, 1)
    assert found.system != ALONE
