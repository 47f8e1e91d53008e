"""The network: transformers' own Florence-2, and a Query2Label head behind a stop-gradient.

    pixels ─ DaViT ─ projector ─┬─ (detached) ─ Query2Label head ──────────────► tags
                                └─ BART encoder (with a prompt) ─ BART decoder ─► one task's text

Needs torch and transformers (the extra `student`). Sizes as published (arXiv 2604.08819): DaViT-B
88M, encoder and decoder 144M, head 9.5M. How the head spends its 9.5M is not published: one decoder layer of width 768
with 16 queries and a group-wise linear has 9,476,368 parameters, so that is our default.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from pydantic import ValidationError
from torch import nn
from transformers import Florence2Config, Florence2ForConditionalGeneration
from transformers.utils import logging

from kidsnanny.errors import WeightsError
from kidsnanny.faults import first_fault
from kidsnanny.stage1.student.settings import Settings


class Query2Label(nn.Module):  # type: ignore[misc]
    """Label queries look at the image features, and give a logit per label (arXiv 2107.10834).

    Args:
        width: of the features and queries.
        labels: K.
        heads, feed_forward: of its one transformer decoder layer.
    """

    def __init__(self, width: int, labels: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(labels, width) * 0.02)
        self.layer = nn.TransformerDecoderLayer(width, heads, feed_forward, dropout=0.1, batch_first=True)
        self.weight = nn.Parameter(torch.randn(labels, width) * 0.02)  # group-wise: each label has a row of its own
        self.bias = nn.Parameter(torch.zeros(labels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, positions, width) image features -> (N, K) logits. No gradient goes back into the features."""
        memory = features.detach()
        seen = self.layer(self.queries.expand(len(memory), -1, -1), memory)
        return (seen * self.weight).sum(-1) + self.bias


class WeightMismatch(NamedTuple):
    """Names of weights by what is wrong with them, as transformers reports them."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shape: tuple[str, ...]

    def __str__(self) -> str:
        """For each kind how many, and in which parts: `12 missing (12 tag_head: tag_head.bias…)`."""
        rows = []
        for kind, names in self._asdict().items():
            parts: dict[str, list[str]] = {}
            for name in names:
                parts.setdefault(".".join(name.split(".")[:2]), []).append(name)
            listed = ", ".join(f"{len(found)} of {part} such as {found[0]}" for part, found in parts.items())
            rows += [f"{len(names)} {'of another shape' if kind == 'shape' else kind} ({listed})"] * bool(names)
        return "; ".join(rows)


class SenBen(Florence2ForConditionalGeneration):  # type: ignore[misc]
    """Florence-2 with a tag head. `config.senben` has the Settings as a dict."""

    def __init__(self, config: Florence2Config) -> None:
        super().__init__(config)
        self.settings = Settings.model_validate(config.senben)
        width = config.text_config.d_model
        self.tag_head = Query2Label(width, self.settings.tags, self.settings.heads, self.settings.feed_forward)

    def _init_weights(self, module: nn.Module) -> None:
        if not isinstance(module, Query2Label):  # it has drawn its own
            super()._init_weights(module)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, input, input) normalised pixels -> (N, positions, width): the one pass that all tasks share."""
        features: torch.Tensor = self.get_image_features(pixels).pooler_output
        return features

    def encoded(self, features: torch.Tensor, prompts: torch.Tensor, mask: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """The BART encoder's output for every picture with every prompt, and its attention mask.

        Args:
            features: (N, positions, width).
            prompts: (T, length) token ids.
            mask: (T, length), 0 where a prompt is padded.

        Returns:
            Both of N * T rows, picture by picture.
        """
        pictures, positions, _ = features.shape
        words = self.get_input_embeddings()(prompts).repeat(pictures, 1, 1)
        seen = features.repeat_interleave(len(prompts), 0)
        whole = torch.cat([mask.new_ones(len(seen), positions), mask.repeat(pictures, 1)], 1)
        given = torch.cat([seen, words], 1)
        return self.model.language_model.encoder(inputs_embeds=given, attention_mask=whole), whole

    @classmethod
    def read(cls, folder: Path, **settings: Any) -> tuple[Self, WeightMismatch]:
        """Open a checkpoint folder: `config.json` and safetensors, in float32, and what of it does not fit. A tag head
        that it lacks, or has with another number of tags, is freshly drawn.

        Args:
            folder: the checkpoint's.
            settings: fields of Settings, in place of those in its `config.json`, which need have none then.

        Raises:
            WeightsError: it is no such folder.
        """
        try:
            config = Florence2Config.from_pretrained(folder, local_files_only=True)
            if settings:
                width = config.text_config.d_model
                head = {"heads": max(1, width // 64), "feed_forward": 4 * width}  # of Florence-2-base, as Settings has
                config.senben = {**(getattr(config, "senben", None) or head), **settings}
            if not getattr(config, "senben", None):
                raise WeightsError(
                    f"{folder}: config.json has no block `senben`, so the head's size and the order of location tokens "
                    'are unknown; add one, like "senben": {"tags": 16}.'
                )
            Settings.model_validate(config.senben)
            with _quiet():
                model, report = cls.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    use_safetensors=True,
                    dtype=torch.float32,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
        except WeightsError:
            raise
        except ValidationError as error:
            where, why = first_fault(error)
            where = ".".join(("senben", *filter(None, (where,))))
            raise WeightsError(f"{folder}: {where} in config.json: {why}; correct it.") from error
        except Exception as error:  # the libraries' own, and whatever a broken file makes them raise
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise WeightsError(f"{folder}: it is no checkpoint of Florence-2's kind ({said}); get it again.") from error
        wrong = (sorted(name if isinstance(name, str) else name[0] for name in report[kind]) for kind in _KINDS)
        mismatch = WeightMismatch(*map(tuple, wrong))
        if any(name.startswith("tag_head.") for name in (*mismatch.missing, *mismatch.shape)):
            width, own = config.text_config.d_model, model.settings  # transformers leaves what it cannot read undrawn
            model.tag_head = Query2Label(width, own.tags, own.heads, own.feed_forward)
        return model.eval(), mismatch


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and its table of mismatches, which the error names."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


_KINDS = ("missing_keys", "unexpected_keys", "mismatched_keys")
