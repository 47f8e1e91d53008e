import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.decision import combine, decide, flagged, fuse, judge_wanted
from kidsnanny.errors import PolicyError
from kidsnanny.inspection import ChannelSignals, Inspection, JudgeOpinion
from kidsnanny.policy import BUILT_IN, ImageRules, Policy
from kidsnanny.records import Box, Channel, ModelId, ModelKind, NotInspected, Signal, TextLine
from kidsnanny.taxonomy import CATEGORIES, Category
from kidsnanny.unread_text import unreadable_text
from kidsnanny.verdict import Verdict

PRETEEN = Policy.load("preteen")
STRICT = PRETEEN.model_copy(update={"on_failure": "unsafe"})
LOST = (NotInspected(part="picture", reason="it does not decode"),)

# scores, what was not inspected -> label, action (preteen: nudity 0.50/0.65 block, self_harm 0.45/0.75 support)
TABLE = [
    ({"nudity": {"image": 0.0}}, (), "safe", "show"),
    ({"nudity": {"image": 0.49}}, (), "safe", "show"),
    ({"nudity": {"image": 0.50}}, (), "review", "warn"),
    ({"nudity": {"image": 0.65}}, (), "unsafe", "block"),
    ({"nudity": {"image": 0.10, "text": 0.90}}, (), "unsafe", "block"),
    ({"nudity": {"image": 0.90, "text": 0.10}}, (), "unsafe", "block"),
    ({"self_harm": {"text": 0.46}}, (), "review", "support"),
    ({"self_harm": {"text": 0.80}}, (), "unsafe", "support"),
    ({"self_harm": {"text": 0.80}, "nudity": {"image": 0.9}}, (), "unsafe", "support"),
    ({"nudity": {"image": 0.0}}, LOST, "review", "warn"),
    ({"nudity": {"image": 0.9}}, LOST, "unsafe", "block"),
    ({"self_harm": {"text": 0.46}}, LOST, "review", "support"),
    ({}, LOST, "review", "warn"),
    ({}, (), "review", "warn"),
]


def with_rules(policy: Policy, **actions: str) -> Policy:
    """The policy with other actions of some categories."""
    rules = {category: policy.categories[category].model_copy(update={"action": a}) for category, a in actions.items()}
    return policy.model_copy(update={"categories": policy.categories | rules})


EVERYTHING_BUT_SCAM = {category: "ignore" for category in CATEGORIES if category != "scam"}
# what is ignored, scores, what was not inspected -> label, action
IGNORED = [
    (("nudity",), {"nudity": {"image": 1.0}, "gore": {"image": 0.0}}, (), "safe", "show"),
    (("nudity",), {"nudity": {"image": 1.0, "text": 1.0}, "gore": {"image": 0.0}}, (), "safe", "show"),
    (("nudity",), {"nudity": {"image": 1.0}, "gore": {"image": 0.5}}, (), "review", "warn"),
    (("nudity",), {"nudity": {"image": 1.0}, "sexual": {"image": 0.9}}, (), "unsafe", "block"),
    (("nudity",), {"nudity": {"image": 1.0}, "self_harm": {"text": 0.5}}, (), "review", "support"),
    (("self_harm",), {"self_harm": {"text": 1.0}, "gore": {"image": 0.0}}, (), "safe", "show"),
    (("self_harm",), {"self_harm": {"text": 1.0}, "gore": {"image": 0.6}}, (), "review", "warn"),
    (("self_harm",), {"self_harm": {"text": 1.0}, "gore": {"image": 0.9}}, (), "unsafe", "block"),
    (("nudity",), {"nudity": {"image": 1.0}, "gore": {"image": 0.0}}, LOST, "review", "warn"),
    (("self_harm",), {"self_harm": {"text": 1.0}, "gore": {"image": 0.0}}, LOST, "review", "warn"),
    (("nudity",), {"nudity": {"image": 0.0}}, (), "review", "warn"),  # nothing was looked for that counts
    (tuple(EVERYTHING_BUT_SCAM), {"nudity": {"image": 0.0}, "hate": {"text": 0.0}}, (), "review", "warn"),
    (tuple(EVERYTHING_BUT_SCAM), {"nudity": {"image": 1.0}, "scam": {"text": 0.0}}, (), "safe", "show"),
    (tuple(EVERYTHING_BUT_SCAM), {"nudity": {"image": 1.0}, "scam": {"text": 0.9}}, (), "unsafe", "block"),
]
FAILURES = [
    pytest.param(NotInspected(part=part, reason=reason), id=reason)
    for part, reason in [
        ("picture", "corrupt"),
        ("frames", "frames past the cap"),
        ("image", "the detector died"),
        ("text", "the OCR died"),
        ("text", "the text model died"),
        ("text", "text in a language the model does not know"),
        ("text", "text could not be read"),
    ]
]


@pytest.mark.parametrize(("scores", "lost", "label", "action"), TABLE)
def test_decision_table(scores: dict, lost: tuple, label: str, action: str) -> None:
    decision = combine(PRETEEN, scores, lost)
    assert (decision.label, decision.action) == (label, action)


@pytest.mark.parametrize(("ignored", "scores", "lost", "label", "action"), IGNORED)
def test_an_ignored_category_decides_nothing(
    ignored: tuple[Category, ...], scores: dict, lost: tuple, label: str, action: str
) -> None:
    policy = with_rules(PRETEEN, **dict.fromkeys(ignored, "ignore"))
    decision = combine(policy, scores, lost)
    assert (decision.label, decision.action) == (label, action)
    assert decision.detail == combine(PRETEEN, scores, lost).detail


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_no_failure_ends_in_safe(name: str, failure: NotInspected) -> None:
    clean = {category: {"image": 0.0, "text": 0.0} for category in CATEGORIES}
    assert combine(Policy.load(name), clean, [failure]).label == "review"
    assert combine(STRICT, clean, [failure]).label == "unsafe"
    assert combine(STRICT, clean, [failure]).action == "block"


channel_scores = st.dictionaries(st.sampled_from(["image", "text", "judge"]), st.floats(0, 1), min_size=1)
all_scores = st.dictionaries(st.sampled_from(CATEGORIES), channel_scores)


@given(all_scores, st.sampled_from(BUILT_IN), st.sampled_from(CATEGORIES), st.floats(0, 1))
def test_more_evidence_never_makes_a_picture_safer(scores: dict, name: str, category: str, score: float) -> None:
    order = ["safe", "review", "unsafe"]
    policy = Policy.load(name)
    raised = {
        **scores,
        category: {**scores.get(category, {}), "text": max(score, scores.get(category, {}).get("text", 0))},
    }
    if scores:
        assert order.index(combine(policy, raised).label) >= order.index(combine(policy, scores).label)
    assert combine(policy, raised, LOST).label != "safe"


@given(all_scores, st.sets(st.sampled_from(CATEGORIES), max_size=len(CATEGORIES) - 1), st.sampled_from(BUILT_IN))
def test_ignoring_is_as_if_nothing_had_been_found(scores: dict, ignored: set[Category], name: str) -> None:
    policy = with_rules(Policy.load(name), **dict.fromkeys(ignored, "ignore"))
    silenced = {category: dict.fromkeys(by, 0.0) if category in ignored else by for category, by in scores.items()}
    ours, theirs = combine(policy, scores), combine(Policy.load(name), silenced)
    if set(scores) - ignored:
        assert (ours.label, ours.action, ours.lowered) == (theirs.label, theirs.action, theirs.lowered)
    else:
        assert ours.label == "review"


@given(all_scores)
def test_the_younger_the_stricter(scores: dict) -> None:
    order = ["safe", "review", "unsafe"]
    child, preteen, teen = (order.index(combine(Policy.load(name), scores).label) for name in BUILT_IN)
    assert child >= preteen >= teen


def test_detail_says_who_decided() -> None:
    detail = combine(PRETEEN, {"sexual": {"image": 0.2, "text": 0.7}}).detail["sexual"]
    assert (detail.image, detail.text, detail.judge, detail.final, detail.decided_by) == (0.2, 0.7, None, 0.7, "text")


@pytest.mark.parametrize(
    ("text", "confidence", "aspect", "share", "counts"),
    [
        ("vel oe tt o ve", 0.6, 7, 0.5, True),
        ("vel oe tt o ve", 0.6, 7, 0.001, False),
        ("vel oe tt o ve", 0.9, 7, 0.5, False),
        ("", 0.0, 7, 0.5, True),
        ("", 0.99, 7, 0.5, True),
        ("3i", 0.6, 7, 0.5, True),
        ("3i", 0.99, 7, 0.5, True),
        ("a  b", 0.99, 7, 0.5, True),
        ("no", 0.99, 2.6, 0.5, False),
        ("00", 0.6, 1.1, 0.5, False),
        ("", 0.0, 1.1, 0.5, False),
    ],
)
def test_unreadable_text_counts_above_the_floors(
    text: str, confidence: float, aspect: float, share: float, counts: bool
) -> None:
    line = TextLine(text=text, confidence=confidence, box=Box(0, 0, 9, 9), frame=3, aspect=aspect, share=share)
    missed = unreadable_text(PRETEEN, [line])
    assert [(m.part, m.frame) for m in missed] == ([("text", 3)] if counts else [])


@pytest.mark.parametrize(("count", "aspect", "counts"), [(2, 1.6, False), (3, 1.6, True), (9, 1.1, False)])
def test_short_unread_lines_count_in_company(count: int, aspect: float, counts: bool) -> None:
    line = TextLine(text="", confidence=0, box=Box(0, 0, 9, 9), aspect=aspect, share=0.05)
    assert bool(unreadable_text(PRETEEN, [line] * count)) == counts


FIGURES_AND_SCENES = [
    # what was read of a line, its confidence and share, further facts -> what becomes of it
    ("19:41日80", 0.83, 0.02, {}, "read"),  # the top of a screen
    ("123", 0.99, 0.02, {"aspect": 20}, "unread"),  # of what stands beside the figures nothing was read
    ("SOLO4U", 0.83, 0.02, {}, "unread"),
    ("01 02 1999 03", 0.6, 0.02, {}, "read"),
    ("", 0.0, 0.02, {"confirmed": False}, "read"),  # fur, a fence
    ("", 0.0, 0.02, {}, "unread"),
    ("", 0.0, 0.02, {"even_ground": False}, "minor"),  # a label in a photograph
    ("", 0.0, 0.02, {"even_ground": False, "aspect": 9}, "unread"),  # a sentence over one
    ("", 0.0, 0.05, {"even_ground": False}, "unread"),  # large letters over a photograph
]


@pytest.mark.parametrize(("text", "confidence", "share", "facts", "expected"), FIGURES_AND_SCENES)
def test_what_was_not_read_counts_if_it_may_be_a_message(
    text: str, confidence: float, share: float, facts: dict[str, bool], expected: str
) -> None:
    line = TextLine(text=text, confidence=confidence, box=Box(0, 0, 40, 9), share=share, **facts)
    missed = unreadable_text(PRETEEN, [line])
    assert [one.minor for one in missed] == {"read": [], "minor": [True], "unread": [False]}[expected]


def test_on_a_receipt_a_line_that_was_not_read_is_minor() -> None:
    box, texts = Box(0, 0, 60, 9), ["MILK TEA 2 4.00"] * 20
    read = [TextLine(text=text, confidence=1, box=box, share=0.01) for text in texts]
    (missed,) = unreadable_text(PRETEEN, [*read, TextLine(text="", confidence=0, box=box, share=0.02)])
    assert missed.minor


@pytest.mark.parametrize(("minor", "label"), [("note", "safe"), ("review", "review")])
def test_a_policy_says_whether_a_label_counts(minor: str, label: str) -> None:
    policy = PRETEEN.model_copy(update={"text": PRETEEN.text.model_copy(update={"minor": minor})})
    sign = NotInspected(part="text", reason="text in Thai script", frame=0, minor=True)
    said = ChannelSignals(looked_for={"text": ("scam",)}, not_inspected=(sign,))
    verdict = decide(Inspection(source="x.png", text_signals=said), policy)
    assert verdict.label == label
    assert (verdict.noted, verdict.not_inspected) == (((sign,), ()) if minor == "note" else ((), (sign,)))
    assert ("Noted: text of frame 0: text in Thai script." in str(verdict)) == (minor == "note")


def test_unread_lines_of_different_frames_are_not_added_up() -> None:
    lines = [TextLine(text="", confidence=0, box=Box(0, 0, 90, 9), frame=frame, share=0.006) for frame in (0, 1)]
    assert not unreadable_text(PRETEEN, lines)


def test_without_an_aspect_the_box_says_it_and_without_a_share_all_of_the_frame_counts() -> None:
    for box, counts in ((Box(0, 0, 60, 9), True), (Box(0, 0, 9, 60), True), (Box(0, 0, 20, 19), False)):
        assert bool(unreadable_text(PRETEEN, [TextLine(text="", confidence=0, box=box)])) == counts


def test_a_users_file_says_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('name = "ours"\nbase = "teen"\n[categories]\nscam = { review = 0.2 }\n')
    ours, teen = Policy.load(path), Policy.load("teen")
    assert ours.categories["scam"].review == 0.2
    assert ours.categories["scam"].block == teen.categories["scam"].block
    assert ours.categories["hate"] == teen.categories["hate"]
    assert ours.version != teen.version


def test_a_category_is_switched_off_without_thresholds(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    for rule in ('action = "ignore"', 'action = "ignore"\nreview = 0.2\nblock = 0.3'):
        path.write_text(f'name = "ours"\nbase = "teen"\n[categories.scam]\n{rule}\n')
        assert Policy.load(path).ignored == ("scam",)
    assert Policy.load("teen").ignored == ()


BAD_FILES = [
    ("name = 'x'", "base"),
    ("name = 'x'\nbase = 'nobody'", "base"),
    ("name = ", "cannot be read"),
    ("name = 'x'\nbase = 'teen'\ncolour = 'red'", "colour"),
    ("name = 'x'\nbase = 'teen'\non_failure = 'allow'", "on_failure"),
    ("name = 'x'\nbase = 'teen'\n[categories]\nnews = { review = 0.1, block = 0.2 }", "news"),
    ("name = 'x'\nbase = 'teen'\n[categories]\nscam = { review = 0.9, block = 0.2 }", "above block"),
    ("name = 'x'\nbase = 'teen'\n[categories]\nscam = { block = 2.0 }", "scam.block"),
    ("name = 'x'\nbase = 'teen'\n[categories]\nscam = { when = 1 }", "scam.when"),
    ("name = 'x'\nbase = 'teen'\n[text]\narea = 1.0", "text.area"),
    ('name = "x\\u001b[31m"\nbase = "teen"', "name"),
    ("name = 'x'\nbase = 'teen'\n[text]\nnoise = 1.0", "text.noise"),
    (
        "name = 'x'\nbase = 'teen'\n[categories]\n" + "\n".join(f"{c}.action = 'ignore'" for c in CATEGORIES),
        "it ignores every category, so nothing would be looked for",
    ),
]
ALL_WRONG = """\
colour = "red"
base = "teeen"
on_failure = "allow"
[text]
reed = 0.9
minor = "no"
[categories.nudty]
review = 0.2
[categories.scam]
review = 0.9
block = 0.2
[judge]
image_grey = [
  0.9,
  0.2,
]
"""
EACH_FAULT = [
    "line 1: colour: there is no such key (there are name, base, ages, on_failure, image, text, judge, categories)",
    "line 2: base: it is 'teeen', expected 'child', 'preteen' or 'teen'",
    "line 3: on_failure: it is 'allow', expected 'review' or 'unsafe'",
    "line 5: text.reed: there is no such key (did you mean read?)",
    "line 6: text.minor: it is 'no', expected 'note' or 'review'",
    "line 7: categories.nudty: there is no such key (did you mean nudity?)",
    "line 9: categories.scam: review (0.9) is above block (0.2)",
    "line 13: judge.image_grey: it begins at 0.9 and ends below it, at 0.2",
]


@pytest.mark.parametrize(("text", "says"), BAD_FILES)
def test_a_bad_file_is_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(PolicyError) as caught:
        Policy.load(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(ALL_WRONG)
    with pytest.raises(PolicyError) as caught:
        Policy.load(path)
    assert str(caught.value) == f"{path}: {'; '.join(EACH_FAULT)}; correct them."
    assert caught.value.faults == tuple(f"{path}: {fault}; correct it." for fault in EACH_FAULT)
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults


def test_a_file_without_a_base_says_which_there_are(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('name = "ours"\n')
    with pytest.raises(PolicyError) as caught:
        Policy.load(path)
    assert str(caught.value) == f"{path}: base: it is missing (it is one of child, preteen, teen); add it."


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(PolicyError, match="no such policy"):
        Policy.load("toddler")


def test_a_folder_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="it is a folder; name the TOML file in it"):
        Policy.load(tmp_path)


@pytest.mark.parametrize("policy", [9, None])
def test_another_type_is_no_policy(policy: object) -> None:
    with pytest.raises(TypeError, match="expected a name, a TOML file's path or a Policy"):
        Policy.load(policy)


# what each kind of model says of one category (None: it does not look for it) -> the score by each rule
FUSION = [
    ((0.8,), None, {"max": 0.8, "mean": 0.8, "min": 0.8, "agreement": 0.8}),
    (None, (0.3,), {"max": 0.3, "mean": 0.3, "min": 0.3, "agreement": 0.3}),
    ((0.8,), (0.4,), {"max": 0.8, "mean": 0.6, "min": 0.4, "agreement": 0.8 ** (1 + 3 * 0.2)}),  # 0.8 of the support
    ((0.8,), (0.15,), {"max": 0.8, "mean": 0.475, "min": 0.15, "agreement": 0.8 ** (1 + 3 * 0.7)}),
    ((0.8,), (), {"max": 0.8, "mean": 0.4, "min": 0.0, "agreement": 0.8**4}),  # it looked and found nothing
    ((0.02,), (0.72,), {"max": 0.72, "mean": 0.37, "min": 0.02, "agreement": 0.72 ** (1 + 3 * 0.96)}),
    ((1.0,), (), {"max": 1.0, "mean": 0.5, "min": 0.0, "agreement": 1.0}),
    ((0.1, 0.9, 0.2), (0.3, 0.7), {"max": 0.9, "mean": 0.8, "min": 0.7, "agreement": 0.9}),  # the loudest of each kind
    ((), (), {"max": 0.0, "mean": 0.0, "min": 0.0, "agreement": 0.0}),
]


def image_signals(*found: tuple[ModelKind, Category, float, int], **looked_for: tuple[Category, ...]) -> ChannelSignals:
    """What models of some kinds say: kind, category, score, frame."""
    signals = (
        Signal(category=category, channel="image", source=kind, score=score, what="x", frame=frame)
        for kind, category, score, frame in found
    )
    return ChannelSignals.model_validate({"looked_for": looked_for, "signals": tuple(signals)})


@pytest.mark.parametrize(("classifier", "detector", "scores"), FUSION)
def test_stage_1s_score_is_fused_by_the_policys_rule(
    classifier: tuple[float, ...] | None, detector: tuple[float, ...] | None, scores: dict[str, float]
) -> None:
    kinds = {"classifier": classifier, "detector": detector}
    said = image_signals(
        *((kind, "nudity", score, 0) for kind, found in kinds.items() for score in found or ()),
        **{kind: ("nudity",) for kind, found in kinds.items() if found is not None},
    )
    for rule, score in scores.items():
        policy = PRETEEN.model_copy(update={"image": ImageRules(fusion=rule)})
        assert fuse(policy, said, "nudity") == pytest.approx(score)


@pytest.mark.parametrize(
    ("found", "category", "score"),
    [
        (
            (("classifier", "sexual", 0.8, 0), ("detector", "nudity", 0.5, 0)),
            "sexual",
            0.8,
        ),  # it supports
        ((("classifier", "sexual", 0.8, 0), ("detector", "nudity", 0.5, 1)), "sexual", 0.8**4),  # not of another frame
        ((("classifier", "gore", 0.8, 0),), "gore", 0.8),  # nobody else looks for it
        ((("classifier", "gore", 0.8, 0), ("detector", "nudity", 0.9, 0)), "gore", 0.8),
    ],
)
def test_agreement_is_of_related_categories_in_one_frame(
    found: tuple[tuple[ModelKind, Category, float, int], ...], category: Category, score: float
) -> None:
    said = image_signals(*found, classifier=("sexual", "nudity", "gore"), detector=("nudity",))
    assert fuse(PRETEEN, said, category) == pytest.approx(score)


def test_the_rule_is_the_users_to_choose(tmp_path: Path) -> None:
    file = tmp_path / "careful.toml"
    file.write_text('name = "careful"\nbase = "child"\n[image]\nfusion = "min"\n')
    assert Policy.load(file).image.fusion == "min"
    assert {Policy.load(name).image.fusion for name in BUILT_IN} == {"agreement"}


def said(channel: Channel, *scores: tuple[Category, float], also: tuple[Category, ...] = ()) -> ChannelSignals:
    kind: ModelKind = "classifier" if channel == "image" else "text"
    signals = tuple(
        Signal(category=category, channel=channel, source=kind, score=score, what="a thing")
        for category, score in scores
    )
    looked_for = {kind: (*(category for category, _ in scores), *also)}
    return ChannelSignals.model_validate({"looked_for": looked_for, "signals": signals})


SCAM = Inspection(
    source="a chat",
    text=(TextLine(text="send me the code", confidence=1, box=Box(0, 0, 90, 9)),),
    text_signals=said("text", ("scam", 0.95), also=("hate",)),
)


def test_what_was_found_of_an_ignored_category_is_told_and_is_no_reason() -> None:
    minded, ignoring = decide(SCAM, PRETEEN), decide(SCAM, with_rules(PRETEEN, scam="ignore"))
    assert (minded.label, minded.ignored) == ("unsafe", ())
    assert (ignoring.label, ignoring.action, ignoring.reasons) == ("safe", "show", ())
    assert ignoring.ignored == ("scam",)
    assert ignoring.scores == minded.scores
    assert ignoring.detail == minded.detail
    assert ignoring.risk(("scam",)) == ignoring.risk() == 0.95
    assert ignoring.coverage.keys() == minded.coverage.keys() == {"scam", "hate"}
    assert ignoring.provenance.thresholds.keys() == {"hate"}
    assert flagged(ignoring) == ()
    assert "for hate, scam in its text" in ignoring.coverage_text
    assert "Ignored by this policy: scam." in str(ignoring)
    assert "Ignored" not in str(minded)
    assert Verdict.from_json(ignoring.model_dump_json()) == ignoring


def test_how_much_is_missed_of_an_ignored_category_is_of_no_interest() -> None:
    signals = SCAM.text_signals
    assert signals
    weak = SCAM.model_copy(update={"text_signals": signals.model_copy(update={"recall": {"scam": ((0.5, 0.3),)}})})
    assert "3 in 10 of scam" in decide(weak, PRETEEN).coverage_text
    assert "3 in 10" not in decide(weak, with_rules(PRETEEN, scam="ignore")).coverage_text


def test_a_verdict_that_was_saved_before_says_that_nothing_is_ignored() -> None:
    saved = json.loads(decide(SCAM, PRETEEN).model_dump_json())
    del saved["ignored"]
    assert Verdict.from_json(json.dumps(saved)) == decide(SCAM, PRETEEN)


def test_a_picture_in_which_only_ignored_things_were_looked_for_is_not_inspected() -> None:
    nobody = Inspection(source="x.png", image_signals=said("image", ("nudity", 0.1)))
    verdict = decide(nobody, with_rules(PRETEEN, nudity="ignore"))
    assert verdict.label == "review"
    (missed,) = verdict.not_inspected
    assert str(missed) == "image: the models look only for what this policy ignores"


def test_what_could_not_be_inspected_stays_so_whatever_is_ignored() -> None:
    verdict = decide(
        SCAM.model_copy(update={"not_inspected": LOST}), with_rules(PRETEEN, **EVERYTHING_BUT_SCAM | {"hate": "block"})
    )
    assert verdict.not_inspected == LOST


@pytest.mark.parametrize(("category", "asked"), [("gore", True), ("nudity", False)])
def test_the_judge_is_not_asked_because_of_an_ignored_category(category: Category, asked: bool) -> None:
    policy = with_rules(PRETEEN, nudity="ignore")
    unsure = said("image", (category, 0.4), also=("gore", "nudity"))
    inspection = Inspection(source="x.png", image_signals=unsure, judge=ModelId(name="judge"))
    assert judge_wanted(inspection, policy) == asked
    assert judge_wanted(inspection, PRETEEN)


def test_the_judge_brings_nothing_about_an_ignored_category_into_the_reasons() -> None:
    inspection = Inspection(
        source="x.png",
        image_signals=said("image", ("nudity", 0.4), ("gore", 0.4)),
        judge=ModelId(name="judge"),
    )
    asked = inspection.question(PRETEEN.ages)
    scores: dict[Category, float] = {"nudity": 0.0, "gore": 0.0, "scam": 0.9}
    opinion = JudgeOpinion(
        ages=PRETEEN.ages,
        question=asked,
        model=ModelId(name="judge"),
        scores=scores,
        explained=("scam",),
        explanation="It asks for a code.",
    )
    inspection = inspection.with_opinion(opinion)
    verdict = decide(inspection, with_rules(PRETEEN, nudity="ignore", scam="ignore"))
    assert [(reason.category, reason.lowered) for reason in verdict.reasons] == [("gore", 0.4)]
    assert (verdict.label, verdict.explanation, verdict.scores["scam"]) == ("safe", None, 0.9)
    assert decide(inspection, PRETEEN).explanation == "It asks for a code."


GREY = Inspection(
    source="x.png", image_signals=said("image", ("sexual", 0.6), ("gore", 0.6)), judge=ModelId(name="judge")
)


@pytest.mark.parametrize("authority", ["asymmetric", "judge"])
@pytest.mark.parametrize(
    ("lowers", "label"), [(CATEGORIES, "safe"), (("sexual",), "review"), (("sexual", "gore"), "safe"), ((), "review")]
)
def test_a_judge_whose_low_scores_mean_nothing_lowers_nothing(
    lowers: tuple[Category, ...], label: str, authority: str
) -> None:
    policy = Policy.model_validate(
        PRETEEN.model_dump() | {"judge": PRETEEN.judge.model_dump() | {"authority": authority}}
    )
    low = JudgeOpinion(
        model=ModelId(name="judge"),
        ages=policy.ages,
        question=GREY.question(policy.ages),
        scores=dict.fromkeys(CATEGORIES, 0.1),
        lowers=lowers,
    )
    verdict = decide(GREY.with_opinion(low), policy)
    assert verdict.label == label
    assert {reason.category for reason in verdict.reasons if reason.lowered} == {"sexual", "gore"} & set(lowers)
    high = low.model_copy(update={"scores": low.scores | {"scam": 0.95}})
    assert decide(GREY.with_opinion(high), policy).label == "unsafe", "it raises whatever it may lower"


@pytest.mark.parametrize(
    ("band", "asked"), [((0, 1), True), ((0, 0.95), False), ((0.9, 1), True), ((0.95, 0.96), True), ((0, 0), False)]
)
def test_a_text_is_asked_about_if_its_highest_score_is_in_the_band(band: tuple[float, float], asked: bool) -> None:
    rules = PRETEEN.judge.model_copy(update={"text_asked": band})
    policy = PRETEEN.model_copy(update={"judge": rules})
    judged = SCAM.model_copy(update={"judge": ModelId(name="judge")})
    assert judge_wanted(judged, policy) == asked
    assert not judge_wanted(judged.model_copy(update={"text": ()}), policy)
    sure = judged.model_copy(update={"text_signals": said("text", ("scam", 1.0))})
    assert judge_wanted(sure, policy) == (band[1] == 1), "a band that ends at 1 holds it"
