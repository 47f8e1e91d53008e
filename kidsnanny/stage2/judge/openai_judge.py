"""The judge: an instruct model behind an OpenAI-compatible server, vLLM first. It reads text and never sees a picture.

One call gives the verdict: a letter per category, Y or N, held to that form by the server's constrained decoding
(`structured_outputs`, llama.cpp's `grammar`, or `response_format` with a JSON schema where a server has only that). The
server also returns, for every letter, how likely each alternative was; P(unsafe) is p(Y) / (p(Y) + p(N)) where the
letter stands, given the letters before it, and calibrated where the model's card says how. A second call, for flagged
pictures, asks for one sentence for the parents.

An answer of any other form, a cut one, an empty one, a refusal: each is a JudgeError, and never a "no".
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kidsnanny.errors import JudgeError
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
from kidsnanny.stage2.judge.chat_client import ChatClient, UnusableAnswerError
from kidsnanny.stage2.judge.connection import Connection
from kidsnanny.stage2.judge.judge import Explanation, Opinion
from kidsnanny.stage2.judge.letter_calibration import as_measured, has_letters
from kidsnanny.stage2.judge.prompt import (
    HARMLESS,
    Prompt,
    Question,
    explanation_prompt,
    fresh_marker,
    verdict_prompt,
)
from kidsnanny.stage2.untrusted import clean, suspicion
from kidsnanny.taxonomy import CATEGORIES, Category

if TYPE_CHECKING:
    import httpx

URL = "http://127.0.0.1:8000/v1"
SENTENCE = 300
"""Characters, at most, of the sentence for the parents."""
RECHECK = 300.0
"""Seconds after which the forms that cost less than the settled one are tried again."""


class OpenAIJudge:
    """A client of an OpenAI-compatible server. Nothing is asked of the server before the first picture.

    Args:
        url: the API's root, ending in `/v1` as a rule. A user name and a password in it are sent as Basic
            authentication instead of the key, and a query with every request; neither is ever shown or logged.
        model: the served model's name; None takes the first that the server lists.
        api_key: sent as a bearer token.
        categories: what is asked for, in this order.
        timeout: seconds for one answer, from the call to its end: connecting (which may take two of them), a second
            attempt, finding the form of the answer. The question for an explanation has as many of its own.
        in_flight: how many pictures are asked about at once, each on a connection that is kept.
        explains: whether flagged pictures get a second call, for a sentence for the parents.
        pause: seconds for which a server that does not answer is left alone. Meanwhile every call fails at once, so
            that a dead server costs one timeout and not one per picture; then one call tries again.
        transport: another way to the server than TCP, for tests.

    Raises:
        ComponentError: the key is none that can be sent.
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
        self.categories = categories
        self.in_flight = in_flight
        self.explains = explains
        self._form: Form | None = None
        self._doubted: tuple[Form, ...] = ()
        self._checked_at = 0.0
        self._version = verdict_prompt(Question("", "", clean(())), categories, "").version
        self._timeout = timeout
        self._connection = Connection(url, api_key, timeout, in_flight, pause, transport)
        self._chat = ChatClient(self._connection, model)

    @property
    def url(self) -> str:
        """The server's, without what is secret in it: user name, password and query."""
        return self._connection.url

    @property
    def model_id(self) -> ModelId:
        """Model, prompt and form of the answer; the model and form are known from the first answer on."""
        form = self._form.name if self._form else "not asked yet"
        if self._form and self._chat.model and has_letters(self._chat.model, self._version) and self._form is FORMS[0]:
            form += ", calibrated"
        return ModelId(name=self._chat.model or "unknown model", revision=f"{self._version}; {form}")

    @property
    def usage(self) -> Mapping[str, Any]:
        """The tokens that the server counted for this thread's last answer, as it reports them; empty if it did not."""
        return self._chat.usage

    def models(self) -> list[str]:
        """Names of the models that the server lists.

        Raises:
            JudgeError: the server is down or refuses, or lists none.
        """
        return self._chat.models()

    def metrics(self) -> str:
        """What the server counts, as vLLM tells it beside the API.

        Raises:
            JudgeError: the server is down, or does not tell.
        """
        reply = self._connection.request("GET", "../metrics")
        if reply.status != 200:
            raise self._chat.no_answer(f"it has no metrics (HTTP {reply.status})")
        return reply.content.decode("utf-8", "replace")

    def close(self) -> None:
        """Close the connections; nothing can be asked any more. It may be repeated."""
        self._connection.close()

    def ask(self, question: Question) -> Opinion:
        """P(unsafe) per category, from one call of a few tokens: see the head of this module.

        The first questions find out which form of the answer the server understands. A form is settled by an answer
        that counts, and never because of a refusal alone, which may be about the question or pass.

        Raises:
            JudgeError: the server is down, too slow or refuses, or its answer is not one letter per category.
        """
        from kidsnanny.stage2.judge.deadline import deadline

        prompt = verdict_prompt(question, self.categories, fresh_marker())
        with deadline(self._timeout):
            self._chat.served()
            form, opinion, refused = self._first_that_counts(prompt)
            usage = self.usage
            self._settle(form, refused)
            if self._form is not form and self._form is not None:  # a passing refusal: this one costs less or says more
                with suppress(JudgeError):
                    opinion, usage = self._opinion(prompt, self._form), self.usage
            self._chat.usage = usage
            return opinion

    def explain(self, question: Question, flagged: Sequence[Category]) -> Explanation:
        """Why these categories were flagged, in a sentence; held to a JSON schema.

        Raises:
            JudgeError: the server is down or refuses, the answer is cut or not of the schema, or its sentence speaks to
                a model rather than to a parent.
        """
        from kidsnanny.stage2.judge.deadline import deadline

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
        more = {"max_tokens": 250, "response_format": response_format("explanation", schema)}
        with deadline(self._timeout):
            choice = self._chat.ask(prompt.messages, **more)
        try:
            found = Explanation.model_validate_json(choice["message"]["content"])
        except (ValidationError, KeyError, TypeError) as error:
            raise self._chat.no_answer("its explanation is not of the schema") from error
        sentence = self._connection.without_secrets(" ".join(clean([found.sentence]).lines), SENTENCE)
        if not set(found.categories) <= set(flagged) or not all(0 < line <= lines for line in found.lines):
            raise self._chat.no_answer("its explanation speaks of other categories or lines than it was given")
        if not sentence or suspicion([sentence]):
            raise self._chat.no_answer("its explanation speaks to a model rather than to a parent")
        return found.model_copy(update={"sentence": sentence})

    def _first_that_counts(self, prompt: Prompt) -> tuple[Form, Opinion, tuple[Form, ...]]:
        """A form, the answer in it, and the forms in which there was none; the settled form is tried first."""
        settled = self._form
        refusals: dict[Form, UnusableAnswerError] = {}
        for form in sorted(FORMS, key=lambda form: form is not settled):
            try:
                return form, self._opinion(prompt, form), tuple(refusals)
            except UnusableAnswerError as error:
                refusals[form] = error
        first, *_ = refusals.values()
        if settled or all(refusal.refused for refusal in refusals.values()):
            raise first
        raise JudgeError(
            f"The judge at {self.url} holds its answers to no form that we know ({first}); serve the model with a "
            "server that has structured outputs."
        )

    def _settle(self, form: Form, refused: Sequence[Form]) -> None:
        """Settle on the form of an answer that counted. Those which cost less and were refused are in doubt: they are
        asked a question that has nothing to do with the picture, now or when there is time for it."""
        from kidsnanny.stage2.judge.deadline import remaining

        cheaper = FORMS[: FORMS.index(form)]
        if form is not self._form:
            self._form, self._doubted = form, tuple(other for other in cheaper if other in refused)
        elif time.monotonic() > self._checked_at + RECHECK:
            self._doubted = cheaper
        if not self._doubted or remaining() < self._timeout / 2:
            return
        doubted, self._doubted = self._doubted, ()
        self._checked_at = time.monotonic()
        prompt = verdict_prompt(HARMLESS, self.categories, fresh_marker())
        for other in doubted:
            try:
                self._opinion(prompt, other)
            except UnusableAnswerError:
                continue
            except JudgeError:
                self._doubted = doubted
                return
            self._form = other
            return

    def _opinion(self, prompt: Prompt, form: Form) -> Opinion:
        choice = self._chat.ask(prompt.messages, **request_options(form, self.categories))
        try:
            scores = unsafe_scores(choice, form, self.categories)
        except InvalidAnswerError as error:
            kind = UnusableAnswerError if isinstance(error, UnsupportedFormError) else JudgeError
            raise self._chat.no_answer(str(error), kind) from error
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
            raise self._chat.no_answer("its probabilities cannot be read") from error
        return as_measured(scores, self._chat.served(), self._version, form_measured=form is FORMS[0])
