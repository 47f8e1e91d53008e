"""A trained student: pictures in, scene graphs out, in one pass of the image encoder and one batch of decoding."""

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError, DataError, WeightsError
from kidsnanny.media.loader import RGB
from kidsnanny.models.runtime import Device, Precision, device_and_dtype
from kidsnanny.models.store import digest, is_random
from kidsnanny.records import ModelId, SceneGraph
from kidsnanny.stage1.preparation import pixels
from kidsnanny.stage1.student.boxes import BINS
from kidsnanny.stage1.student.codec import PROMPTS, TAGS_PROMPT, Codec, Task
from kidsnanny.stage1.student.vocabulary import Vocabulary

WEIGHTS = "model.safetensors"
FILES = ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "vocabulary.toml")
TASKS: tuple[Task, ...] = tuple(PROMPTS)
"""What a decoder writes beside a tag head."""
MAX_SCORES = 2**28
"""Numbers of a decoder's scores that are kept at once, a gigabyte: how many frames are described together."""


class DecodedText(NamedTuple):
    """What the decoder wrote for one task."""

    text: str
    score: float
    """How sure it was of the words: the geometric mean of the probabilities of their tokens and of the end, 0..1. Which
    of a few neighbouring location tokens it takes says nothing of what is there."""
    complete: bool
    """Whether it came to an end before the limit."""


class Student:
    """A checkpoint folder, opened: see FILES.

    Args:
        model: a `SenBen`, where and as precise as it shall run.
        tokenizer: its tokenizer, with Florence-2's thousand location tokens.
        vocabulary: the words that it was trained on; as many tags, in this order, as its head has.
        name: for provenance.
        beams: other than the model's own; 1 is greedy.
        constrained: hold the decoder to the vocabulary's grammar.

    Raises:
        ComponentError: vocabulary, tokenizer and model are not of one another.
    """

    reentrant = False

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        vocabulary: Vocabulary,
        model_id: ModelId,
        *,
        beams: int | None = None,
        constrained: bool = True,
    ) -> None:
        self.model, self.tokenizer, self.vocabulary, self.model_id = model, tokenizer, vocabulary, model_id
        self.settings = model.settings
        if self.settings.tags != len(vocabulary.tags):
            raise ComponentError(
                f"{model_id}: its head knows {self.settings.tags} tags and the vocabulary {vocabulary.name} has "
                f"{len(vocabulary.tags)}; give it the vocabulary that it was trained on."
            )
        if None in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
            fix = "give it the tokenizer_config.json it was trained with"
            raise ComponentError(f"{model_id}: its tokenizer names no token that begins, ends or pads a text; {fix}.")
        if tokenizer.convert_tokens_to_ids("<loc_999>") in (None, tokenizer.unk_token_id):
            raise ComponentError(
                f"{model_id}: its tokenizer has no <loc_999>; give it the tokenizer it was trained with."
            )
        places = tokenizer.convert_tokens_to_ids([f"<loc_{number}>" for number in range(BINS)])
        self._silent = [tokenizer.pad_token_id, tokenizer.bos_token_id, *places]
        self.codec = Codec(vocabulary, self.settings.loc_order, suffix=self.settings.suffix)
        self._beams = self.settings.beams if beams is None else beams
        if self._beams < 1:
            raise ComponentError(f"{model_id}: it cannot decode with {beams} beams; give 1 (greedy) or more.")
        self._constrained = constrained
        self.ask(TASKS if self.settings.tags_from == "head" else (*TASKS, "tags"))
        kept = len(self.tasks) * self._beams * len(tokenizer) * self.settings.max_new_tokens
        self._at_once = max(1, MAX_SCORES // kept)

    def ask(self, tasks: Sequence[Task]) -> None:
        """Have the decoder write these texts of each picture, and no others. A training may ask for some of them."""
        self.tasks: tuple[Task, ...] = tuple(tasks)
        """What the decoder writes of each picture, in the order of its rows."""
        prompts: dict[Task, str] = PROMPTS | {"tags": TAGS_PROMPT}
        encoded = self.tokenizer([prompts[task] for task in tasks], padding=True, return_tensors="pt")
        device = self.model.device
        self.prompts, self.prompts_mask = (encoded[key].to(device) for key in ("input_ids", "attention_mask"))

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        compiled: bool = False,
        beams: int | None = None,
        constrained: bool = True,
    ) -> Self:
        """Open a checkpoint folder. Only safetensors are loaded, and no code of the folder's.

        Args:
            folder: the student's.
            device: `auto` is CUDA where there is one.
            precision: `auto` is float32 on the CPU and bfloat16 on CUDA.
            compiled: `torch.compile` of the image encoder; the first picture takes a minute.
            beams, constrained: see the class.

        Raises:
            WeightsError: the folder has no student, or one whose weights do not fit to the last name.
            ComponentError: a package, the device, the vocabulary or the tokenizer is missing or unfit.
        """
        folder = Path(folder)
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise WeightsError(
                f"{folder}: a student's folder has {', '.join(FILES)}, and it lacks {', '.join(missing)}."
            )
        try:
            import torch
            from transformers import PreTrainedTokenizerFast

            from kidsnanny.stage1.student.florence import SenBen
        except ImportError as error:
            fix = "run `pip install 'kidsnanny[student]'`"
            raise ComponentError(f"{folder}: a student needs torch and transformers ({error}); {fix}.") from error
        vocabulary = Vocabulary.load(folder / "vocabulary.toml")
        where, dtype = device_and_dtype(str(folder), device, precision)
        model, mismatch = SenBen.read(folder)
        if str(mismatch):
            fix = "give them the config.json that they were trained with"
            raise WeightsError(f"{folder}: its weights do not fit the network of its config.json: {mismatch}; {fix}.")
        try:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the library's own, and whatever a broken file makes it raise
            why = str(error).partition("\n")[0]
            raise ComponentError(
                f"{folder}: its tokenizer.json and tokenizer_config.json do not open ({why}); get them again."
            ) from error
        model = model.to(where, dtype)
        _check_forward(folder, model, where, dtype)
        if compiled:
            model.model.vision_tower = torch.compile(model.model.vision_tower, mode="reduce-overhead")
        path = folder / WEIGHTS
        revision = _revision(folder, dtype, model.settings.beams if beams is None else beams, constrained)
        model_id = model.settings.model_id(folder.resolve().name, revision, random=is_random(path))
        return cls(model, tokenizer, vocabulary, model_id, beams=beams, constrained=constrained)

    def save(self, folder: Path, *, random: bool = False) -> None:
        """Write what `open` reads, in half precision.

        Args:
            folder: made if need be.
            random: the weights are, and the file shall say so.

        Raises:
            DataError: it cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_model

        model = copy.deepcopy(self.model).half()
        tower = model.model.vision_tower
        model.model.vision_tower = getattr(tower, "_orig_mod", tower)  # what was compiled
        try:
            folder.mkdir(parents=True, exist_ok=True)
            model.config.save_pretrained(folder)
            model.generation_config.save_pretrained(folder)
            save_model(model, str(folder / WEIGHTS), {"format": "pt"} | ({"kidsnanny": "random"} if random else {}))
            (folder / WEIGHTS).chmod(0o644)  # as the others
            self.tokenizer.save_pretrained(folder)
            self.vocabulary.save(folder / "vocabulary.toml")
        except (OSError, SafetensorError) as error:
            raise DataError(f"{folder}: the student cannot be written ({error}); name another folder.") from error

    def __call__(self, frames: Sequence[RGB], describe_above: float = 0.0) -> list[SceneGraph]:
        """The scene graph of each (H, W, 3) uint8 RGB frame.

        Args:
            frames: any sizes.
            describe_above: decode only frames with a tag of at least this probability; the graphs of the others hold
                only tags. 0 decodes all, anything above 1 none. A student whose decoder writes the tags knows 0 only;
                a tag that it writes gets 1.0, any other 0.0.

        Raises:
            ComponentError: the network returned NaN or infinity, or `describe_above` needs tags that are not known.
        """
        import torch

        written = self.settings.tags_from == "text"
        if written and describe_above > 0:
            raise ComponentError(
                f"{self.model_id}: its decoder writes the tags, so they cannot say which frames it shall describe; set "
                "describe_above to 0."
            )
        if not frames:
            return []
        with torch.inference_mode():
            features = self.features(frames)
            tags = np.zeros((len(frames), len(self.vocabulary.tags)), np.float32) if written else self.tags(features)
            graphs = [SceneGraph(tags=dict(zip(self.vocabulary.tags, row.tolist(), strict=True))) for row in tags]
            selected = [n for n, row in enumerate(tags) if row.max(initial=0.0) >= describe_above]
            parts = [selected[start : start + self._at_once] for start in range(0, len(selected), self._at_once)]
            for n, decoded in zip(
                selected, (one for part in parts for one in self.describe(features[part])), strict=True
            ):
                height, width = frames[n].shape[:2]
                texts = {task: one.text for task, one in decoded.items()}
                scores = {task: one.score for task, one in decoded.items()}
                graph = self.codec.decode(texts, width, height, scores)
                limit = self.settings.max_new_tokens
                cut = (
                    f"{task}: it was cut off after {limit} tokens" for task, one in decoded.items() if not one.complete
                )
                graphs[n] = graph.model_copy(
                    update={"tags": graphs[n].tags | graph.tags, "dropped": (*graph.dropped, *cut)}
                )
        return graphs

    def pixels(self, frames: Sequence[RGB]) -> Any:
        """(N, 3, input, input) tensor, as the image encoder wants it."""
        import torch

        given = torch.from_numpy(np.stack([pixels(frame, self.settings) for frame in frames]))
        return given.to(self.model.device, self.model.dtype)

    def features(self, frames: Sequence[RGB]) -> Any:
        """(N, positions, width) tensor of the image encoder."""
        return self.model.features(self.pixels(frames))

    def tags(self, features: Any) -> npt.NDArray[np.float32]:
        """(N, tags) probabilities in 0..1, in the vocabulary's order. The decoder has no part in it.

        Raises:
            ComponentError: they are not numbers, or nobody trained the head, because the decoder writes the tags.
        """
        if self.settings.tags_from == "text":
            fix = "let it describe the picture, or train it with a tag head"
            raise ComponentError(f"{self.model_id}: its decoder writes the tags and its tag head knows none; {fix}.")
        found: npt.NDArray[np.float32] = self.model.tag_head(features).float().sigmoid().cpu().numpy()
        if not np.isfinite(found).all():
            raise ComponentError(f"{self.model_id}: its tag head returned NaN or infinity; use float32.")
        return found

    def describe(self, features: Any) -> list[dict[Task, DecodedText]]:
        """What the decoder writes for each task of each picture.

        Raises:
            ComponentError: the decoder returned NaN.
        """
        written = self.write(features)
        texts = self.tokenizer.batch_decode(written.sequences, clean_up_tokenization_spaces=False)
        # the last token may be an end that was forced
        ended = (written.sequences[:, 1 : self.settings.max_new_tokens] == self.tokenizer.eos_token_id).any(1).tolist()
        decoded = list(map(DecodedText, texts, self._scores(written), ended))
        count = len(self.tasks)
        return [dict(zip(self.tasks, decoded[n : n + count], strict=True)) for n in range(0, len(decoded), count)]

    def write(self, features: Any) -> Any:
        """What transformers' `generate` gives for every task of every picture (picture by picture), as one batch."""
        from transformers import DynamicCache, EncoderDecoderCache
        from transformers.generation import LogitsProcessorList

        class Shared(EncoderDecoderCache):  # type: ignore[misc]
            """All beams of a row look at the same picture, so there is nothing to reorder but what they wrote."""

            def reorder_cache(self, beam_idx: Any) -> None:
                self.self_attention_cache.reorder_cache(beam_idx)

        encoded, mask = self.model.encoded(features, self.prompts, self.prompts_mask)
        return self.model.generate(
            encoder_outputs=encoded,
            attention_mask=mask,
            cache=Shared(DynamicCache(), DynamicCache()),
            num_beams=self._beams,
            do_sample=False,
            max_new_tokens=self.settings.max_new_tokens,
            num_return_sequences=1,
            stop_strings=None,
            no_repeat_ngram_size=0,  # Florence-2's own 3 allows `male:0` only one relation
            logits_processor=LogitsProcessorList(self._constraint(self.tasks * len(features))),
            return_dict_in_generate=True,
            output_scores=True,
        )

    def _constraint(self, rows: Sequence[Task]) -> list[Any]:
        if not self._constrained:
            return []
        from kidsnanny.stage1.student.grammar import Constraint

        return [Constraint(self.tokenizer, self.vocabulary, rows, self._beams, suffix=self.settings.suffix)]

    def _scores(self, written: Any) -> list[float]:
        """exp of the mean log-probability, among the tokens that were allowed, of each row's words and end."""
        import torch

        rows = torch.arange(len(written.sequences), device=written.sequences.device)
        beams = written.beam_indices.T.clamp(min=0) if self._beams > 1 else [rows] * len(written.scores)
        tokens = written.sequences[:, 1:]
        each = torch.stack(
            [
                scores[beam].float().log_softmax(1)[rows, token]
                for scores, beam, token in zip(written.scores, beams, tokens.T, strict=False)
            ],
            1,
        )
        if each.isnan().any():
            raise ComponentError(f"{self.model_id}: its decoder returned NaN; use float32.")
        said = ~torch.isin(tokens, torch.tensor(self._silent, device=tokens.device))
        return torch.exp(each.where(said, 0).sum(1) / said.sum(1).clamp(min=1)).tolist()  # type: ignore[no-any-return]


def _check_forward(folder: Path, model: Any, where: Any, dtype: Any) -> None:
    """Run the image encoder and the tag head once, so that an unfit configuration fails here."""
    import torch

    side = model.settings.input
    try:
        with torch.inference_mode():
            model.tag_head(model.features(torch.zeros(1, 3, side, side, device=where, dtype=dtype)))
    except torch.OutOfMemoryError as error:
        raise ComponentError(f"{folder}: there is no room for it on {where}; free some, or take the CPU.") from error
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise WeightsError(
            f"{folder}: its network cannot look at {side} x {side} pixels ({why}); correct senben.input, heads or "
            "vision_config in config.json."
        ) from error


def _revision(folder: Path, dtype: Any, beams: int, constrained: bool) -> str:
    """Checksums of the files and the decoding options, for provenance."""
    import torch

    others = "".join(digest(folder / file) for file in FILES if file != WEIGHTS)
    how = [f"files={hashlib.sha256(others.encode()).hexdigest()[:8]}"]
    how += [f"beams={beams}"] + ["unconstrained"] * (not constrained)
    how += [str(dtype).removeprefix("torch.")] * (dtype != torch.float32)
    return ",".join([digest(folder / WEIGHTS)[:12], *how])
