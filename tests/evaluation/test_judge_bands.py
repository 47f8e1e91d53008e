"""For which scores the judge is asked, learnt from labelled pictures."""

import pytest

from kidsnanny.decision import decide, judge_wanted
from kidsnanny.errors import DataError
from kidsnanny.evaluation.judge_bands import NEVER, choose_bands
from kidsnanny.inspection import ChannelSignals, Inspection, JudgeOpinion
from kidsnanny.policy import Policy
from kidsnanny.records import Box, ModelId, Signal, TextLine
from kidsnanny.taxonomy import CATEGORIES

POLICY = Policy.load("preteen")
"""Nudity: review from 0.50, block from 0.65; the judge may lower a picture's score from 0.30 to below 0.65."""
JUDGE = ModelId(name="judge")


def seen(
    *, image: float = 0.0, text: float | None = None, judge: float | None = 0.0, error: str | None = None
) -> Inspection:
    """A picture by its nudity score, its text's scam score and what the judge says of both (None: not asked)."""
    nudity = Signal(category="nudity", channel="image", source="classifier", score=image, what="a thing")
    scam = Signal(category="scam", channel="text", source="text", score=text or 0.0, what="a line")
    found = Inspection(
        source="x.png",
        image_signals=ChannelSignals(looked_for={"classifier": ("nudity",)}, signals=(nudity,)),
        text_signals=ChannelSignals(looked_for={"text": ("scam",)}, signals=(scam,)),
        text=() if text is None else (TextLine(text="send me the code", confidence=1, box=Box(0, 0, 90, 9)),),
        judge=JUDGE,
    )
    if judge is None:
        return found
    scores = dict.fromkeys(CATEGORIES, 0.0) | {"nudity" if text is None else "scam": judge}
    return found.with_opinion(
        JudgeOpinion(
            model=JUDGE,
            ages=POLICY.ages,
            question=found.question(POLICY.ages),
            scores={} if error else scores,
            error=error,
        )
    )


FREED = [(False, seen(image=0.6, judge=0.1))] * 3
"""Harmless, in the grey band, and the judge knows."""
MISSED = [(True, seen(image=0.4, judge=0.9))] * 2
"""Harmful below `review`, and the judge knows."""
FOUND = [(True, seen(text=0.25, judge=0.9))] * 4
"""Harmful text that the text model nearly misses."""
ACCUSED = [(False, seen(text=0.02, judge=0.9))] * 5
"""Harmless text of which the judge thinks ill."""
CLEAR = [(False, seen(image=0.0, judge=0.0))] * 6
"""Harmless, and nobody doubts it."""


@pytest.mark.parametrize(
    ("pictures", "most", "gain", "asked"),
    [
        (CLEAR, 1.0, 0, 0),
        (ACCUSED, 1.0, 0, 0),
        (FREED + CLEAR, 1.0, 3, 3),
        (FOUND + CLEAR, 1.0, 4, 4),
        (FOUND + ACCUSED, 1.0, 4, 4),
        (FREED + MISSED + FOUND + ACCUSED + CLEAR, 1.0, 9, 9),
        (FREED + FOUND + CLEAR, 7 / 13, 7, 7),
        (FREED + FOUND + CLEAR, 6 / 13, 4, 4),
        (FREED + FOUND + CLEAR, 3 / 13, 3, 3),
        (FREED + FOUND + CLEAR, 0.0, 0, 0),
    ],
)
def test_the_judge_is_asked_where_it_puts_most_right_and_about_no_more_than_allowed(
    pictures: list[tuple[bool, Inspection]], most: float, gain: int, asked: int
) -> None:
    found = choose_bands(pictures, POLICY, most)
    assert (found.gain, found.asked, found.pictures) == (gain, asked, len(pictures))
    low, below = POLICY.judge.image_grey
    assert found.image_grey == NEVER or low <= found.image_grey[0] < found.image_grey[1] <= below
    bands = {"escalation": "auto", "image_grey": found.image_grey, "text_asked": found.text_asked}
    policy = POLICY.model_copy(update={"judge": POLICY.judge.model_copy(update=bands)})
    assert sum(judge_wanted(one, policy) for _, one in pictures) == asked, "the bands do in a policy what they say"
    never = POLICY.model_copy(update={"judge": POLICY.judge.model_copy(update={"escalation": "never"})})
    right = [
        sum((decide(one, rules).label != "safe") == harmful for harmful, one in pictures) for rules in (never, policy)
    ]
    assert right[1] - right[0] == gain


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        ([], "There is no picture to learn from"),
        ([(True, seen(judge=None))], "x.png: the judge was not asked about it for ages 10-12; run `kidsnanny eval`"),
        (
            [(True, seen(error="it is down."))],
            "x.png: it is down; run `kidsnanny eval` with a profile that has a judge",
        ),
    ],
)
def test_without_answers_nothing_is_learnt(pictures: list[tuple[bool, Inspection]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        choose_bands(pictures, POLICY, 0.5)
