"""How good scene graphs are: recall, precision and F1 with intervals, by definitions that are ours.

SenBen names its two headline scores and does not define them (arXiv 2604.08819). Ours are called **graph
recall** and **graph F1**, and comparing them with SenBen's is guesswork:

- *Objects* of a frame are matched one to one: as many pairs as possible of the same label with an IoU of 0.5 or more;
  among the matchings with as many pairs, the one of the highest IoU in all; where boxes cannot tell objects apart, the
  one that agrees most in what is said of them. A pair is a hit; what is left over was missed, or is false.
- An *attribute* is a hit if its object is matched and its counterpart has it.
- A *relation* is a hit if subject and object are matched and the counterparts have a relation of the same predicate.
- Saying of the same object the same thing twice is saying it once; finding the same object twice is a false object.
- Hits, false and missed ones are added up over the frames, then recall, precision and F1 = 2 hits / (2 hits + false +
  missed) are taken of each kind. A kind that the truth does not have has no recall and no F1; where nothing was
  predicted, there is no precision.
- *Graph recall* and *graph F1* are the unweighted means of the recalls and F1s of the kinds that the truth has.

The other scores are SenBen's by name; what it leaves open is decided here:

- *Tag F1*: mean F1 of the vocabulary's tags, each predicted from a probability of 0.5 on; tags that no frame has are
  left out.
- *Safe/unsafe F1*: a frame is unsafe, which is the positive, if it has a tag that means one of our categories.
- *Sensitive-object recall*: objects whose label, an attribute, or the predicate of a relation they are an end of is in
  the vocabulary's `sensitive`; found if they are matched (so the label must be right, too).
- *Caption similarity*: mean cosine, -1..1, of sentence embeddings, over the frames whose truth has a caption; no
  caption at all counts as 0.
- *By group*: a frame belongs to the groups of its true tags. Frames without tags are apart, and not in the average.

Intervals are 95 % bootstrap percentiles over frames, widened to the point estimate where resampling is biased away from
it. Frames of one film resemble each other: for films, such intervals are too narrow.
"""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError, DataError
from kidsnanny.evaluation.graphs.caption_similarity import Embedder, cosines
from kidsnanny.evaluation.graphs.score_estimate import Floats, ScoreEstimate, as_estimate, resampled_sums, with_interval
from kidsnanny.records import Box, Record, SceneGraph
from kidsnanny.stage1.student.vocabulary import Vocabulary

IOU = 0.5
THRESHOLD = 0.5
"""A tag is predicted from this probability on."""
KINDS = ("objects", "attributes", "relations")
Pair = tuple[SceneGraph, SceneGraph]
"""The truth about a frame, and what was predicted."""


class KindScores(Record):
    """One kind of thing, counted over all frames."""

    hits: int
    false: int
    missed: int
    recall: ScoreEstimate
    precision: ScoreEstimate
    f1: ScoreEstimate


class GraphScores(Record):
    """Scores of the graphs of some frames."""

    frames: int
    objects: KindScores
    attributes: KindScores
    relations: KindScores
    recall: ScoreEstimate
    """Graph recall: see the module."""
    f1: ScoreEstimate
    """Graph F1: see the module."""


class GraphEvaluation(Record):
    """All scores of one system on one data set."""

    vocabulary: str
    partial: bool
    """Whether the vocabulary is known to lack words."""
    frames: int
    resamples: int
    seed: int
    graph: GraphScores
    groups: dict[str, GraphScores]
    """Group of tags -> scores of its frames."""
    untagged: GraphScores
    """Of the frames without tags."""
    group_recall: ScoreEstimate
    """Mean graph recall of the groups."""
    group_f1: ScoreEstimate
    tags: dict[str, KindScores]
    tag_f1: ScoreEstimate
    unsafe: KindScores
    """Frames; its F1 is the safe/unsafe F1."""
    sensitive_recall: ScoreEstimate
    caption: ScoreEstimate
    captioned_by: str | None
    """Whose embeddings the caption similarity rests on."""
    dropped: int
    """How often a student wrote what is no graph (it may have stopped listing them): only their absence counts."""


def score(
    pairs: Sequence[Pair],
    vocabulary: Vocabulary,
    *,
    embed: Embedder | None = None,
    no_embed: str = "no sentence embeddings were given",
    resamples: int = 2_000,
    seed: int = 0,
) -> GraphEvaluation:
    """Compare predicted graphs with true ones, by the module's definitions.

    Args:
        pairs: truth and prediction, a frame each.
        vocabulary: has every tag of both, and says which words are sensitive.
        embed: sentence embeddings, as `bge_m3` makes them.
        no_embed: why there are none; the scores say so.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: there are no pairs, or a tag is not in the vocabulary or its probability is none.
        ComponentError: scipy is missing, or what `embed` gives are no embeddings.
    """
    check_pairs(pairs, vocabulary)
    groups = tuple(dict.fromkeys(tag.group for tag in vocabulary.tags.values()))
    counts, members = _count(pairs, vocabulary, groups)
    alike = cosines(pairs, embed) if embed else np.full(len(pairs), np.nan)
    captions = np.column_stack([np.nan_to_num(alike), ~np.isnan(alike)])
    table = np.concatenate([counts.reshape(len(pairs), -1), captions], axis=1)
    values = _estimates(table, members.shape[1], len(vocabulary.tags), resamples, seed)
    results = _Results(counts.sum(axis=0).astype(int).tolist(), values)

    everything, *by_group, untagged = (results.graph(n, int(frames)) for n, frames in enumerate(members.sum(axis=0)))
    means = int(np.isfinite(values.graph[0, 1:-1, 0]).sum()), "groups", "no group of tags has objects in the truth"
    first = 3 * members.shape[1]
    tags = {tag: results.kind(first + n, "frames with the tag") for n, tag in enumerate(vocabulary.tags)}
    occurring = sum(tag.recall.value is not None for tag in tags.values())
    unmapped = "" if any(tag.means for tag in vocabulary.tags.values()) else "no tag means one of our categories"
    insensitive = "" if vocabulary.sensitive else "the vocabulary names no sensitive word"
    return GraphEvaluation(
        vocabulary=vocabulary.name,
        partial=vocabulary.partial,
        frames=len(pairs),
        resamples=resamples,
        seed=seed,
        graph=everything,
        groups=dict(zip(groups, by_group, strict=True)),
        untagged=untagged,
        group_recall=as_estimate(values.groups[:, 0], *means),
        group_f1=as_estimate(values.groups[:, 1], *means),
        tags=tags,
        tag_f1=as_estimate(values.tags, occurring, "tags", "no tags in the truth"),
        unsafe=results.kind(-2, "unsafe frames", unmapped),
        sensitive_recall=results.kind(-1, "sensitive objects", insensitive).recall,
        caption=as_estimate(
            values.caption, int(captions[:, 1].sum()), "captions", "no captions in the truth" if embed else no_embed
        ),
        captioned_by=getattr(embed, "__name__", repr(embed)) if embed else None,
        dropped=sum(len(predicted.dropped) for _, predicted in pairs),
    )


def check_pairs(pairs: Sequence[Pair], vocabulary: Vocabulary) -> None:
    """Make sure that the tags of these pairs can be scored.

    Args:
        pairs: truth and prediction, a frame each.
        vocabulary: has to have every tag of both.

    Raises:
        DataError: there are no pairs, or a tag is not in the vocabulary or its probability is none.
    """
    if not pairs:
        raise DataError("There is no frame to score; name a data set or a split that has some.")
    for number, pair in enumerate(pairs):
        for tag, probability in (item for graph in pair for item in graph.tags.items()):
            if tag not in vocabulary.tags:
                fix = "give the vocabulary of this data and this student"
                raise DataError(f"Frame {number} has the tag {tag!r}, which {vocabulary.name} lacks; {fix}.")
            if not 0 <= probability <= 1:  # or a NaN would read as no tag
                raise DataError(f"Frame {number} has {probability} for the tag {tag!r}; give a probability.")


def match_objects(truth: SceneGraph, predicted: SceneGraph) -> dict[int, int]:
    """True object -> predicted object, one to one, by the module's definition.

    The order in which objects were predicted does not matter (unless they are alike in all that is said of them).
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        fix = "run `pip install 'kidsnanny[student]'`"
        raise ComponentError(f"Scoring scene graphs needs scipy ({error}); {fix}.") from error
    if not truth.objects or not predicted.objects:
        return {}
    said, guessed = _statements_of(truth), _statements_of(predicted)
    order = sorted(
        range(len(predicted.objects)),
        key=lambda n: (predicted.objects[n].label, predicted.objects[n].box, sorted(guessed[n])),
    )
    iou, close = _overlap([thing.box for thing in truth.objects], [predicted.objects[n].box for n in order])
    agree = np.array([[len(said[t] & guessed[p]) for p in order] for t in range(len(said))])
    labels = np.array([[thing.label == predicted.objects[p].label for p in order] for thing in truth.objects])
    eligible = close & labels
    # each term is worth more than all that follows it could sum up to
    worth = eligible * (1 + min(eligible.shape) + iou + 1e-9 * agree / (1 + agree.sum()))
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return {int(t): order[p] for t, p in zip(rows, columns, strict=True) if eligible[t, p]}


def _statements_of(graph: SceneGraph) -> list[set[tuple[str, str, str]]]:
    """What is said of each object, in words that do not depend on the order of objects."""
    said = [{("is", attribute, "") for attribute in thing.attributes} for thing in graph.objects]
    for relation in graph.relations:
        said[relation.subject].add(("subject", relation.predicate, graph.objects[relation.object].label))
        said[relation.object].add(("object", relation.predicate, graph.objects[relation.subject].label))
    return said


def _overlap(first: Sequence[Box], second: Sequence[Box]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """IoU (N, M), and whether it is at least IOU, without rounding; a box is on itself even if it has no area."""
    a, b = np.array(first, np.int64)[:, None], np.array(second, np.int64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = sides.clip(0).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2]).clip(0).prod(axis=-1) for box in (a, b)]
    union = areas[0] + areas[1] - intersection
    same = (a == b).all(axis=-1)
    return np.where(same, 1.0, intersection / union.clip(1)), same | ((union > 0) & (intersection >= IOU * union))


def _count(
    pairs: Sequence[Pair], vocabulary: Vocabulary, groups: Sequence[str]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Hits, false and missed (N, rows, 3), and which frames (N, sets) are in each set of frames.

    Sets are all frames, each group's, and those without tags. Rows are the kinds of each set, then each tag, unsafe
    frames, and sensitive objects.
    """
    tags = list(vocabulary.tags)
    unsafe = np.array([bool(vocabulary.tags[tag].means) for tag in tags], bool)
    group_of = np.array([[vocabulary.tags[tag].group == group for group in groups] for tag in tags], bool)
    group_of = group_of.reshape(len(tags), len(groups))
    true, guessed = (
        np.array([[graph.tags.get(tag, 0) >= THRESHOLD for tag in tags] for graph in graphs], bool)
        for graphs in zip(*pairs, strict=True)
    )
    kinds, sensitive = zip(*(_frame(*pair, vocabulary.sensitive) for pair in pairs), strict=True)
    members = np.column_stack([np.ones(len(pairs), bool), true @ group_of, ~true.any(axis=1)])
    by_set = members[:, :, None, None] * np.array(kinds)[:, None]
    rows = [
        by_set.reshape(len(pairs), -1, 3),
        _compared(true, guessed),
        _compared(true @ unsafe, guessed @ unsafe)[:, None],
        np.array(sensitive)[:, None],
    ]
    return np.concatenate(rows, axis=1, dtype=np.float64), members


def _compared(true: npt.NDArray[np.bool_], guessed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.stack([true & guessed, ~true & guessed, true & ~guessed], axis=-1)


def _frame(truth: SceneGraph, predicted: SceneGraph, words: Container[str]) -> tuple[list[list[int]], list[int]]:
    """Hits, false and missed of each kind, and of sensitive objects (of which none is false)."""
    matched = match_objects(truth, predicted)
    back = {p: t for t, p in matched.items()}
    said = _statements(truth, range(len(truth.objects)))
    # a false object gets a number that no true one has
    guessed = _statements(predicted, [back.get(n, -1 - n) for n in range(len(predicted.objects))])
    counts = [[len(t & p), len(p - t), len(t - p)] for t, p in zip(said, guessed, strict=True)]
    sensitive = {
        n for n, thing in enumerate(truth.objects) if any(w in words for w in (thing.label, *thing.attributes))
    }
    sensitive |= {end for r in truth.relations if r.predicate in words for end in (r.subject, r.object)}
    found = len(sensitive & matched.keys())
    return counts, [found, 0, len(sensitive) - found]


def _statements(graph: SceneGraph, number: Sequence[int]) -> tuple[set[int], set[Any], set[Any]]:
    """Objects, attributes and relations, by the `number` that each object gets."""
    return (
        set(number),
        {(number[n], word) for n, thing in enumerate(graph.objects) for word in thing.attributes},
        {(number[r.subject], r.predicate, number[r.object]) for r in graph.relations},
    )


class _Values(NamedTuple):
    """Scores of one way to draw frames, or (with an axis in front) of many. NaN where there is nothing to divide by."""

    rates: Floats
    """(rows, 3): recall, precision and F1 of each row of counts."""
    graph: Floats
    """(sets, 2): graph recall and graph F1 of each set of frames."""
    groups: Floats
    """(2,): their means over the groups."""
    tags: Floats
    """(): tag F1."""
    caption: Floats
    """(): mean cosine."""


def _values(sums: Floats, sets: int, tags: int) -> _Values:
    """(..., columns) sums over frames -> scores."""
    counts = sums[..., :-2].reshape(*sums.shape[:-1], -1, 3)
    hits, false, missed = np.moveaxis(counts, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = np.where(hits + missed > 0, 2 * hits / (2 * hits + false + missed), np.nan)
        rates = np.stack([hits / (hits + missed), hits / (hits + false), f1], axis=-1)
        caption = sums[..., -2] / sums[..., -1]
    kinds = rates[..., : 3 * sets, ::2].reshape(*sums.shape[:-1], sets, 3, 2)
    graph = _mean(kinds, axis=-2)
    tag_f1 = _mean(rates[..., 3 * sets : 3 * sets + tags, 2], axis=-1)
    return _Values(rates, graph, _mean(graph[..., 1:-1, :], axis=-2), tag_f1, caption)


def _mean(values: Floats, axis: int) -> Floats:
    """The mean of what is not NaN; NaN if all is."""
    with np.errstate(invalid="ignore"):
        mean: Floats = np.nansum(values, axis=axis) / (~np.isnan(values)).sum(axis=axis)
    return mean


def _estimates(table: Floats, sets: int, tags: int, resamples: int, seed: int) -> _Values:
    """(frames, columns) -> scores with an axis in front: the estimate, and the ends of its interval."""
    return _Values(*map(with_interval, _values(resampled_sums(table, resamples, seed), sets, tags)))


class _Results(NamedTuple):
    """The totals of each row, and their scores with an axis in front for the interval."""

    totals: list[list[int]]
    values: _Values

    def kind(self, row: int, what: str, why: str = "") -> KindScores:
        """The scores of a row; `why` says why they are none, where that is not for want of `what`."""
        hits, false, missed = self.totals[row]
        recall, precision, f1 = self.values.rates[:, row].T
        return KindScores(
            hits=hits,
            false=false,
            missed=missed,
            recall=as_estimate(recall, hits + missed, f"{what} in the truth", why or f"no {what} in the truth"),
            precision=as_estimate(precision, hits + false, f"{what} predicted", why or f"no {what} predicted"),
            f1=as_estimate(f1, hits + false + missed, f"{what} in either", why or f"no {what} in the truth"),
        )

    def graph(self, number: int, frames: int) -> GraphScores:
        """The scores of a set of frames."""
        objects, attributes, relations = (self.kind(3 * number + n, name) for n, name in enumerate(KINDS))
        recall, f1 = (
            as_estimate(v, frames, "frames", "no objects in the truth") for v in self.values.graph[:, number].T
        )
        return GraphScores(
            frames=frames, objects=objects, attributes=attributes, relations=relations, recall=recall, f1=f1
        )
