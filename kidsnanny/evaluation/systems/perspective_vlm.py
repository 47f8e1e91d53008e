"""PerspectiveVision's vision-language model (arXiv 2405.03486) behind an OpenAI-compatible server.

It is asked about the categories that the caller chose, in words of ours; the format of the answer is the paper's, whose
own code takes a random label where an answer has another. Here such a picture is unscored.

**It sends the pictures to that server**, each as a PNG of its first frame, without name or metadata.
"""

import os
import weakref
from collections.abc import Sequence

from kidsnanny.errors import ComponentError, JudgeError
from kidsnanny.evaluation.datasets import ANY_CATEGORY
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.system import HALF, Answer, Baseline, Options, Shown, data_url
from kidsnanny.records import ModelId
from kidsnanny.stage2.judge.chat_client import ChatClient, UnusableAnswerError
from kidsnanny.stage2.judge.connection import Connection, Wording
from kidsnanny.stage2.judge.prompt import template
from kidsnanny.taxonomy import UNSAFEBENCH, UNSAFEBENCH_DEFINITIONS, ordered

NAME = "perspective-vlm"
URL, KEY, MODEL = "KIDSNANNY_PERSPECTIVE_URL", "KIDSNANNY_PERSPECTIVE_KEY", "KIDSNANNY_PERSPECTIVE_MODEL"
"""Environment variables: the API's root, its key if it asks for one, and which of its models."""
WORDING = Wording("vision-language model", KEY, f"start it, or set {URL} to where it is", "see the server's log")
TIMEOUT = 120.0
"""Seconds for one picture."""
PAUSE = 5.0
"""Seconds for which a server that does not answer is left alone."""
TOKENS = 64
"""Of an answer, at most; the longest that counts has about 20."""


def perspective_vlm(options: Options) -> Baseline:
    """The model that the server has, asked about those of UnsafeBench's categories that are evaluated.

    Raises:
        ComponentError: nothing says where the server is, it does not answer or has no such model, or none of
            UnsafeBench's categories is evaluated.
    """
    chosen = chosen_categories(options.categories)
    client, model = _client()
    asked = prompt(chosen)

    def look(shown: Sequence[Shown]) -> list[Answer]:
        return [ask(one) for one in shown]

    def ask(one: Shown) -> Answer:
        picture = {"type": "image_url", "image_url": {"url": data_url(one.frame)}}
        content = [picture, {"type": "text", "text": asked}]
        try:
            choice = client.ask([{"role": "user", "content": content}], max_tokens=TOKENS)
        except UnusableAnswerError as error:
            if error.refused:  # perhaps the server sees no pictures: it says nothing of this one
                raise
            return Answer(None, str(error), error.content)
        return read_answer(str(choice["message"]["content"]), chosen)

    threshold, origin = options.threshold(NAME, HALF, "between its two answers: there are no others")
    about = SystemDescription(
        name=NAME,
        regime="multimodal",
        categories=ordered([ours for name in chosen for ours in UNSAFEBENCH[name] or ()]),
        rule=f"its answer's Safety Status, Unsafe 1 and Safe 0, when it is asked about {', '.join(chosen)} at once; "
        "any other answer is unscored",
        licence="that of the model that is served; PerspectiveVision's we could not check",
        threshold=threshold,
        origin=origin,
        models={"server": (ModelId(name=model, revision=template("perspective")[0]),)},
    )
    system = Baseline(about, look, batch=1, beyond=chosen)
    weakref.finalize(system, client.connection.close)
    return system


def chosen_categories(evaluated: Sequence[str]) -> tuple[str, ...]:
    """UnsafeBench's categories among those that are evaluated, whose names may also be ours; all of them if none is
    named.

    Raises:
        ComponentError: there are none.
    """
    if not evaluated or ANY_CATEGORY in evaluated:
        return tuple(UNSAFEBENCH)
    wanted = set(evaluated)
    if found := tuple(name for name, ours in UNSAFEBENCH.items() if wanted & {name, *(ours or ())}):
        return found
    fix = f"with --category, name some of {', '.join(UNSAFEBENCH)}"
    raise ComponentError(f"{NAME}: it does not speak about {', '.join(evaluated)}; {fix}.")


def prompt(categories: Sequence[str]) -> str:
    """What the model is asked about a picture: whether it is unsafe by these of UnsafeBench's categories."""
    lines = (f"{name}: {UNSAFEBENCH_DEFINITIONS[name]}" for name in categories)
    return template("perspective")[2].format(categories="\n".join(lines))


def read_answer(words: str, categories: Sequence[str]) -> Answer:
    """What an answer amounts to: one of the lines that were asked for, letter by letter, or nothing.

    Args:
        words: the model's, with or without blanks around them.
        categories: those that it was asked about; another is no answer.
    """
    scores = {"Safety Status: Safe, Unsafe Category: None": 0.0}
    scores |= {f"Safety Status: Unsafe, Unsafe Category: {name}": 1.0 for name in categories}
    score = scores.get(words.strip())
    return Answer(score, None if score is not None else "its answer is not one of the lines that were asked for", words)


def _client() -> tuple[ChatClient, str]:
    """A client of the server, and the name of its model.

    Raises:
        ComponentError: there is no server, or no such model.
    """
    if not (url := os.environ.get(URL)):
        raise ComponentError(
            f"{NAME}: nothing says where its model is; set {URL} to an OpenAI-compatible server with a model that sees "
            "pictures (they will be sent to it)."
        )
    connection = Connection(url, os.environ.get(KEY), TIMEOUT, 1, PAUSE, wording=WORDING)
    client = ChatClient(connection, os.environ.get(MODEL) or None)
    try:
        known = client.models()
        model = client.served()
    except JudgeError as error:
        connection.close()
        raise ComponentError(f"{NAME}: {error}") from error
    if model not in known:
        connection.close()
        raise ComponentError(
            f"{NAME}: {connection.url} serves {', '.join(known)}, and not {model}; set {MODEL} to one of them."
        )
    return client, model
