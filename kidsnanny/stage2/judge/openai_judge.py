"""The judge: an instruct model behind an OpenAI-compatible server, vLLM first. It reads text and never sees a picture.

One call gives the verdict: a letter per category, Y or N, held to that form by the server's constrained decoding
(`structured_outputs`, or `response_format` with a JSON schema where a server has only that). The server also returns,
for every letter, how likely each alternative was; P(unsafe) is p(Y) / (p(Y) + p(N)) where the letter stands, given the
letters before it. A second call, for flagged pictures, asks for one sentence for the parents.

An answer of any other form, a cut one, an empty one, a refusal: each is a JudgeError, and never a "no".
"""

import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kidsnanny.engines import renew_after_fork
from kidsnanny.errors import ComponentError, JudgeError
from kidsnanny.records import ModelId
from kidsnanny.stage2.judge.answer_forms import (
    FORMS,
    Form,
    InvalidAnswerError,
    UnsupportedFormError,
    request_options,
    response_format,
    unsafe_scores,
)
from kidsnanny.stage2.judge.circuit_breaker import CircuitBreaker, ServerDownError
from kidsnanny.stage2.judge.judge import Explanation, Opinion
from kidsnanny.stage2.judge.prompt import Prompt, Question, explanation_prompt, fresh_marker, verdict_prompt
from kidsnanny.stage2.untrusted import clean, suspicion
from kidsnanny.taxonomy import CATEGORIES, Category

if TYPE_CHECKING:
    import httpx

URL = "http://127.0.0.1:8000/v1"
ATTEMPTS = 2
SENTENCE = 300
"""Characters, at most, of the sentence for the parents."""


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
        self._pause = pause
        self._breaker = CircuitBreaker(pause)
        self._thread = threading.local()
        self._timeout = timeout
        self._connect = partial(
            httpx.Client,
            transport=transport,
            timeout=httpx.Timeout(timeout, connect=min(2.0, timeout)),
            limits=httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight, keepalive_expiry=60),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=False,  # no proxy of the environment gets to read what is in a picture
        )
        self._client: httpx.Client | None = self._connect()
        self._connecting = threading.Lock()
        self._closed = False
        renew_after_fork(self)

    @property
    def model_id(self) -> ModelId:
        """Model, prompt and form of the answer; the model and form are known from the first answer on."""
        form = self._form.name if self._form else "not asked yet"
        return ModelId(name=self._model or "unknown model", revision=f"{self._version}; {form}")

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
        """Close the connections; nothing can be asked any more. It may be repeated."""
        with self._connecting:
            self._closed = True
            if self._client:
                self._client.close()

    def after_fork(self) -> None:
        """Leave the parent's connections alone: the next call opens others. The form of the answer stays known."""
        self._client = None
        self._connecting, self._detecting = threading.Lock(), threading.Lock()
        self._breaker = CircuitBreaker(self._pause)

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
        choice = self._answer(prompt, {"max_tokens": 250, "response_format": response_format("explanation", schema)})
        try:
            found = Explanation.model_validate_json(choice["message"]["content"])
        except (ValidationError, KeyError, TypeError) as error:
            raise self._no_answer("its explanation is not of the schema") from error
        sentence = " ".join(clean([found.sentence]).lines)
        if not set(found.categories) <= set(flagged) or not all(0 < line <= lines for line in found.lines):
            raise self._no_answer("its explanation speaks of other categories or lines than it was given")
        if not sentence or suspicion([sentence]):
            raise self._no_answer("its explanation speaks to a model rather than to a parent")
        return found.model_copy(update={"sentence": sentence[:SENTENCE]})

    def _detect(self, prompt: Prompt) -> Opinion:
        """The first answer, in the first form that the server understands."""
        for form in FORMS:
            try:
                opinion = self._opinion(prompt, form)
            except _UnsupportedFormError as error:
                refused = error
                continue
            self._form = form
            return opinion
        raise JudgeError(
            f"The judge at {self._url} holds its answers to no form that we know ({refused}); serve the model with a "
            "server that has structured outputs."
        )

    def _opinion(self, prompt: Prompt, form: Form) -> Opinion:
        choice = self._answer(prompt, request_options(form, self.categories))
        try:
            return Opinion(scores=unsafe_scores(choice, form, self.categories))
        except InvalidAnswerError as error:
            kind = _UnsupportedFormError if isinstance(error, UnsupportedFormError) else JudgeError
            raise self._no_answer(str(error), kind) from error

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
            raise self._no_answer(f"its answer is {'cut' if content else 'empty'} ({ended})", _UnsupportedFormError)
        found: dict[str, Any] = choice
        return found

    def _served(self) -> str:
        if not self._model:
            self._model = self.models()[0]
        return self._model

    def _connected(self) -> "httpx.Client":
        with self._connecting:
            if self._closed:
                raise JudgeError(f"The judge at {self._url} was closed; make a new OpenAIJudge.")
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The server's JSON. Errors of the connection and of the server are tried once more; a timeout is not."""
        import httpx

        with self._breaker.guard(self._url):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    response = self._connected().request(method, self._url + path, json=body)
                except httpx.TimeoutException as error:
                    raise ServerDownError(
                        f"The judge at {self._url} took over {self._timeout:g} s; see its log."
                    ) from error
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    down = ServerDownError(
                        f"The judge at {self._url} cannot be reached ({error or type(error).__name__}); start it, for "
                        "instance with `kidsnanny llm serve`."
                    )
                else:
                    if response.status_code < 500 and response.status_code != 429:
                        return self._read(response)
                    down = ServerDownError(
                        f"The judge at {self._url} fails (HTTP {response.status_code}); see its log."
                    )
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
            raise self._no_answer(f"it refuses the request (HTTP {status}: {why})", _UnsupportedFormError)
        try:
            return response.json()
        except ValueError as error:
            raise self._no_answer("its answer is not JSON") from error

    def _no_answer(self, why: str, kind: type[JudgeError] = JudgeError) -> JudgeError:
        return kind(f"The judge at {self._url} gave no answer that counts: {why}; try `kidsnanny llm check`.")


class _UnsupportedFormError(JudgeError):
    """Perhaps the server does not support the form that was asked for."""
