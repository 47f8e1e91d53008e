import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.records import Box, Detection, VisualFindings
from kidsnanny.stage1.serialize import MAX_CHARACTERS, parse, render
from kidsnanny.weights import cards

sides = st.integers(0, 20_000)
models = st.sampled_from(["nudenet-320n", "marqo-nsfw-384"])
detection = models.flatmap(
    lambda model: st.builds(
        Detection,
        label=st.sampled_from(sorted(cards()[model].labels)),
        score=st.integers(0, 100).map(lambda percent: percent / 100),
        box=st.none() | st.builds(Box, sides, sides, sides, sides),
        frame=st.integers(0, 299),
        model=st.sampled_from([model, ""]),
    )
)
findings = st.builds(
    VisualFindings,
    width=st.integers(1, 30_000),
    height=st.integers(1, 30_000),
    frames=st.integers(1, 300),
    models=st.lists(st.from_regex(r"[a-z0-9.-]{1,20}@[0-9a-f]{1,12}", fullmatch=True), max_size=3).map(tuple),
    detections=st.lists(detection, max_size=60).map(tuple),
)


def test_golden() -> None:
    seen = VisualFindings(
        width=1280,
        height=720,
        frames=12,
        models=("marqo-nsfw-384@0123456789ab", "nudenet-320n@c15d8273adad"),
        detections=(
            Detection(label="FACE_FEMALE", score=0.912, box=Box(80, 10, 150, 90), model="nudenet-320n"),
            Detection(label="BUTTOCKS_EXPOSED", score=0.5, box=Box(12, 40, 220, 310), frame=11, model="nudenet-320n"),
            Detection(label="SFW", score=0.2, model="marqo-nsfw-384"),
            Detection(label="NSFW", score=0.8, model="marqo-nsfw-384"),
        ),
    )
    assert render(seen) == (
        "picture 1280x720, 12 frames screened by marqo-nsfw-384@0123456789ab+nudenet-320n@c15d8273adad:\n"
        "- NSFW 0.80 overall by marqo-nsfw-384\n"
        "- BUTTOCKS_EXPOSED 0.50 at 12,40,220,310 in frame 11 by nudenet-320n\n"
        "- FACE_FEMALE 0.91 at 80,10,150,90 by nudenet-320n\n"
        "- SFW 0.20 overall by marqo-nsfw-384"
    )


def test_nothing_found_is_said() -> None:
    assert (
        render(VisualFindings(width=4, height=3, frames=1)) == "picture 4x3, 1 frame screened by nobody: nothing found"
    )


@given(findings)
def test_round_trip(seen: VisualFindings) -> None:
    text = render(seen)
    assert len(text) <= MAX_CHARACTERS
    parsed = parse(text)
    assert len(parsed.findings.detections) + parsed.omitted == len(seen.detections)
    assert parsed.findings.model_copy(update={"detections": ()}) == seen.model_copy(update={"detections": ()})
    assert set(parsed.findings.detections) <= set(seen.detections)
    if not parsed.omitted:
        assert sorted(map(repr, parsed.findings.detections)) == sorted(map(repr, seen.detections))


@given(findings, st.randoms())
def test_order_of_detections_does_not_matter(seen: VisualFindings, random: object) -> None:
    shuffled = list(seen.detections)
    random.shuffle(shuffled)
    assert render(seen.model_copy(update={"detections": tuple(shuffled)})) == render(seen)


def test_a_crowd_of_faces_cannot_push_a_finding_out() -> None:
    by = {"model": "nudenet-320n"}
    faces = [Detection(label="FACE_MALE", score=0.99, box=Box(n, 0, n + 10, 10), **by) for n in range(200)]
    weak = Detection(label="FEMALE_BREAST_EXPOSED", score=0.3, box=Box(0, 0, 5, 5), **by)
    text = render(VisualFindings(width=9, height=9, frames=1, models=("m",), detections=(*faces, weak)))
    assert len(text) <= MAX_CHARACTERS
    assert "FEMALE_BREAST_EXPOSED 0.30" in text
    assert text.endswith("more not listed")


@pytest.mark.parametrize("text", ["", "hello", "picture 4x3", "picture 4x3, 1 frame screened by m:\nsafe"])
def test_parse_refuses_what_is_not_of_the_grammar(text: str) -> None:
    with pytest.raises(ValueError, match="Not a"):
        parse(text)
