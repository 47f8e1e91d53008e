"""Recall of the words that were rare in training: what a long tail costs, and what a loss for rare words gains.

An *entry* is a label, attribute, predicate or tag of the vocabulary. The definitions are ours:

- *Rare* is the third of each kind, rounded up, that the training graphs have least often, or never; of two entries that
  they have as often, the later one in the vocabulary.
- An *occurrence* of an entry is a true object of the label, an attribute of a true object, a true relation of the
  predicate, or a frame with the tag; saying the same of the same object twice is saying it once.
- It is *recalled* by the definitions of `graph_metrics`: its objects are matched, and the prediction says the same of
  their counterparts; a tag is predicted from a probability of 0.5 on.
- *Rare-class recall* is the recall over all occurrences of all rare entries, so that an entry counts as often as it
  occurs. The same number of the other entries stands beside it, since what helps the one may harm the other.

Intervals are 95 % bootstrap percentiles over frames, as there.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_metrics import THRESHOLD, Pair, check_pairs, match_objects
from kidsnanny.evaluation.graphs.score_estimate import Floats, ScoreEstimate, as_estimate, resampled_sums, with_interval
from kidsnanny.records import Record, SceneGraph
from kidsnanny.stage1.student.vocabulary import Entry, Kind, Vocabulary


class EntryRecall(Record):
    """How well one entry is recalled."""

    kind: Kind
    """As what the word stands in the vocabulary."""
    word: str
    """The vocabulary's."""
    trained: int
    """How often the training graphs have it."""
    rare: bool
    """Whether it is in the rarest third of its kind."""
    hits: int
    """How many of its occurrences were recalled."""
    recall: ScoreEstimate
    """Over its occurrences; `n` says how many there are."""


class RareRecall(Record):
    """How well rare entries are recalled, and the others."""

    rare: ScoreEstimate
    """Rare-class recall: see the module."""
    others: ScoreEstimate
    """Of the entries that are not rare."""
    entries: tuple[EntryRecall, ...]
    """All of the vocabulary, in its order."""


def rare_entries(frequencies: Mapping[Entry, int], vocabulary: Vocabulary) -> frozenset[Entry]:
    """The rare entries, by the module's definition.

    Args:
        frequencies: entry -> how often the training graphs have it, as `count_entries` counts; 0 where it lacks one.
        vocabulary: whose entries they are.

    Raises:
        DataError: nothing was counted.
    """
    if not any(frequencies.values()):
        fix = "count those of the training graphs"
        raise DataError(f"No frequency of a word of {vocabulary.name} is given, so none is rare; {fix}.")
    by_kind: dict[Kind, list[Entry]] = {}
    for entry in reversed(vocabulary.entries()):
        by_kind.setdefault(entry[0], []).append(entry)
    rare: list[Entry] = []
    for entries in by_kind.values():
        rarest_first = sorted(entries, key=lambda entry: frequencies.get(entry, 0))
        rare += rarest_first[: -(-len(entries) // 3)]
    return frozenset(rare)


def rare_recall(
    pairs: Sequence[Pair],
    frequencies: Mapping[Entry, int],
    vocabulary: Vocabulary,
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> RareRecall:
    """Recall of rare entries, by the module's definitions.

    Args:
        pairs: truth and prediction, a frame each.
        frequencies: see `rare_entries`; of the training graphs, not of these.
        vocabulary: has every word of the truth, and every tag of the predictions.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: there are no pairs, nothing was counted, a word of the truth or a tag is not in the vocabulary, or
            a tag's probability is none.
        ComponentError: scipy is missing.
    """
    check_pairs(pairs, vocabulary)
    entries = vocabulary.entries()
    rare = rare_entries(frequencies, vocabulary)
    place = {entry: number for number, entry in enumerate(entries)}
    table = np.zeros((len(pairs), len(entries), 2))
    for frame, (truth, predicted) in enumerate(pairs):
        true = _occurrences(truth, range(len(truth.objects)))
        back = {p: t for t, p in match_objects(truth, predicted).items()}
        # a false object gets a number that no true one has
        guessed = _occurrences(predicted, [back.get(n, -1 - n) for n in range(len(predicted.objects))])
        for entry, where in true:
            if entry not in place:
                fix = "give the vocabulary of this data"
                raise DataError(f"Frame {frame} has the {entry[0]} {entry[1]!r}, which {vocabulary.name} lacks; {fix}.")
            table[frame, place[entry]] += (entry, where) in guessed, 1
    sums = resampled_sums(table.reshape(len(pairs), -1), resamples, seed).reshape(-1, len(entries), 2)
    is_rare = np.array([entry in rare for entry in entries], bool)
    return RareRecall(
        rare=_recall(sums[:, is_rare], "occurrences of rare words"),
        others=_recall(sums[:, ~is_rare], "occurrences of other words"),
        entries=tuple(
            EntryRecall(
                kind=entry[0],
                word=entry[1],
                trained=frequencies.get(entry, 0),
                rare=entry in rare,
                hits=int(sums[0, number, 0]),
                recall=_recall(sums[:, number : number + 1], "occurrences"),
            )
            for number, entry in enumerate(entries)
        ),
    )


def _occurrences(graph: SceneGraph, number: Sequence[int]) -> set[tuple[Entry, tuple[int, ...]]]:
    """Each entry with the objects that it is said of, by the `number` that each object gets."""
    found: set[tuple[Entry, tuple[int, ...]]] = set()
    for place, thing in enumerate(graph.objects):
        found.add((("label", thing.label), (number[place],)))
        found |= {(("attribute", word), (number[place],)) for word in thing.attributes}
    found |= {(("predicate", r.predicate), (number[r.subject], number[r.object])) for r in graph.relations}
    return found | {(("tag", tag), ()) for tag, probability in graph.tags.items() if probability >= THRESHOLD}


def _recall(sums: Floats, of: str) -> ScoreEstimate:
    """(1 + resamples, entries, 2) hits and occurrences -> the recall over all of these entries."""
    hits, occurrences = sums.sum(axis=1).T
    with np.errstate(divide="ignore", invalid="ignore"):
        values = with_interval(hits / occurrences)
    return as_estimate(values, int(occurrences[0]), f"{of} in the truth", f"no {of} in the truth")
