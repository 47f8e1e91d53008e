import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_codec import VOCABULARY, graphs

from kidsnanny.errors import ComponentError
from kidsnanny.records import SceneGraph
from kidsnanny.stage1.student.codec import MAX_CAPTION, Codec, Task
from kidsnanny.stage1.student.grammar import Constraint
from kidsnanny.stage1.student.vocabulary import Vocabulary

pytestmark = pytest.mark.torch

TASKS: list[Task] = ["objects", "attributes", "relations", "caption", "tags"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LOCATIONS = [f"<loc_{number}>" for number in range(1000)]
MARKS = re.compile("</?s>|<pad>")
LIMIT = 60


def fast(core: Any, special: bool = True) -> Any:
    from transformers import PreTrainedTokenizerFast

    core.add_special_tokens(SPECIAL)
    (core.add_special_tokens if special else core.add_tokens)(LOCATIONS)
    marks = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=core, **marks)


def byte_level(special: bool = True) -> Any:
    """As BART's and Florence-2's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(["(dog:0, chasing, kite:1)", "dog:0 wet", "A dog flies a kite."] * 4, trainer)
    return fast(core, special)


def word_level(joined: bool = True) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    words = [*SPECIAL, *'(),:\n 0123456789"à', *"dog on a leash kite wet called Rex la mode".split()]
    words += "chasing held by animals play".split()
    core = Tokenizer(models.WordLevel({word: n for n, word in enumerate(dict.fromkeys(words))}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r'[0-9 ,:()"\n]'), "isolated")
    if joined:
        core.decoder = decoders.Fuse()
    return fast(core)


TOKENIZERS = {
    "byte-level": byte_level,
    "byte-level, locations not special": lambda: byte_level(special=False),
    "word-level": word_level,
}


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]()


def bart(tokenizer: Any, seed: int, **options: object) -> Any:
    """A tiny one with random weights, and more logits than the tokenizer has tokens, as Florence-2 has."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(seed)
    size = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = BartForConditionalGeneration(
        BartConfig(vocab_size=len(tokenizer) + 5, init_std=1.0, pad_token_id=1, **size, **heads, **options)
    )
    model.final_logits_bias[0, 2] = 3  # most texts should end
    return model.eval()


def write(tokenizer: Any, model: Any, tasks: Sequence[Task], beams: int, held: bool = True, **options: object) -> Any:
    """(texts, whether each ended before the limit)."""
    import torch

    constraint = [Constraint(tokenizer, VOCABULARY, tasks, beams)] if held else []
    prompts = torch.arange(4, 4 + 3 * len(tasks)).reshape(-1, 3)
    out = model.generate(
        prompts, num_beams=beams, max_length=LIMIT, logits_processor=constraint, **{"do_sample": False, **options}
    )
    ended = [row[:-1].tolist().count(2) > 1 for row in out]
    return tokenizer.batch_decode(out, clean_up_tokenization_spaces=False), ended


def faults(task: Task, text: str) -> list[str]:
    """What the codec finds wrong with it, but for what no grammar knows."""
    things = "dog<loc_1><loc_1><loc_2><loc_2>" * (task not in ("objects", "caption"))
    graph: SceneGraph = Codec(VOCABULARY).decode({"objects": things, task: text}, 640, 480)
    known = ("not in the graph", "for another thing", "more")
    return [sentence for sentence in graph.dropped if not any(what in sentence for what in known)]


@pytest.mark.parametrize(("beams", "sampled"), [(1, False), (1, True), (3, False), (3, True)])
def test_what_ends_is_of_the_grammar(tokenizer: Any, beams: int, sampled: bool) -> None:
    written: Counter[Task] = Counter()
    rows = TASKS * 2
    for seed in range(3):
        model = bart(tokenizer, seed)
        held = write(tokenizer, model, rows, beams, do_sample=sampled, min_new_tokens=5)
        loose = write(tokenizer, model, rows, beams, held=False, do_sample=sampled)
        for task, text, ended in zip(rows, *held, strict=True):
            if ended:
                written[task] += len(MARKS.sub("", text)) > 0
                assert faults(task, text) == [], text
        for task, text in zip(rows, loose[0], strict=True):
            assert task == "caption" or not MARKS.sub("", text) or faults(task, text)
    assert min(written[task] for task in ("objects", "attributes", "relations")) > 0, written


COMPLETE: list[tuple[Task, str, bool]] = [
    *((task, "", True) for task in TASKS),
    ("objects", "dog", False),
    ("objects", "dog<loc_1><loc_2><loc_3>", False),
    ("objects", "dog<loc_1><loc_2><loc_3><loc_4>", True),
    ("objects", "dog<loc_1><loc_2><loc_3><loc_4>dog on", False),
    ("objects", "dog<loc_1><loc_2><loc_3><loc_4>dog on a leash<loc_0><loc_0><loc_0><loc_999>", True),
    ("attributes", "dog:0", False),
    ("attributes", "dog:0 wet", True),
    ("attributes", "dog:0 wet,", False),
    ("attributes", "dog:0 wet\n", False),
    ("attributes", 'dog on a leash:107 called "Rex",à la mode\nkite:0 wet', True),
    ("relations", "(dog:0, chasing, kite:1", False),
    ("relations", "(dog:0, chasing, kite:1)", True),
    ("relations", "(dog:0, chasing, kite:1)\n(kite:1, held by, dog on a leash:2)", True),
    ("caption", "A dog, (or: two) flies a kite. Ça va?", True),
    ("caption", "x" * MAX_CAPTION, True),
    ("tags", "animals", True),
    ("tags", "animals,", False),
    ("tags", "animals, play", True),
]
NEVER: list[tuple[Task, str]] = [
    ("objects", "<loc_1>"),
    ("objects", "cat"),
    ("objects", " dog"),
    ("objects", "dog<loc_1><loc_2><loc_3><loc_4><loc_5>"),
    ("objects", "dog:"),
    ("attributes", "dog wet"),
    ("attributes", "dog:00"),
    ("attributes", "dog:1000"),
    ("attributes", "dog:0 chasing"),
    ("attributes", "dog:0 wet\n\n"),
    ("attributes", "dog:0 <loc_1>"),
    ("relations", "(dog:0, wet"),
    ("relations", "(dog:0, chasing, kite:1)("),
    ("caption", "<loc_1>"),
    ("caption", "two\nlines"),
    ("caption", "x" * (MAX_CAPTION + 1)),
    ("tags", "animals, wet"),
]


def following(tokenizer: Any, task: Task, text: str, start: Sequence[int] = (2, 0), *, suffix: bool = True) -> set[int]:
    """The tokens that may follow."""
    import torch

    tokens = [*start, *tokenizer(text, add_special_tokens=False).input_ids]
    held = Constraint(tokenizer, VOCABULARY, [task], suffix=suffix)
    scores = held(torch.tensor([tokens]), torch.zeros(1, len(tokenizer) + 5))
    return set(torch.isfinite(scores[0]).nonzero().flatten().tolist())


@pytest.fixture(scope="module")
def bytes_of() -> Any:
    return byte_level()


@pytest.mark.parametrize(("task", "text", "complete"), COMPLETE)
@pytest.mark.parametrize("start", [(2,), (2, 0)])
def test_eos_only_where_the_text_is_complete(
    bytes_of: Any, task: Task, text: str, complete: bool, start: tuple[int, ...]
) -> None:
    may = following(bytes_of, task, text, start)
    assert (2 in may) is complete
    assert (0 in may) is (text == "" and start == (2,))  # a student may have learnt to begin with <s>
    assert may
    assert not may & {1, 3, *range(len(bytes_of), len(bytes_of) + 5)}


@pytest.mark.parametrize(("task", "text"), NEVER)
def test_what_breaks_the_grammar_leads_nowhere(bytes_of: Any, task: Task, text: str) -> None:
    assert following(bytes_of, task, text) == {bytes_of.pad_token_id}


@pytest.mark.parametrize(("bins", "least"), [((5,), 0), ((5, 7), 5), ((5, 7, 9), 7), ((5, 7, 5, 7, "kite", 3), 0)])
def test_a_box_does_not_end_before_it_begins(bytes_of: Any, bins: tuple[int | str, ...], least: int) -> None:
    text = "dog" + "".join(n if isinstance(n, str) else f"<loc_{n}>" for n in bins)
    assert following(bytes_of, "objects", text) == set(bytes_of.convert_tokens_to_ids(LOCATIONS[least:]))


@given(graphs(), st.booleans())
def test_what_the_codec_writes_is_of_the_grammar(
    bytes_of: Any, drawn: tuple[SceneGraph, int, int], suffix: bool
) -> None:
    for task, text in Codec(VOCABULARY, suffix=suffix).encode(*drawn).items():
        assert 2 in following(bytes_of, task, text, suffix=suffix)


@pytest.mark.parametrize(("task", "text"), [("attributes", "dog on a leash:0"), ("relations", "(dog:0, chasing")])
def test_without_suffix_there_are_no_numbers(bytes_of: Any, task: Task, text: str) -> None:
    assert following(bytes_of, task, text) != {bytes_of.pad_token_id}
    assert following(bytes_of, task, text, suffix=False) == {bytes_of.pad_token_id}


def test_a_row_that_has_ended_is_padded(bytes_of: Any) -> None:
    assert following(bytes_of, "tags", "play</s>") == {bytes_of.pad_token_id}


def test_what_is_forced_stays_and_what_is_stuck_obeys_the_grammar(bytes_of: Any) -> None:
    import torch

    dead = torch.full((2, len(bytes_of)), float("-inf"))
    dead[0, 1] = 0.0  # <pad> is forced
    dead[1, 1:4:2] = 0.0  # all but <pad> and <unk> are ruled out
    held = Constraint(bytes_of, VOCABULARY, ["tags"], beams=2)(torch.tensor([[2], [2]]), dead)
    assert torch.equal(held[0], dead[0])
    assert torch.isfinite(held[1]).any()
    assert bytes_of.decode(held[1].argmax()) in ("<s>", "</s>", "a", "p", "an", "pl")
    assert held[1, 1] == held[1, 3] == float("-inf")


@pytest.mark.parametrize("beams", [1, 3])
def test_florence_2_forces_a_start_and_forbids_repetition(bytes_of: Any, beams: int) -> None:
    options = {"forced_bos_token_id": 0, "no_repeat_ngram_size": 3, "early_stopping": beams > 1}
    texts, ended = write(bytes_of, bart(bytes_of, 1), TASKS, beams, **options)
    assert all(text.startswith("</s><s>") for text in texts)
    assert any(ended)
    assert not any(faults(task, text) for task, text, end in zip(TASKS, texts, ended, strict=True) if end)


def test_words_may_be_lacking(bytes_of: Any) -> None:
    import torch

    bare = Vocabulary(name="bare", objects=("dog",))
    held = Constraint(bytes_of, bare, ["attributes", "relations", "tags"])(torch.full((3, 1), 2), torch.zeros(3, 1400))
    assert torch.isfinite(held).nonzero().tolist() == [[row, mark] for row in range(3) for mark in (0, 2)]


def without_locations() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), unk_token="<unk>", eos_token="</s>")


@pytest.mark.parametrize(
    ("make", "says"),
    [(lambda: word_level(joined=False), "letter by letter"), (without_locations, "lacks some of <loc_0> to <loc_999>")],
)
def test_a_tokenizer_that_cannot_write_the_texts(make: Any, says: str) -> None:
    with pytest.raises(ComponentError, match=says):
        Constraint(make(), VOCABULARY, ["tags"])


def test_another_batch_than_announced(bytes_of: Any) -> None:
    import torch

    with pytest.raises(ComponentError, match="3 rows, but there are 1 tasks with 2 beams"):
        Constraint(bytes_of, VOCABULARY, ["tags"], beams=2)(torch.full((3, 1), 2), torch.zeros(3, 1400))


def test_without_llguidance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(ComponentError, match="pip install 'kidsnanny\\[student\\]'"):
        Constraint(byte_level(), VOCABULARY, ["tags"])
