"""Vocabulary-aware recall: what the training graphs seldom have is to be recalled as well as what they often have.

SenBen names its VAR loss and does not publish the formula; this one is ours. An entry e is a label, attribute,
predicate or tag of the vocabulary; f(e) counts it in the training graphs, and f is the mean over those that occur:

    w(e) = (f / f(e))^gamma, clipped to 1 / most .. most

A mention is an entry where it stands in a true text; w(t) of a token t is that of its mention, and 1 outside of any.
With l(t) = -log p(t | true tokens before t, picture), and m the mentions of a batch:

    weighted cross-entropy   sum over t of w(t) l(t)  /  sum over t of w(t)
    missed recall            1 - sum over m of w(m) p(m)  /  sum over m of w(m),  p(m) = product of p(t) over t in m

The second is 1 minus a recall whose every hit counts by how sure the decoder is of the whole word, and by how rare the
word is. Its gradient vanishes where p(m) is near 0, so it supports the first and does not replace it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Self, assert_never

import torch

from kidsnanny.errors import DataError
from kidsnanny.records import SceneGraph
from kidsnanny.stage1.student.codec import Task
from kidsnanny.stage1.student.vocabulary import Entry, Kind, Vocabulary, count_entries

GAMMA = 0.5
MOST = 5.0

_RELATION = re.compile(r"\(([^(),:]+)(?::\d+)?, ([^(),:]+), ([^(),:]+)(?::\d+)?\)")
_OBJECT = re.compile(r"([^<>]+)(?:<loc_\d+>)+")
_PART = re.compile(r"[^, ][^,]*")


class EntryFrequencies(NamedTuple):
    """How often the training graphs have each entry; of a tag, how many graphs have it."""

    counts: Mapping[Entry, int]
    """Entry -> how often, at least 1."""

    @classmethod
    def of(cls, graphs: Iterable[SceneGraph]) -> Self:
        """Count them.

        Raises:
            DataError: there is nothing to count.
        """
        counts = count_entries(graphs)
        if not counts:
            raise DataError("the training graphs have no object and no tag; give graphs of which some are not empty.")
        return cls(counts)

    def weight(self, entry: Entry, *, gamma: float = GAMMA, most: float = MOST) -> float:
        """What it counts, 1 / most to most.

        Args:
            entry: one that the graphs lack counts like one that they have once.
            gamma: 0 (all count the same) to 1 (each entry counts the same over all its mentions, but for the clipping).
            most: at least 1.
        """
        mean = sum(self.counts.values()) / len(self.counts)
        weight: float = (mean / self.counts.get(entry, 1)) ** gamma
        return min(max(weight, 1 / most), most)


class Mention(NamedTuple):
    """Where an entry stands in a text."""

    entry: Entry
    start: int
    """Its first character, counted from 0."""
    end: int
    """The character after its last, counted from 0."""


class Mentions(NamedTuple):
    """The mentions of a batch of texts."""

    of_token: torch.Tensor
    """(N, L) int64: place in `weights`, or -1 for a token that belongs to no mention."""
    weights: torch.Tensor
    """(mentions,) of each mention's entry."""


def mentions(task: Task, text: str, vocabulary: Vocabulary) -> list[Mention]:
    """The mentions in one true text, from left to right; none in a caption, which is free text.

    Args:
        task: of the text.
        text: as the codec writes it, with or without the numbers of the objects.
        vocabulary: whose words it has.

    Raises:
        DataError: a line of attributes or relations is not of the codec's form or not in the vocabulary's words.
    """
    lines = text.split("\n") if text else []
    match task:
        case "objects":
            return [Mention(("label", run[1]), *run.span(1)) for run in _OBJECT.finditer(text)]
        case "attributes":
            found = list(_line(vocabulary.objects, vocabulary.attributes).finditer(text))
            _check(text, len(found) == len(lines), vocabulary)
            things = ((Mention(("label", line[1]), *line.span(1)), line.span(2)) for line in found)
            return [one for thing, rest in things for one in (thing, *_listed("attribute", text, *rest))]
        case "relations":
            found = list(_RELATION.finditer(text))
            _check(text, len(found) == len(lines), vocabulary)
            kinds: tuple[Kind, ...] = ("label", "predicate", "label")
            return [Mention((kind, r[n]), *r.span(n)) for r in found for n, kind in enumerate(kinds, 1)]
        case "tags":
            return _listed("tag", text, 0, len(text))
        case "caption":
            return []
        case _:
            assert_never(task)


def align(
    found: Sequence[Sequence[Mention]], offsets: torch.Tensor, frequencies: EntryFrequencies, *, gamma: float = GAMMA
) -> Mentions:
    """Which tokens belong to which mention; a token over the border of two belongs to the later one.

    Args:
        found: of each text, see `mentions`.
        offsets: (N, L, 2) of the tokens, as a fast tokenizer's `offset_mapping` has them: first character and end.
        frequencies: of the training graphs.
        gamma: see `EntryFrequencies.weight`.
    """
    of_token = torch.full(offsets.shape[:2], -1)
    weights: list[float] = []
    for row, in_text in enumerate(found):
        first, end = offsets[row].unbind(-1)
        for mention in in_text:
            of_token[row, (first < mention.end) & (end > mention.start) & (end > first)] = len(weights)
            weights.append(frequencies.weight(mention.entry, gamma=gamma))
    return Mentions(of_token, torch.tensor(weights))


def token_weights(aligned: Mentions) -> torch.Tensor:
    """(N, L) on the CPU, what each token counts in the weighted cross-entropy: 1 outside of any mention."""
    return torch.cat([aligned.weights, torch.ones(1)])[aligned.of_token]  # -1 is the last


def missed_recall(losses: torch.Tensor, aligned: Mentions) -> torch.Tensor:
    """1 minus the weighted recall of the batch's mentions, 0..1; 0 without any.

    Args:
        losses: (N, L), each token's cross-entropy in nats, neither smoothed nor weighted.
        aligned: the batch's mentions.
    """
    count = len(aligned.weights)
    if not count:
        return losses.sum() * 0
    of_token = aligned.of_token.remainder(count + 1).to(losses.device)
    sums = losses.new_zeros(count + 1)  # the last is for what belongs to no mention
    sums = sums.index_add(0, of_token.flatten(), losses.flatten())
    weights = aligned.weights.to(losses)
    return 1 - (weights * (-sums[:count]).exp()).sum() / weights.sum()


def _listed(kind: Kind, text: str, start: int, end: int) -> list[Mention]:
    return [Mention((kind, part[0]), *part.span()) for part in _PART.finditer(text, start, end)]


def _check(text: str, fits: bool, vocabulary: Vocabulary) -> None:
    if not fits:
        raise DataError(
            f"{text[:80]!r} has a line that the words of the vocabulary {vocabulary.name} cannot make up; take the "
            "vocabulary that belongs to the data."
        )


@lru_cache(maxsize=8)
def _line(labels: tuple[str, ...], attributes: tuple[str, ...]) -> re.Pattern[str]:
    """A line of an attributes text. Without a number only the words tell where the label ends."""
    label, attribute = (
        "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) for words in (labels, attributes)
    )
    return re.compile(rf"^({label})(?::\d+)? ((?:{attribute})(?:,(?:{attribute}))*)$", re.M)
