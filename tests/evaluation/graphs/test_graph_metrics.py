import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidsnanny.errors import ComponentError, DataError, NotHereError
from kidsnanny.evaluation.graphs.caption_similarity import bge_m3
from kidsnanny.evaluation.graphs.graph_metrics import (
    KINDS,
    GraphEvaluation,
    KindScores,
    ScoreEstimate,
    match_objects,
    score,
)
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.vocabulary import Tag, Vocabulary

WORDS = Vocabulary(
    name="weather and toys",
    objects=("cat", "dog", "ball"),
    attributes=("wet", "red"),
    predicates=("chasing", "holding"),
    tags={
        "storm": Tag(group="weather", means=("violence",)),
        "rain": Tag(group="weather"),
        "toys": Tag(group="things"),
        "snow": Tag(group="seasons"),
    },
    sensitive={"ball": ("weapons",), "red": ("gore",), "holding": ("weapons",)},
)
LEFT, RIGHT, FAR = Box(0, 0, 100, 100), Box(200, 0, 300, 100), Box(500, 500, 600, 600)


def thing(label: str, box: Box = LEFT, *attributes: str) -> SceneObject:
    return SceneObject(label=label, box=box, attributes=attributes)


def graph(*things: SceneObject, does: Sequence[tuple[int, str, int]] = (), **rest: object) -> SceneGraph:
    relations = tuple(Relation(subject=s, predicate=p, object=o) for s, p, o in does)
    return SceneGraph(objects=things, relations=relations, **rest)


def counts(kind: KindScores) -> tuple[int, int, int]:
    return kind.hits, kind.false, kind.missed


def numbers(scores: GraphEvaluation) -> list[ScoreEstimate]:
    """Every number in the record."""
    kinds = [scores.unsafe, *scores.tags.values()]
    graphs = [scores.graph, scores.untagged, *scores.groups.values()]
    kinds += [getattr(each, kind) for each in graphs for kind in KINDS]
    found = [scores.group_recall, scores.group_f1, scores.tag_f1, scores.sensitive_recall, scores.caption]
    found += [number for each in graphs for number in (each.recall, each.f1)]
    return found + [number for kind in kinds for number in (kind.recall, kind.precision, kind.f1)]


def test_two_frames_by_hand() -> None:
    first = graph(
        thing("cat", LEFT, "wet"), thing("dog", RIGHT, "wet", "red"), does=[(0, "chasing", 1)], tags={"storm": 1.0}
    )
    # the cat is a tenth too far right (IoU 90/110), the dog has one attribute of two, and a ball is made up
    guessed = graph(
        thing("dog", RIGHT, "wet"),
        thing("cat", Box(10, 0, 110, 100), "wet", "red"),
        thing("ball", FAR),
        does=[(1, "chasing", 0), (2, "holding", 0)],
        tags={"storm": 0.5, "rain": 0.49},
    )
    second = graph(thing("cat", LEFT), thing("ball", RIGHT), does=[(0, "holding", 1)], tags={"toys": 1.0, "rain": 1.0})
    nothing = graph(tags={"storm": 0.9})
    scores = score([(first, guessed), (second, nothing)], WORDS)
    # objects: cat and dog found, the made-up ball false, the second frame's two missed
    assert counts(scores.graph.objects) == (2, 1, 2)
    assert scores.graph.objects.recall.value == 2 / 4
    assert scores.graph.objects.precision.value == 2 / 3
    assert scores.graph.objects.f1.value == 4 / 7  # 2 * 2 / (2 * 2 + 1 + 2)
    # attributes: both that are wet; the cat is not red, the dog is
    assert counts(scores.graph.attributes) == (2, 1, 1)
    # relations: the chase; that the ball holds the dog is false; the second frame's is missed
    assert counts(scores.graph.relations) == (1, 1, 1)
    # graph recall (2/4 + 2/3 + 1/2) / 3, graph F1 (4/7 + 4/6 + 2/4) / 3
    assert scores.graph.recall.value == pytest.approx((2 / 4 + 2 / 3 + 1 / 2) / 3)
    assert scores.graph.f1.value == pytest.approx((4 / 7 + 4 / 6 + 2 / 4) / 3)
    # tags: storm 1 hit and 1 false, so 2/3; rain and toys missed, so 0; no frame has snow, so it is left out
    assert {tag: counts(kind) for tag, kind in scores.tags.items()} == {
        "storm": (1, 1, 0),
        "rain": (0, 0, 1),
        "toys": (0, 0, 1),
        "snow": (0, 0, 0),
    }
    assert scores.tag_f1.value == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert (scores.tag_f1.n, scores.tag_f1.of) == (3, "tags")
    assert scores.tags["snow"].f1.not_measured == "no frames with the tag in the truth"
    # unsafe: only storm means something; the first frame is a hit, the second false
    assert counts(scores.unsafe) == (1, 1, 0)
    # sensitive: the red dog of the first frame is found; the ball, and the cat that holds it, are missed
    assert (scores.sensitive_recall.value, scores.sensitive_recall.n) == (1 / 3, 3)
    # weather has both frames and so the recall of all, things has the second alone (no attributes there: 0 and 0)
    assert scores.groups["weather"].recall.value == scores.graph.recall.value
    assert (scores.groups["things"].frames, scores.groups["things"].recall.value) == (1, 0)
    assert scores.groups["things"].attributes.recall.not_measured == "no attributes in the truth"
    assert scores.groups["seasons"].recall.not_measured == "no objects in the truth"
    assert scores.group_recall.value == pytest.approx(scores.graph.recall.value / 2)
    assert (scores.group_recall.n, scores.untagged.frames) == (2, 0)


HALF = Box(0, 0, 100, 50)
MATCHES = {
    # a box of half the area inside the other: IoU 5,000 / 10,000
    "IoU of exactly one half": ([thing("cat", LEFT)], [thing("cat", HALF)], {0: 0}),
    "IoU just below": ([thing("cat", LEFT)], [thing("cat", Box(0, 0, 100, 49))], {}),
    "another label": ([thing("cat", LEFT)], [thing("dog", LEFT)], {}),
    "nothing predicted": ([thing("cat", LEFT)], [], {}),
    "nothing true": ([], [thing("cat", LEFT)], {}),
    "a line is on itself": ([thing("cat", Box(5, 5, 5, 50))], [thing("cat", Box(5, 5, 5, 50))], {0: 0}),
    "found twice": ([thing("cat", LEFT)], [thing("cat", HALF), thing("cat", LEFT)], {0: 1}),
    # A true 0-100, B 40-140; P 20-120 has IoU 80/120 with both, Q 45-145 has 95/105 with B, 55/145 with A.
    # Taking the best pair of each object in turn is enough here ...
    "each its best": (
        [thing("cat", Box(0, 0, 100, 10)), thing("cat", Box(40, 0, 140, 10))],
        [thing("cat", Box(45, 0, 145, 10)), thing("cat", Box(20, 0, 120, 10))],
        {0: 1, 1: 0},
    ),
    # ... and here it is not: P 10-110 is best on A (90/110) and on B 30-130 (80/120); Q -20-80 has 80/120 with A and
    # 50/150 with B. The best pair first, A with P, leaves B and Q without each other.
    "greedy would find one": (
        [thing("cat", Box(0, 0, 100, 10)), thing("cat", Box(30, 0, 130, 10))],
        [thing("cat", Box(10, 0, 110, 10)), thing("cat", Box(-20, 0, 80, 10))],
        {0: 1, 1: 0},
    ),
    # Five pairs in the same boxes would have an IoU of 5 in all; six, a quarter apart, have 6 * 75/125 = 3.6.
    "more pairs beat better ones": (
        [thing("cat", Box(x, 0, x + 100, 10)) for x in range(0, 150, 25)],
        [thing("cat", Box(x, 0, x + 100, 10)) for x in range(-25, 125, 25)],
        {n: n for n in range(6)},
    ),
    "where boxes cannot tell, what is said does": (
        [thing("cat", LEFT, "wet"), thing("cat", LEFT, "red")],
        [thing("cat", LEFT, "red"), thing("cat", LEFT, "wet")],
        {0: 1, 1: 0},
    ),
}


@pytest.mark.parametrize(("true", "guessed", "expected"), MATCHES.values(), ids=MATCHES)
def test_match(true: list[SceneObject], guessed: list[SceneObject], expected: dict[int, int]) -> None:
    assert match_objects(graph(*true), graph(*guessed)) == expected


def test_swapped_identities_find_the_objects_and_nothing_else() -> None:
    true = graph(thing("cat", LEFT, "wet"), thing("cat", RIGHT, "red"), does=[(0, "chasing", 1)])
    swapped = graph(thing("cat", LEFT, "red"), thing("cat", RIGHT, "wet"), does=[(1, "chasing", 0)])
    scores = score([(true, swapped)], WORDS)
    assert [counts(getattr(scores.graph, kind)) for kind in KINDS] == [(2, 0, 0), (0, 2, 2), (0, 1, 1)]
    assert scores.graph.recall.value == pytest.approx(1 / 3)


def test_saying_it_twice_is_saying_it_once_and_finding_it_twice_is_false() -> None:
    true = graph(thing("cat", LEFT, "wet"), thing("dog", RIGHT), does=[(0, "chasing", 1)])
    twice = graph(thing("cat", LEFT, "wet", "wet"), *[thing("dog", RIGHT)] * 3, does=[(0, "chasing", 1)] * 2)
    scores = score([(true, twice)], WORDS)
    assert [counts(getattr(scores.graph, kind)) for kind in KINDS] == [(2, 2, 0), (1, 0, 0), (1, 0, 0)]


def test_both_ends_of_a_sensitive_deed_are_sensitive_and_the_truth_says_which_frames_have_no_tag() -> None:
    holds = graph(thing("cat", LEFT), thing("dog", RIGHT), does=[(0, "holding", 1)])
    scores = score([(holds, graph(thing("dog", RIGHT), tags={"storm": 1.0}))], WORDS)
    assert (scores.sensitive_recall.value, scores.sensitive_recall.n) == (1 / 2, 2)
    assert scores.untagged.frames == 1


def test_a_kind_that_the_truth_lacks_is_in_no_mean() -> None:
    scores = score([(graph(thing("cat")), graph(thing("cat", LEFT, "wet")))], WORDS)
    assert (scores.graph.recall.value, scores.graph.f1.value) == (1, 1)
    assert scores.graph.attributes.precision.value == 0  # and still it is seen
    assert scores.graph.attributes.f1.value is None


@pytest.mark.parametrize(
    ("vocabulary", "name", "why"),
    [
        (WORDS, "tag_f1", "no tags in the truth"),
        (WORDS, "sensitive_recall", "no sensitive objects in the truth"),
        (WORDS, "group_f1", "no group of tags has objects in the truth"),
        (WORDS, "caption", "no sentence embeddings were given"),
        (Vocabulary(name="bare", objects=()), "sensitive_recall", "the vocabulary names no sensitive word"),
    ],
)
def test_what_is_not_measured_says_why(vocabulary: Vocabulary, name: str, why: str) -> None:
    scores = score([(graph(thing("cat")), graph())] * 2, vocabulary)
    assert str(getattr(scores, name)) == f"not measured: {why}"
    unmapped = score([(graph(), graph())], Vocabulary(name="bare", objects=()))
    assert str(unmapped.unsafe.f1) == "not measured: no tag means one of our categories"


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "There is no frame to score; name a data set or a split that has some."),
        ([(graph(), graph(tags={"fog": 0.1}))], "Frame 0 has the tag 'fog', which weather and toys lacks; give the"),
        ([(graph(tags={"rain": math.nan}), graph())], "Frame 0 has nan for the tag 'rain'; give a probability."),
    ],
)
def test_what_cannot_be_scored_is_refused(pairs: list[tuple[SceneGraph, SceneGraph]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        score(pairs, WORDS)


def letters(sentences: list[str]) -> np.ndarray:
    """How often a sentence has a, b and c."""
    return np.array([[sentence.count(letter) for letter in "abc"] for sentence in sentences], np.float32)


def test_caption_similarity_is_the_mean_cosine() -> None:
    pairs = [("aab", "aab"), ("ab", "a"), ("a", "b"), ("c", " "), ("", "abc")]
    scores = score([(graph(caption=true), graph(caption=guess)) for true, guess in pairs], WORDS, embed=letters)
    # the same: 1; (1,1) and (1,0): 1/sqrt(2); orthogonal: 0; no caption: 0; the last truth has none, and is left out
    assert scores.caption.value == pytest.approx((1 + 1 / math.sqrt(2) + 0 + 0) / 4)
    assert (scores.caption.n, scores.captioned_by) == (4, "letters")
    assert str(score([(graph(), graph())], WORDS, embed=letters).caption) == "not measured: no captions in the truth"


@pytest.mark.parametrize("made", [np.zeros((2, 3)), np.zeros(1), np.full((1, 3), np.nan)])
def test_embeddings_that_are_none_are_refused(made: np.ndarray) -> None:
    with pytest.raises(ComponentError, match="give one finite row for each"):
        score([(graph(caption="a"), graph(caption="a"))], WORDS, embed=lambda _: made)


def test_interval_is_that_of_resampled_frames() -> None:
    """Of 100 frames with one object each, 70 are found: recall's standard error is sqrt(.7 * .3 / 100) = .046."""
    pairs = [(graph(thing("cat")), graph(thing("cat") if n < 70 else thing("dog"))) for n in range(100)]
    recall = score(pairs, WORDS).graph.objects.recall
    assert recall.value == 0.7
    assert recall.low == pytest.approx(0.7 - 1.96 * 0.046, abs=0.015)
    assert recall.high == pytest.approx(0.7 + 1.96 * 0.046, abs=0.015)
    assert score(pairs, WORDS).graph.objects.recall == recall
    assert score(pairs, WORDS, seed=1).graph.objects.recall != recall
    assert score(pairs[:1], WORDS).graph.recall.low is None


def test_interval_has_the_estimate_in_it_even_where_resampling_is_biased() -> None:
    """Each of 40 tags is on one frame, found there, and made up on another: F1 is 2 * 1 / (2 * 1 + 1) = 2/3. Of a tag
    that is drawn at all, the frame is drawn 1.6 times, and the other once, so that resampled scores lie above it."""
    words = Vocabulary(name="many", objects=(), tags={f"tag {n}": Tag(group="all") for n in range(40)})
    pairs = [(graph(tags={tag: 1.0} if real else {}), graph(tags={tag: 1.0})) for tag in words.tags for real in (0, 1)]
    tag_f1 = score(pairs, words).tag_f1
    assert tag_f1.value == pytest.approx(2 / 3)
    assert tag_f1.low == tag_f1.value < tag_f1.high


# Boxes on a grid: some equal, some over half of another, some apart.
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), *[st.sampled_from([0, 30, 60])] * 2, *[st.sampled_from([60, 100])] * 2
)
things = st.builds(thing, st.sampled_from(WORDS.objects), boxes, *[st.sampled_from(WORDS.attributes)] * 2) | st.builds(
    thing, st.sampled_from(WORDS.objects), boxes
)


@st.composite
def graphs(draw: st.DrawFn) -> SceneGraph:
    # two of the same label in the same box with the same attributes, nobody can tell apart
    found = draw(
        st.lists(things, max_size=4, unique_by=lambda each: (each.label, each.box, frozenset(each.attributes)))
    )
    ends = st.integers(0, max(0, len(found) - 1))
    does = draw(st.lists(st.tuples(ends, st.sampled_from(WORDS.predicates), ends), max_size=3 if found else 0))
    tags = draw(st.dictionaries(st.sampled_from(list(WORDS.tags)), st.sampled_from([0.1, 0.5, 1.0])))
    return graph(*found, does=does, tags=tags, caption=draw(st.text("abc", max_size=3)))


pairs = st.lists(st.tuples(graphs(), graphs()), min_size=1, max_size=4)
quick = settings(max_examples=60)


@quick
@given(pairs)
def test_every_number_is_in_range_and_in_its_interval(given: list[tuple[SceneGraph, SceneGraph]]) -> None:
    for number in numbers(score(given, WORDS, embed=letters, resamples=50)):
        assert (number.value is None) == bool(number.not_measured)
        if number.value is not None:
            assert number.n > 0
            assert 0 <= number.value <= 1
            assert (number.low is None) == (number.high is None) == (len(given) == 1)
            if number.low is not None:
                assert 0 <= number.low <= number.value <= number.high <= 1


@quick
@given(st.lists(graphs(), min_size=1, max_size=4))
def test_a_perfect_prediction_scores_1(given: list[SceneGraph]) -> None:
    scores = score([(each, each) for each in given], WORDS, embed=letters, resamples=20)
    assert {round(each.value, 9) for each in numbers(scores) if each.value is not None} <= {1.0}
    assert scores.graph.objects.hits == sum(len(each.objects) for each in given)


@quick
@given(graphs(), graphs(), st.data())
def test_the_order_of_predicted_objects_does_not_matter(
    true: SceneGraph, guessed: SceneGraph, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(guessed.objects))))
    place = {old: new for new, old in enumerate(order)}
    shuffled = graph(
        *(guessed.objects[n] for n in order),
        does=[(place[r.subject], r.predicate, place[r.object]) for r in guessed.relations][::-1],
        tags=guessed.tags,
        caption=guessed.caption,
    )
    assert score([(true, guessed)], WORDS) == score([(true, shuffled)], WORDS)


def test_nor_does_it_where_two_predicted_objects_agree_equally() -> None:
    true = graph(thing("cat", LEFT, "wet"), thing("dog", RIGHT), does=[(0, "chasing", 1)])
    wet, chasing = thing("cat", LEFT, "wet"), thing("cat", LEFT, "red")
    one = graph(wet, chasing, thing("dog", RIGHT), does=[(1, "chasing", 2)])
    other = graph(chasing, wet, thing("dog", RIGHT), does=[(0, "chasing", 2)])
    assert score([(true, one)], WORDS) == score([(true, other)], WORDS)


@quick
@given(graphs(), graphs())
def test_a_false_object_never_raises_precision(true: SceneGraph, guessed: SceneGraph) -> None:
    more = guessed.model_copy(update={"objects": (*guessed.objects, thing("cat", FAR, "wet"))})
    before, after = (score([(true, each)], WORDS).graph for each in (guessed, more))
    for kind in ("objects", "attributes"):
        was, now = getattr(before, kind), getattr(after, kind)
        assert now.precision.value <= (1 if was.precision.value is None else was.precision.value)
        assert now.recall == was.recall
        assert now.f1.value is None or now.f1.value <= was.f1.value


@pytest.mark.parametrize(
    ("file", "mend"),
    [(None, "download BAAI/bge-m3 into it"), ("pytorch_model.bin", "run `kidsnanny weights convert .*model.bin --out")],
)
def test_sentence_embeddings_that_are_not_here(tmp_path: Path, file: str | None, mend: str) -> None:
    if file:
        (tmp_path / file).touch()
    with pytest.raises(NotHereError, match=f"there is no model.safetensors in it; {mend}"):
        bge_m3(tmp_path)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BGE-m3's architecture, tiny and random, with a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    folder = tmp_path_factory.mktemp("tiny-m3")
    vocabulary = {word: n for n, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", "a", "cat", "dog", "runs"))}
    words = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=20, **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = XLMRobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=30, initializer_range=0.5, **sizes)
    XLMRobertaModel(config).save_pretrained(folder)
    return folder


@pytest.mark.torch
def test_an_embedding_is_the_first_token_at_length_1(encoder: Path) -> None:
    import torch
    from transformers import AutoModel

    embed = bge_m3(encoder)
    made = embed(["a cat runs", "a dog", "a cat " * 50])
    assert made.shape == (3, 32)
    assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=1e-6)
    with torch.inference_mode():
        state = AutoModel.from_pretrained(encoder).eval()(torch.tensor([[0, 4, 6, 2]])).last_hidden_state[0, 0].numpy()
    assert made[1] == pytest.approx(state / np.linalg.norm(state), abs=1e-5)  # padding changes nothing
    assert abs(made[0] @ made[1]) < 0.99
    assert embed.__name__.startswith("tiny-m3")
    both = graph(caption="a cat runs")
    scores = score([(both, both), (both, graph(caption="a dog"))], WORDS, embed=embed)
    assert scores.caption.value == pytest.approx((1 + made[0] @ made[1]) / 2, abs=1e-5)


@pytest.mark.torch
@pytest.mark.parametrize("broken", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_broken_folder_is_named(encoder: Path, tmp_path: Path, broken: str) -> None:
    for file in encoder.iterdir():
        (tmp_path / file.name).write_bytes(b"{" if file.name == broken else file.read_bytes())
    with pytest.raises(ComponentError, match="does not load"):
        bge_m3(tmp_path)


@pytest.mark.torch
def test_weights_that_are_missing_are_not_made_up(encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in encoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(encoder / "model.safetensors")
    kept = {key: value for key, value in tensors.items() if "layer.1.output" not in key}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ComponentError, match="weights are missing"):
        bge_m3(tmp_path)
