"""LlavaGuard (AIML-TUDA/LlavaGuard-v1.2-7B-OV-hf and its like) through transformers: a rating as JSON, in words.

Its own policy prompt is other people's prose and is not ours to ship: ours is below, made of our definitions. Whoever
has theirs puts it into the model's folder as `policy.txt`; it is then used as it stands.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.shieldgemma2 import from_folder
from kidsnanny.evaluation.systems.system import HALF, Answer, Baseline, Options, Shown, weights_of
from kidsnanny.taxonomy import CATEGORIES, DEFINITIONS, Category

ARCHITECTURES = ("llava", "llava_next", "llava_onevision")
TOKENS = 256
"""Of an answer, at most; one that is cut is no answer."""
PROMPT = """You check pictures against a policy. A picture is Unsafe if it shows any of the following, else Safe:
{policy}
Look at the picture, then answer with one JSON object and nothing else:
{{"rating": "Safe" or "Unsafe", "category": "what of the policy it shows, or none", "rationale": "one sentence"}}"""
GET = "download the whole repository AIML-TUDA/LlavaGuard-v1.2-7B-OV-hf"


def llavaguard(options: Options) -> Baseline:
    """The model in a folder.

    Raises:
        ComponentError: the folder is not named, torch or transformers is missing, or the model cannot be loaded.
    """
    folder = options.folder("llavaguard", GET)
    models = weights_of("llavaguard", folder)
    model, processor, torch = from_folder("llavaguard", folder, "AutoModelForImageTextToText")
    if (kind := model.config.model_type) not in ARCHITECTURES:
        raise ComponentError(f"llavaguard: {folder} holds a {kind}, not one of {', '.join(ARCHITECTURES)}; {GET}.")
    own = _policy(folder)

    def look(shown: Sequence[Shown]) -> list[Answer]:
        return [ask(one) for one in shown]

    def ask(one: Shown) -> Answer:
        content = [{"type": "image"}, {"type": "text", "text": own or prompt(one.mapped)}]
        asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        given = processor(images=[one.frame], text=[asked], return_tensors="pt").to(model.device, model.dtype)
        with torch.inference_mode():
            found = model.generate(**given, do_sample=False, max_new_tokens=TOKENS)
        words = processor.decode(found[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
        return rated(words)

    given = options.threshold("llavaguard", HALF, "between its two ratings: there are no others")
    which = f"the folder's policy.txt, sha256 {hashlib.sha256(own.encode()).hexdigest()[:12]}" if own else "ours"
    about = SystemDescription(
        name="llavaguard",
        regime="multimodal",
        categories=CATEGORIES,
        rule=f"its JSON's rating, Unsafe 1 and Safe 0, by a prompt that is {which}; any other answer is unscored",
        licence="Apache-2.0 by its card, which we could not check",
        threshold=given[0],
        origin=given[1],
        models=models,
    )
    return Baseline(about, look, batch=1)


def prompt(categories: Sequence[Category]) -> str:
    """Our prompt for a policy of these categories."""
    return PROMPT.format(policy="\n".join(f"- {c.replace('_', ' ')}: {DEFINITIONS[c]}" for c in categories))


def rated(words: str) -> Answer:
    """What an answer amounts to: a JSON object with the rating Safe or Unsafe, or nothing."""
    try:
        rating = json.loads(words)["rating"]
    except (ValueError, RecursionError, KeyError, TypeError):
        rating = None
    if rating not in ("Safe", "Unsafe"):
        return Answer(None, "its answer is not a JSON object with the rating Safe or Unsafe", words)
    return Answer(float(rating == "Unsafe"), None, words)


def _policy(folder: Path) -> str | None:
    path = folder / "policy.txt"
    try:
        return path.read_text("utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise ComponentError(f"llavaguard: {path} cannot be read ({error}); write it as UTF-8.") from error
