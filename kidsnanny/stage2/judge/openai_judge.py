"""The judge: an instruct model behind an OpenAI-compatible server, vLLM first. It reads text and never sees a picture.

One call gives the verdict: a letter per category, Y or N, held to that form by the server's constrained decoding
(`structured_outputs`, or `response_format` with a JSON schema where a server has only that). The server also returns,
for every letter, how likely each alternative was; P(unsafe) is p(Y) / (p(Y) + p(N)) where the letter stands, given the
letters before it. A second call, for flagged pictures, asks for one sentence for the parents.

An answer of any other form, a cut one, an empty one, a refusal: each is a JudgeError, and never a "no".
"""

import json
import math
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from kidsnanny.errors import ComponentError, JudgeError
from kidsnanny.stage2.judge.judge import Explanation, Opinion
from kidsnanny.stage2.judge.prompt import Prompt, Question, explanation_prompt, fresh_marker, verdict_prompt
from kidsnanny.stage2.untrusted import clean, suspicion
from kidsnanny.taxonomy import CATEGORIES, Category

if TYPE_CHECKING:
    import httpx

URL = "http://127.0.0.1:8000/v1"
MASS = 0.5
"""Y and N together must have at least this probability where a letter stands, or the answer is no answer."""
ALTERNATIVES = 10
"""`top_logprobs`: vLLM allows up to 20."""
ATTEMPTS = 2
SENTENCE = 300
"""Characters, at most, of the sentence for the parents."""


class Form(NamedTuple):
    """How an answer is asked for; `letters` finds the letters in it."""

    name: str
    schema: bool
    logprobs: bool


FORMS = (
    Form("letters with probabilities", schema=False, logprobs=True),
    Form("JSON with probabilities", schema=True, logprobs=True),
    Form("JSON without probabilities", schema=True, logprobs=False),
)
"""From the one that costs least to the one that more servers understand."""


class OpenAIJudge:
    """A client of an OpenAI-compatible server. Nothing is asked of the server before the first picture.

    Args:
        url: the API's root, ending in `/v1` as a rule.
        model: the served model's name; None takes the first that the server lists.
        api_key: sent as a bearer token.
        categories: what is asked for, in this order.
        timeout: seconds for one answer; connecting has two of them.
        in_flight: how many pictures are asked about at once, each on a connection that is kept.
        explains: whether flagged pictures get a second call, for a sentence for the parents.
        pause: seconds for which a server that does not answer is left alone. Meanwhile every call fails at once, so
            that a dead server costs one timeout and not one per picture; then one call tries again.
        transport: another way to the server than TCP, for tests.
    """

    def __init__(
        self,
        url: str = URL,
        model: str | None = None,
        *,
        api_key: str | None = None,
        categories: tuple[Category, ...] = CATEGORIES,
        timeout: float = 20.0,
        in_flight: int = 16,
        explains: bool = True,
        pause: float = 5.0,
        transport: "httpx.BaseTransport | None" = None,
    ) -> None:
        import httpx

        key = (api_key or "").strip()
        if not (key.isascii() and key.isprintable()):  # httpx would quote it, and the verdict would hold what it quotes
            raise ComponentError("The judge's key is not printable ASCII; set KIDSNANNY_JUDGE_KEY to the server's own.")
        self.categories = categories
        self.in_flight = in_flight
        self.explains = explains
        self._url = url.rstrip("/")
        self._model = model
        self._form: Form | None = None
        self._detecting = threading.Lock()
        self._version = verdict_prompt(Question("", "", clean(())), categories, "").version
        self._breaker = _Breaker(pause)
        self._thread = threading.local()
        self._timeout = timeout
        self._client = httpx.Client(
            transport=transport,
            timeout=httpx.Timeout(timeout, connect=min(2.0, timeout)),
            limits=httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight, keepalive_expiry=60),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=False,  # no proxy of the environment gets to read what is in a picture
        )

    @property
    def name(self) -> str:
        """Model, prompt and form of the answer; the model and form are known from the first answer on."""
        form = self._form.name if self._form else "not asked yet"
        return f"{self._model or 'unknown model'} ({self._version}; {form})"

    @property
    def usage(self) -> Mapping[str, Any]:
        """The tokens that the server counted for this thread's last answer, as it reports them; empty if it did not."""
        return getattr(self._thread, "usage", None) or {}

    def models(self) -> list[str]:
        """Names of the models that the server lists.

        Raises:
            JudgeError: the server is down or refuses, or lists none.
        """
        listed = self._call("GET", "/models")
        try:
            names = [str(model["id"]) for model in listed["data"]]
        except (KeyError, TypeError) as error:
            raise self._no_answer("it lists no model") from error
        if not names:
            raise self._no_answer("it lists no model")
        return names

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, question: Question) -> Opinion:
        """P(unsafe) per category, from one call of a few tokens: see the head of this module.

        Raises:
            JudgeError: the server is down or refuses, or its answer is not one letter per category.
        """
        prompt = verdict_prompt(question, self.categories, fresh_marker())
        if self._form is None:
            with self._detecting:
                if self._form is None:
                    return self._detect(prompt)
        return self._opinion(prompt, self._form)

    def explain(self, question: Question, flagged: Sequence[Category]) -> Explanation:
        """Why these categories were flagged, in a sentence; held to a JSON schema.

        Raises:
            JudgeError: the server is down or refuses, the answer is cut or not of the schema, or its sentence speaks to
                a model rather than to a parent.
        """
        prompt = explanation_prompt(question, self.categories, flagged, fresh_marker())
        lines = len(question.text.lines)
        schema = {
            "type": "object",
            "properties": {
                "categories": {"type": "array", "items": {"enum": list(flagged)}, "maxItems": len(flagged)},
                "lines": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1, "maximum": max(1, lines)},
                    "maxItems": min(lines, 5),
                },
                "sentence": {"type": "string", "maxLength": SENTENCE},
            },
            "required": ["categories", "lines", "sentence"],
            "additionalProperties": False,
        }
        choice = self._answer(prompt, {"max_tokens": 250, "response_format": _as_format("explanation", schema)})
        try:
            found = Explanation.model_validate_json(choice["message"]["content"])
        except (ValidationError, KeyError, TypeError) as error:
            raise self._no_answer("its explanation is not of the schema") from error
        told = " ".join(clean([found.sentence]).lines)
        if not set(found.categories) <= set(flagged) or not all(0 < line <= lines for line in found.lines):
            raise self._no_answer("its explanation speaks of other categories or lines than it was given")
        if not told or suspicion([told]):
            raise self._no_answer("its explanation speaks to a model rather than to a parent")
        return found.model_copy(update={"sentence": told[:SENTENCE]})

    def _detect(self, prompt: Prompt) -> Opinion:
        """The first answer, in the first form that the server understands."""
        for form in FORMS:
            try:
                opinion = self._opinion(prompt, form)
            except _NotUnderstoodError as error:
                refused = error
                continue
            self._form = form
            return opinion
        raise JudgeError(
            f"The judge at {self._url} holds its answers to no form that we know ({refused}); serve the model with a "
            "server that has structured outputs."
        )

    def _opinion(self, prompt: Prompt, form: Form) -> Opinion:
        count = len(self.categories)
        constraint: dict[str, Any] = {
            "structured_outputs": {"regex": f"( [YN]){{{count}}}"},
            "max_tokens": 2 * count + 2,
        }
        if form.schema:
            properties = {category: {"enum": ["Y", "N"]} for category in self.categories}
            required = {"required": list(properties), "additionalProperties": False}
            schema = {"type": "object", "properties": properties, **required}
            constraint = {"response_format": _as_format("verdict", schema), "max_tokens": 12 * count + 20}
        if form.logprobs:
            constraint |= {"logprobs": True, "top_logprobs": ALTERNATIVES}
        choice = self._answer(prompt, constraint)
        content = choice["message"].get("content") or ""
        letters = self._letters(content, form)
        if not form.logprobs:
            return Opinion(scores={c: float(content[at] == "Y") for c, at in letters.items()})
        tokens = (choice.get("logprobs") or {}).get("content") or []
        if "".join(token["token"] for token in tokens)[: len(content)] != content:
            raise self._no_answer("it gives no probabilities for its answer", _NotUnderstoodError)
        return Opinion(scores={c: self._unsafe(tokens, at) for c, at in letters.items()})

    def _letters(self, content: str, form: Form) -> dict[Category, int]:
        """Category -> where its letter stands in the answer."""
        if not form.schema:
            if not re.fullmatch(rf"\s*[YN](?:\s+[YN]){{{len(self.categories) - 1}}}\s*", content):
                raise self._no_answer("its answer is not one letter per category", _NotUnderstoodError)
            return dict(zip(self.categories, (m.start() for m in re.finditer("[YN]", content)), strict=True))
        try:
            answer = json.loads(content)
        except ValueError as error:
            raise self._no_answer("its answer is not JSON", _NotUnderstoodError) from error
        if not isinstance(answer, dict) or set(answer) != set(self.categories) or set(answer.values()) - {"Y", "N"}:
            raise self._no_answer("its answer is not of the schema", _NotUnderstoodError)
        found = {m[1]: m.start(2) for m in re.finditer(r'"(\w+)"\s*:\s*"([YN])"', content)}
        return {category: found[category] for category in self.categories}

    def _unsafe(self, tokens: Sequence[Mapping[str, Any]], at: int) -> float:
        """p(Y) / (p(Y) + p(N)) at a position of the answer, whatever the tokens: of the alternatives to the token that
        stands there, those count that begin alike."""
        start = 0
        for token in tokens:
            text = token["token"]
            if at < start + len(text):
                break
            start += len(text)
        before = at - start
        mass = {"Y": 0.0, "N": 0.0}
        options = {option["token"]: option["logprob"] for option in [*token.get("top_logprobs", []), token]}
        for option, logprob in options.items():
            if option[:before] == text[:before] and option[before : before + 1] in mass:
                mass[option[before]] += math.exp(logprob)
        total = sum(mass.values())
        if not MASS <= total <= 1.5:
            raise self._no_answer(f"Y and N have a probability of {total:.2f} together where one of them stands")
        return mass["Y"] / total

    def _answer(self, prompt: Prompt, more: dict[str, Any]) -> dict[str, Any]:
        """The one choice of a finished chat completion."""
        body = {"model": self._served(), "messages": prompt.messages, "temperature": 0, **more}
        answer = self._call("POST", "/chat/completions", body)
        self._thread.usage = answer.get("usage") if isinstance(answer, dict) else None
        try:
            (choice,) = answer["choices"]
            content, ended = choice["message"]["content"], choice["finish_reason"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_answer("its answer is no chat completion") from error
        if ended != "stop" or not content:
            raise self._no_answer(f"its answer is {'cut' if content else 'empty'} ({ended})", _NotUnderstoodError)
        found: dict[str, Any] = choice
        return found

    def _served(self) -> str:
        if not self._model:
            self._model = self.models()[0]
        return self._model

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The server's JSON. Errors of the connection and of the server are tried once more; a timeout is not."""
        import httpx

        with self._breaker.guard(self._url):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    response = self._client.request(method, self._url + path, json=body)
                except httpx.TimeoutException as error:
                    raise _DownError(f"The judge at {self._url} took over {self._timeout:g} s; see its log.") from error
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    down = _DownError(
                        f"The judge at {self._url} cannot be reached ({error or type(error).__name__}); start it, for "
                        "instance with `kidsnanny llm serve`."
                    )
                else:
                    if response.status_code < 500 and response.status_code != 429:
                        return self._read(response)
                    down = _DownError(f"The judge at {self._url} fails (HTTP {response.status_code}); see its log.")
                if attempt < ATTEMPTS:
                    time.sleep(random.uniform(0.05, 0.2) * attempt)
            raise down

    def _read(self, response: "httpx.Response") -> Any:
        status = response.status_code
        if status in (401, 403):
            raise JudgeError(f"The judge at {self._url} refuses our key (HTTP {status}); set KIDSNANNY_JUDGE_KEY.")
        if status == 404 and not self._model:
            raise JudgeError(f"There is no judge at {self._url} (HTTP 404); the URL ends in /v1 as a rule.")
        if status == 404:
            raise JudgeError(
                f"The judge at {self._url} has no model {self._model} (HTTP 404); name one that it serves."
            )
        if status >= 400:
            why = re.sub(r"\s+", " ", response.text)[:200]
            raise self._no_answer(f"it refuses the request (HTTP {status}: {why})", _NotUnderstoodError)
        try:
            return response.json()
        except ValueError as error:
            raise self._no_answer("its answer is not JSON") from error

    def _no_answer(self, why: str, kind: type[JudgeError] = JudgeError) -> JudgeError:
        return kind(f"The judge at {self._url} gave no answer that counts: {why}; try `kidsnanny llm check`.")


class _NotUnderstoodError(JudgeError):
    """Perhaps the server does not know this form of constraint."""


class _DownError(JudgeError):
    """The server does not answer."""


class _Breaker:
    """Lets calls through until one finds the server down; then none for a while, then one, then all again."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._down = False

    def guard(self, url: str) -> "_Guard":
        """Raises a JudgeError at once while the server is left alone."""
        with self._lock:
            now = time.monotonic()
            if self._down:
                if now < self._closed_until:
                    raise JudgeError(f"The judge at {url} did not answer a moment ago; it is asked again shortly.")
                self._closed_until = now + self._pause  # this call tries, the others wait for what it finds
        return _Guard(self)

    def report(self, down: bool) -> None:
        """What a call found."""
        with self._lock:
            self._down = down
            self._closed_until = time.monotonic() + self._pause


class _Guard:
    def __init__(self, breaker: _Breaker) -> None:
        self._breaker = breaker

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._breaker.report(down=isinstance(error, _DownError))


def _as_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
