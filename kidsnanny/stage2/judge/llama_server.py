"""Serving a GGUF file as the judge's model with llama.cpp's own server, which needs no GPU (extra `llama`).

The server listens on this machine alone and asks for a key. The policy part of the prompt is the same in every question
and is kept from one to the next; a first question at the start pays for it, so that no client's time runs out over it.
"""

import os
import signal
from pathlib import Path
from typing import Any

from kidsnanny.errors import ComponentError
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.judge.prompt import HARMLESS

FIRST_ANSWER = 900.0
"""Seconds that the first question may take: it reads the whole policy part, on slow processors in minutes."""


def start(path: Path, name: str, key: str, *, port: int, context: int, threads: int | None = None) -> Any:
    """The running server, on 127.0.0.1, with the policy part of the prompt known.

    Args:
        path: the GGUF file.
        name: under which the server lists the model.
        key: every question must carry it.
        port: where it listens, 1..65535.
        context: tokens that prompt and answer may have.
        threads: None takes as many as the machine has processors.

    Raises:
        ComponentError: xllamacpp is not installed, the key is empty, there is no such file, or it cannot be served.
        JudgeError: the first question got no answer.
    """
    if not key:
        raise ComponentError("The server needs a key; set KIDSNANNY_JUDGE_KEY to one of yours.")
    if not path.is_file():
        raise ComponentError(f"{path}: there is no such file; name a GGUF file.")
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
    parameters.n_ctx, parameters.n_parallel, parameters.cache_prompt = context, 1, True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads or os.cpu_count() or 1
    try:
        server = xllamacpp.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise ComponentError(
            f"{path}: llama.cpp cannot serve it ({error}); see its log, or try another port."
        ) from error
    judge = OpenAIJudge(f"http://127.0.0.1:{port}/v1", name, api_key=key, timeout=FIRST_ANSWER)
    try:
        judge.ask(HARMLESS)
    finally:
        judge.close()
    return server


def wait() -> None:
    """Until somebody stops the program."""
    signal.pause()
