"""The decoder held to the grammar of its task: only words of the vocabulary, in the forms that `codec` reads.

What no grammar knows stays possible: the same thing twice, or a number that no object has. A box cannot end before it
begins. Needs llguidance (the extra `student`).
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidsnanny.errors import ComponentError
from kidsnanny.stage1.student.boxes import BINS
from kidsnanny.stage1.student.codec import MAX_CAPTION, Task
from kidsnanny.stage1.student.vocabulary import Vocabulary

_THING = """
THING: LABEL ":" NUMBER
NUMBER: /0|[1-9][0-9]{0,2}/
"""
_BARE_THING = """
THING: LABEL
"""
"""Without the suffix."""
_RULES: dict[Task, tuple[str, tuple[str, ...]]] = {
    "objects": ("start: (LABEL loc loc loc loc)*", ("LABEL",)),
    "attributes": (
        """start: LINES?
        LINES: LINE ("\\n" LINE)*
        LINE: THING " " ATTRIBUTE ("," ATTRIBUTE)*""",
        ("LABEL", "ATTRIBUTE"),
    ),
    "relations": (
        """start: RELATIONS?
        RELATIONS: RELATION ("\\n" RELATION)*
        RELATION: "(" THING ", " PREDICATE ", " THING ")"
        """,
        ("LABEL", "PREDICATE"),
    ),
    "tags": ("""start: TAGS?\nTAGS: TAG (", " TAG)*""", ("TAG",)),
}
"""Task -> its grammar, and the lists of words that it is made of."""
_CAPTION = rf"start: /[^\p{{C}}\p{{Zl}}\p{{Zp}}<>]{{0,{MAX_CAPTION}}}/"
"""Free text on one line; location tokens are no text."""
_LAST_RESORT = -1e4
"""The log-probability of what the grammar allows where everything else has been ruled out; half precision holds it."""


class Constraint:
    """A logits processor of transformers for one batch of an encoder-decoder, greedy or with beams.

    What is generated after the start token, and after `<s>` if that comes first, is the text. EOS is possible only
    where the text is complete, and a row that has ended gets padding. A row whose next token another processor has
    already settled is left as it is; where others leave nothing that the grammar allows, the grammar wins. NaN
    stays NaN.

    Args:
        tokenizer: a fast tokenizer of transformers whose tokens make up the text letter by letter, as byte-level BPE
            does, with Florence-2's location tokens.
        vocabulary: the words that may be written.
        tasks: of each row of the batch, before beams multiply it.
        beams: rows per row of the batch, side by side.
        suffix: whether attributes and relations name objects with their numbers, as the codec does.

    Raises:
        ComponentError: llguidance is not installed, or the tokenizer cannot write such texts.
    """

    def __init__(
        self, tokenizer: Any, vocabulary: Vocabulary, tasks: Sequence[Task], beams: int = 1, *, suffix: bool = True
    ) -> None:
        words = _words(vocabulary)
        compiled, self._locations = _llguidance_tokenizer(tokenizer, len(tokenizer))
        _check_round_trip(
            tokenizer, compiled, "\n".join(f"({word}:0123456789, {word})," for kind in words.values() for word in kind)
        )
        self._bins = {token: number for number, token in enumerate(self._locations)}
        self._start, self._end, self._padding = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        self._tasks, self._beams = [task for task in tasks for _ in range(beams)], beams
        self._size = compiled.vocab_size
        self._roots = {task: _root(compiled, _grammar(task, words, self._locations, suffix)) for task in set(tasks)}
        self._matchers: dict[tuple[Task, tuple[int, ...]], Any] = {}

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """(rows, tokens so far), (rows, vocabulary) -> the scores, minus infinity wherever the grammar says no.

        Raises:
            ComponentError: the batch is not the one that was announced.
        """
        import torch

        rows = input_ids.tolist()
        if len(rows) != len(self._tasks):
            raise ComponentError(
                f"the decoder has {len(rows)} rows, but there are {len(self._tasks) // self._beams} tasks with "
                f"{self._beams} beams; make a constraint for each batch."
            )
        allowed = np.zeros((len(rows), scores.shape[1]), bool)
        matchers = {}
        for row, (task, tokens) in enumerate(zip(self._tasks, rows, strict=True)):
            written = tuple(tokens[2 if tokens[1:2] == [self._start] else 1 :])
            matcher = matchers[task, written] = self._matcher(task, written)
            if matcher is None:
                allowed[row, self._padding] = True
            else:
                allowed[row, : self._size] = self._next(matcher)[: scores.shape[1]]
                allowed[row, self._start] = len(tokens) == 1
                if task == "objects":
                    allowed[row, self._locations[: self._first_allowed_bin(written)]] = False
        self._matchers = matchers
        may = torch.from_numpy(allowed).to(scores.device)
        held = scores.masked_fill(~may, float("-inf"))
        stuck = torch.isneginf(held).all(1, keepdim=True)
        held = held.masked_fill(stuck & may, _LAST_RESORT)
        return torch.where(torch.isfinite(scores).sum(1, keepdim=True) == 1, scores, held)

    def _matcher(self, task: Task, written: tuple[int, ...]) -> Any:
        """The grammar after these tokens; None if the text has ended, or if a beam without a choice broke it."""
        known = next((tokens for tokens in (written, written[:-1]) if (task, tokens) in self._matchers), ())
        matcher = self._matchers.get((task, known), self._roots[task])
        for token in written[len(known) :]:
            if matcher is None or token == self._end or not matcher.validate_tokens([token]):
                return None
            matcher = matcher.deep_copy()
            matcher.consume_token(token)
        return matcher

    def _next(self, matcher: Any) -> NDArray[np.bool_]:
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        mask = allocate_token_bitmask(1, self._size)
        fill_next_token_bitmask(matcher, mask)
        if matcher.is_error():
            raise ComponentError(f"the grammar cannot go on ({matcher.get_error()}); shorten the vocabulary.")
        return np.unpackbits(mask.view(np.uint8), bitorder="little", count=self._size).astype(bool)

    def _first_allowed_bin(self, written: tuple[int, ...]) -> int:
        """The first bin that is not before the beginning of the box, in either order of location tokens."""
        run = next((n for n, token in enumerate(reversed(written)) if token not in self._bins), len(written))
        return self._bins[written[-2]] if run in (2, 3) else 0


def _words(vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    return {
        "LABEL": vocabulary.objects,
        "ATTRIBUTE": vocabulary.attributes,
        "PREDICATE": vocabulary.predicates,
        "TAG": tuple(vocabulary.tags),
    }


def _grammar(task: Task, words: Mapping[str, tuple[str, ...]], locations: Sequence[int], suffix: bool) -> str:
    """In llguidance's Lark."""
    if task == "caption":
        return _CAPTION
    rule, kinds = _RULES[task]
    if not all(words[kind] for kind in kinds):
        return 'start: ""'
    lists = [f"{kind}: {' | '.join(json.dumps(word, ensure_ascii=False) for word in words[kind])}" for kind in kinds]
    named = (_THING if suffix else _BARE_THING,) if "THING" in rule else ()
    return "\n".join((rule, *named, *lists, f"loc: <[{','.join(map(str, locations))}]>"))


def _root(compiled: Any, grammar: str) -> Any:
    from llguidance import LLMatcher

    matcher = LLMatcher(compiled, grammar, log_level=0)
    if matcher.is_error():
        raise ComponentError(f"the vocabulary makes no grammar ({matcher.get_error()}); shorten it.")
    return matcher


def _check_round_trip(tokenizer: Any, compiled: Any, text: str) -> None:
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    if {tokenizer.decode(tokens, clean_up_tokenization_spaces=False), compiled.decode_str(tokens)} != {text}:
        raise ComponentError(
            "the tokenizer does not give a text of the vocabulary's words back as it was; take one whose tokens make "
            "up the text letter by letter, like byte-level BPE."
        )


@lru_cache(maxsize=2)
def _llguidance_tokenizer(tokenizer: Any, size: int) -> tuple[Any, list[int]]:  # noqa: ARG001
    """llguidance's tokenizer, which takes long to make, and the thousand numbers of the location tokens.

    `size` is the tokenizer's: one that has grown is another.
    """
    try:
        from llguidance import LLTokenizer, TokenizerWrapper
        from llguidance.hf import from_tokenizer
    except ImportError as error:
        raise ComponentError(
            f"constrained decoding needs llguidance ({error}); pip install 'kidsnanny[student]'."
        ) from error
    locations = tokenizer.convert_tokens_to_ids([f"<loc_{number}>" for number in range(BINS)])
    if None in locations or len(set(locations)) < BINS:
        raise ComponentError(f"the tokenizer lacks some of <loc_0> to <loc_{BINS - 1}>; add them to it.")
    try:
        return from_tokenizer(tokenizer), locations
    except ValueError:  # not byte-level: its tokens are the text itself
        return LLTokenizer(TokenizerWrapper(_TokenizerAdapter(tokenizer))), locations


class _TokenizerAdapter:
    """What llguidance asks of a tokenizer that it does not know: the bytes of each token."""

    def __init__(self, tokenizer: Any) -> None:
        self.eos_token_id, self.bos_token_id = tokenizer.eos_token_id, tokenizer.bos_token_id
        self.tokens = [token.encode() for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]
        self.special_token_ids = sorted(tokenizer.added_tokens_decoder)
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)
