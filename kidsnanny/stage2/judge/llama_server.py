"""Serving a GGUF file as the judge's model with llama.cpp's own server, which needs no GPU (extra `llama`).

The server listens on this machine alone and asks for a key. The policy part of the prompt is the same in every question
and is kept from one to the next; a first question at the start pays for it, so that no client's time runs out over it.
"""

import threading
from pathlib import Path
from typing import Any

from kidsnanny.errors import ComponentError
from kidsnanny.models.cards import JudgeCard, find_card
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.judge.prompt import HARMLESS
from kidsnanny.workers import cores

SLOTS = 2
"""Prompts that are kept: the verdict's and the explanation's, which begin differently."""
MODEL = "qwen2.5-coder-1.5b"
FIRST_ANSWER = 900.0
"""Seconds that the first question may take: it reads the whole policy part, on slow processors in minutes."""


def model_file(named: str) -> tuple[Path, str]:
    """A GGUF file and the name under which it is served: of a file, its own; of a card, the card's.

    Args:
        named: a path, or the name of a judge's card, whose checksum is then verified.

    Raises:
        WeightsError: there is neither such a file nor such a card, or the card's file is not here or is another.
    """
    path = Path(named)
    if path.suffix == ".gguf" and path.is_file():
        return path, path.stem
    card = find_card(named, JudgeCard)
    return card.locate(), card.name


def start(path: Path, name: str, key: str, *, port: int, context: int, threads: int | None = None) -> Any:
    """The running server, on 127.0.0.1, with the policy part of the prompt known.

    Args:
        path: the GGUF file.
        name: under which the server lists the model.
        key: every question must carry it.
        port: where it listens, 1..65535.
        context: tokens that prompt and answer may have.
        threads: None takes as many as the process may run on.

    Raises:
        ComponentError: xllamacpp is not installed, or the file cannot be served.
        JudgeError: the first question got no answer.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise ComponentError("xllamacpp is not installed here; run `pip install 'kidsnanny[llama]'`.") from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {name}
    parameters.hostnames, parameters.port = ["127.0.0.1"], port
    parameters.api_keys = [key]
    parameters.cors_origins = ""
    parameters.ui = parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False
    parameters.n_ctx, parameters.n_parallel, parameters.cache_prompt = SLOTS * context, SLOTS, True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads or cores()
    try:
        server = xllamacpp.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise ComponentError(
            f"{path}: llama.cpp cannot serve it ({error}); see its log, or try another port."
        ) from error
    judge = OpenAIJudge(f"http://127.0.0.1:{port}/v1", name, api_key=key, timeout=FIRST_ANSWER, explains=False)
    try:
        judge.ask(HARMLESS)
    finally:
        judge.close()
    return server


def wait() -> None:
    """Until somebody stops the program."""
    threading.Event().wait()
