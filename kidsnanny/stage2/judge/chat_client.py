"""Questions to an OpenAI-compatible server: a whole chat completion each, or an error that says why there is none."""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from kidsnanny.errors import JudgeError
from kidsnanny.stage2.judge.connection import Connection, Reply


class UnusableAnswerError(JudgeError):
    """There is an answer and it is no whole one: it is cut, empty, or the request is refused."""

    refused = False
    """By an HTTP status, and not by an answer of another form."""
    content = ""
    """What there is of it."""


_Error = TypeVar("_Error", bound=JudgeError)


class ChatClient:
    """Asks one model of one server. Nothing is asked before the first question.

    Args:
        connection: to the server.
        model: the served model's name; None takes the first that the server lists.
    """

    def __init__(self, connection: Connection, model: str | None) -> None:
        self.connection = connection
        self._named = model
        self._listed: str | None = None
        self._thread = threading.local()

    @property
    def model(self) -> str | None:
        """The model's name; None as long as the server was not asked for it."""
        return self._named or self._listed

    @property
    def usage(self) -> Mapping[str, Any]:
        """The tokens that the server counted for this thread's last answer, as it reports them; empty if it did not."""
        return getattr(self._thread, "usage", None) or {}

    @usage.setter
    def usage(self, usage: object) -> None:
        self._thread.usage = usage if isinstance(usage, dict) else None

    def models(self) -> list[str]:
        """Names of the models that the server lists.

        Raises:
            JudgeError: the server is down or refuses, or lists none.
        """
        listed = self._call("GET", "/models")
        try:
            names = [str(model["id"])[:200] for model in listed["data"]]
        except (KeyError, TypeError) as error:
            raise self.no_answer("it lists no model") from error
        if not names:
            raise self.no_answer("it lists no model")
        return names

    def served(self) -> str:
        """The model's name; the server is asked for it if nobody gave one.

        Raises:
            JudgeError: as for `models`.
        """
        if self._named:
            return self._named
        if not self._listed:
            self._listed = self.models()[0]
        return self._listed

    def ask(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
        """The one choice of a finished chat completion, at temperature 0.

        Args:
            messages: of the chat.
            options: other fields of the request.

        Raises:
            UnusableAnswerError: the answer is cut or empty, or the request is refused.
            JudgeError: the server is down, or refuses our key or the model, or its answer is no chat completion.
        """
        body = {"model": self.served(), "messages": messages, "temperature": 0, **options}
        answer = self._call("POST", "/chat/completions", body)
        self.usage = answer.get("usage") if isinstance(answer, dict) else None
        try:
            (choice,) = answer["choices"]
            content, ended = choice["message"]["content"], choice["finish_reason"]
        except (KeyError, TypeError, ValueError) as error:
            raise self.no_answer("its answer is no chat completion") from error
        if ended != "stop" or not content:
            how = self.connection.without_secrets(str(ended), 40)
            unusable = self.no_answer(f"its answer is {'cut' if content else 'empty'} ({how})", UnusableAnswerError)
            unusable.content = str(content or "")
            raise unusable
        found: dict[str, Any] = choice
        return found

    def no_answer(self, why: str, kind: type[_Error] = JudgeError) -> _Error:  # type: ignore[assignment]
        """The error that says why an answer does not count."""
        return kind(f"{self.connection.called} gave no answer that counts: {why}; {self.connection.wording.check}.")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The server's JSON."""
        reply = self.connection.request(method, path, body)
        if reply.status >= 300:
            raise self._refusal(reply, path)
        try:
            return json.loads(reply.content)
        except (ValueError, RecursionError) as error:
            raise self.no_answer("its answer is not JSON") from error

    def _refusal(self, reply: Reply, path: str) -> JudgeError:
        status, at, wording = reply.status, self.connection.called, self.connection.wording
        if status in (401, 403):
            return JudgeError(f"{at} refuses our key (HTTP {status}); set {wording.variable}.")
        if status < 400:
            return JudgeError(f"{at} redirects to another address (HTTP {status}); give that one.")
        if status == 404 and path == "/models":
            return JudgeError(
                f"There is no {wording.name} at {self.connection.url} (HTTP 404); the URL ends in /v1 as a rule."
            )
        if status == 404:
            model, self._listed = self.model, None  # the next question asks what it serves now
            return JudgeError(f"{at} has no model {model} (HTTP 404); name one that it serves.")
        why = self.connection.without_secrets(reply.content.decode("utf-8", "replace"))
        if path == "/models":
            return self.no_answer(f"it refuses the request (HTTP {status}: {why})")
        error = self.no_answer(f"it refuses the request (HTTP {status}: {why})", UnusableAnswerError)
        error.refused = True
        return error
