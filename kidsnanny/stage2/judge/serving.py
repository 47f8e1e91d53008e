"""Serving the judge's model with vLLM, and proving that a server, whichever it is, can be the judge."""

import ipaddress
import os
import random
import re
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn

from kidsnanny.errors import ComponentError, JudgeError
from kidsnanny.stage2.judge.connection import JUDGE
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.judge.prompt import HARMLESS
from kidsnanny.stage2.untrusted import MAX_CHARACTERS, MAX_LINES, clean
from kidsnanny.taxonomy import Category

MODEL = "Qwen/Qwen2.5-7B-Instruct"
CONTEXT = 8192
"""Tokens: our own words, and as much text as `untrusted.clean` lets through, at a token a character."""
FLAGS = (
    "--enable-prefix-caching",  # what stands before the picture's part is computed once
    "--enable-prompt-tokens-details",  # and each answer says how much of it was
    *("--generation-config", "vllm"),  # without the sampling that the model ships: it bends what is most likely
    *("--limit-mm-per-prompt", '{"image":0,"video":0,"audio":0}'),  # the judge never sees a picture
    # the other backend, xgrammar, lets control characters into a string that has a maxLength: that is no JSON
    *("--structured-outputs-config", '{"backend":"guidance","disable_any_whitespace":true}'),
)
ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def command(
    model: str = MODEL,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    context: int = CONTEXT,
    memory: float | None = None,
    extra: Sequence[str] = (),
) -> list[str]:
    """`vllm serve` with our flags, then `extra`, which may overrule them, then host and port, which it may not."""
    share = [] if memory is None else ["--gpu-memory-utilization", str(memory)]
    address = ["--host", host, "--port", str(port)]
    return ["vllm", "serve", model, *FLAGS, "--max-model-len", str(context), *share, *extra, *address]


def serve(arguments: Sequence[str], key: str | None) -> NoReturn:
    """Become that command. The key goes by the environment, where no list of processes shows it.

    Raises:
        ComponentError: vLLM is not installed.
    """
    program = shutil.which("vllm", path=os.path.dirname(sys.executable)) or shutil.which("vllm")
    if not program:
        raise ComponentError(
            "vLLM is not installed here; run `pip install 'kidsnanny[vllm]'` in an environment of its own, or use "
            "llama.cpp (`--engine llama`) or Ollama (`kidsnanny llm serve --help` says how)."
        )
    os.execve(program, list(arguments), os.environ | ENVIRONMENT | ({"VLLM_API_KEY": key} if key else {}))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ServerCheck(NamedTuple):
    """The result of one check of a server; `detail` of one that is not `well` says what to do."""

    what: str
    well: bool
    detail: str
    figures: Mapping[str, Any] = {}


class _Outcome(NamedTuple):
    detail: str
    figures: Mapping[str, Any] = {}


def check_server(judge: OpenAIJudge, model: str | None = None, repeats: int = 20) -> Iterator[ServerCheck]:
    """Every check, as it is made. Ends with the first that leaves nothing more to be found.

    Args:
        judge: a client of the server.
        model: the one that must be served; None: any.
        repeats: how often the verdict and the explanation are asked for, for latency and stability.
    """
    for what, proof in (("server", partial(_models, model)), ("verdict", _verdict)):
        yield (check := _checked(what, partial(proof, judge)))
        if not check.well:
            return
    yield _checked("explanation", partial(_explanation, judge))
    yield _checked("long text", partial(_long_text, judge))
    try:
        yield from _repeated(judge, repeats)
    except JudgeError as error:
        yield ServerCheck("repeats", False, str(error).replace(JUDGE.check, "see its log"))


def _checked(what: str, proof: Callable[[], _Outcome]) -> ServerCheck:
    try:
        return ServerCheck(what, True, *proof())
    except JudgeError as error:
        return ServerCheck(what, False, str(error).replace(JUDGE.check, "see its log"))  # that is what runs


def _models(model: str | None, judge: OpenAIJudge) -> _Outcome:
    names = judge.models()
    if model and model not in names:
        raise JudgeError(f"{judge.url} does not serve {model}; name one that it serves: {', '.join(names)}.")
    return _Outcome(f"{judge.url} lets us in and serves {', '.join(names)}", {"models": names})


def _verdict(judge: OpenAIJudge) -> _Outcome:
    scores = judge.ask(HARMLESS).scores
    worst = max(scores, key=lambda category: scores[category])
    return _Outcome(
        f"{judge.model_id}; a note about a school trip gets at most {scores[worst]:.3f} ({worst})",
        {"judge": str(judge.model_id), "scores": scores},
    )


def _explanation(judge: OpenAIJudge) -> _Outcome:
    sentence = judge.explain(HARMLESS, judge.categories[:1]).sentence
    return _Outcome(f"{sentence!r}", {"sentence": sentence})


def _long_text(judge: OpenAIJudge) -> _Outcome:
    """A server must read a long prompt to its end or refuse it. Some leave out its head, our instructions, in silence;
    then twice the text is not twice the tokens."""
    tokens: list[int] = []
    digits = random.Random(0)
    width = MAX_CHARACTERS // MAX_LINES
    for lines in (0, MAX_LINES // 2, MAX_LINES):
        text = clean(f"{digits.getrandbits(4 * width):0{width}x}" for _ in range(lines))
        try:
            judge.ask(HARMLESS._replace(text=text))
        except JudgeError as error:
            if lines and "refuses the request" in str(error):
                return _Outcome(f"{width * lines:,} digits are refused, and so not taken for safe: {error}")
            raise
        tokens.append(judge.usage.get("prompt_tokens") or 0)
    none, half, full = tokens
    if not full:
        return _Outcome("not reported: the server does not count a prompt's tokens", {"tokens": None})
    if not full - none > 1.8 * (half - none) > 0:
        raise JudgeError(
            f"The server cuts long prompts in silence, at about {full:,} tokens; give it a context of at least "
            f"{2 * CONTEXT:,} (with Ollama: OLLAMA_CONTEXT_LENGTH), or use a server that refuses them."
        )
    return _Outcome(f"{width * MAX_LINES:,} digits, {full:,} tokens, are read to the end", {"tokens": full})


def _repeated(judge: OpenAIJudge, repeats: int) -> Iterator[ServerCheck]:
    verdicts: list[dict[Category, float]] = []
    took: dict[str, list[float]] = {"verdict": [], "explanation": []}
    prompt = cached = written = 0
    reports = False
    before = _counters(judge)
    for _ in range(repeats):
        start = time.perf_counter()
        verdicts.append(judge.ask(HARMLESS).scores)
        took["verdict"].append((time.perf_counter() - start) * 1e3)
        details = judge.usage.get("prompt_tokens_details") or {}
        reports |= "cached_tokens" in details
        prompt += judge.usage.get("prompt_tokens") or 0
        cached += details.get("cached_tokens") or 0
        written += judge.usage.get("completion_tokens") or 0
    if written:
        rate = written / sum(took["verdict"]) * 1e3
        yield ServerCheck(
            "speed", True, f"{rate:.0f} tokens a second of a verdict", {"tokens_per_second": round(rate, 1)}
        )
    if not reports and before and (after := _counters(judge)):
        cached, prompt, reports = after[0] - before[0], after[1] - before[1], True
    yield _cache(cached, prompt) if reports else ServerCheck("prefix cache", True, "not reported", {"cached": None})
    for _ in range(repeats):
        start = time.perf_counter()
        try:
            judge.explain(HARMLESS, judge.categories[:1])
        except JudgeError:
            continue
        took["explanation"].append((time.perf_counter() - start) * 1e3)
    for what, times in took.items():
        if times:
            p50, p95 = percentiles(times)
            figures = {"p50": round(p50, 1), "p95": round(p95, 1), "n": len(times)}
            yield ServerCheck(f"{what} ms", True, f"p50 {p50:.0f}, p95 {p95:.0f}, {len(times)} answers", figures)
    yield _stability(verdicts)


def percentiles(times: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    ordered = sorted(times)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def _cache(cached: int, prompt: int) -> ServerCheck:
    share = cached / max(1, prompt)
    detail = f"{share:.0%} of the prompts' tokens were known already"
    if not cached:
        detail = "nothing of a prompt is kept for the next; start vLLM with --enable-prefix-caching"
    return ServerCheck("prefix cache", cached > 0, detail, {"cached": round(share, 3)})


def _counters(judge: OpenAIJudge) -> tuple[int, int] | None:
    """Tokens found in the prefix cache, and looked for, since the server's start; None if it is not a vLLM."""
    try:
        text = judge.metrics()
    except JudgeError:
        return None
    found = [re.findall(rf"^vllm:prefix_cache_{what}_total\S* (\S+)$", text, re.M) for what in ("hits", "queries")]
    hits, queries = (int(sum(map(float, numbers))) for numbers in found)
    return (hits, queries) if all(found) else None


def _stability(verdicts: Sequence[Mapping[Category, float]]) -> ServerCheck:
    """The same question, but for its marker: how far its answers lie apart."""
    columns = {category: [scores[category] for scores in verdicts] for category in verdicts[0]}
    spreads = {category: max(column) - min(column) for category, column in columns.items()}
    widest = max(spreads, key=lambda category: spreads[category])
    over = [sum(score >= 0.5 for score in column) for column in columns.values()]
    flips = sum(min(count, len(verdicts) - count) for count in over)
    detail = f"P(unsafe) differs by at most {spreads[widest]:.3f} ({widest}) over {len(verdicts)} repeats"
    if flips:
        detail += f", and {flips} answers are on the other side of 0.5 than most; use a larger model"
    return ServerCheck("stability", not flips, detail, {"spread": round(spreads[widest], 4), "flips": flips})
