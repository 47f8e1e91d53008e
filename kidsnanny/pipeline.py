"""A picture in, a verdict out.

    source ─ Inspector ─ Inspection ─┬─ judge, if the policy wants it asked ─┬─ decide ─ Verdict
                                     └───────────────────────────────────────┘

Nothing here raises because of a picture: what cannot be looked at is in the verdict's `not_inspected`, and such a
verdict is never `safe`.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, cast, overload

import numpy as np

from kidsnanny.decision import decide, judge_wanted
from kidsnanny.engines import ForkSafeExecutor
from kidsnanny.inspection import Inspection
from kidsnanny.inspection_job import named
from kidsnanny.inspector import Inspector
from kidsnanny.media.loader import DEFAULT_LIMITS, Limits, Source, checked_source
from kidsnanny.messages import Text, Turn, is_conversation, turns
from kidsnanny.policy import Policy
from kidsnanny.profiles.profile import DEFAULT
from kidsnanny.records import NotInspected
from kidsnanny.stage1.stage1 import Stage1
from kidsnanny.stage2.stage2 import Stage2
from kidsnanny.verdict import Verdict

PolicyLike = str | Path | Policy
"""A policy, the name of a built-in one, or the path of a TOML file."""
Name = str | Sequence[str] | None
"""What a source is called in its verdict; of a list of sources, as many names."""
WAITING = 64
"""Pictures that may wait for the judge, or for the one before them, while the next are looked at."""
Verdicts = tuple[Verdict, ...]
log = logging.getLogger(__name__)


class Pipeline:
    """Looks at pictures on this machine and says whether a child may see them: an Inspector, a policy, and the judge
    asked about many pictures at once.

    Args:
        profile: a built-in profile (`embedded` needs no GPU, no network and no torch), the path of a TOML file, or an
            Inspector that other pipelines may share.
        stage1: as in `Inspector`. It, `stage2`, `limits` and `cache` must be left out if `profile` is
            an Inspector.
        stage2: as in `Inspector`.
        policy: `child`, `preteen`, `teen`, the path of a TOML file, or a Policy.
        limits: as in `Inspector`.
        cache: as in `Inspector`.

    A pipeline may be used from several threads, and in a process that was forked from the one that made it. Pickled,
    for a process that is spawned, it is a recipe: the models are loaded again there. One whose `stage1` or `stage2`
    was handed over cannot be pickled.

    Raises:
        ComponentError: a part of the profile cannot be built.
        PolicyError: the policy cannot be loaded.
        TypeError: an argument is of another type.
    """

    def __init__(
        self,
        profile: str | Path | Inspector = DEFAULT,
        *,
        stage1: Stage1 | None = None,
        stage2: Stage2 | Literal["profile"] | None = "profile",
        policy: PolicyLike = "preteen",
        limits: Limits = DEFAULT_LIMITS,
        cache: int = 0,
    ) -> None:
        self.policy = _loaded(policy)
        if isinstance(profile, Inspector):
            if stage1 is not None or stage2 != "profile" or limits != DEFAULT_LIMITS or cache:
                raise TypeError("stage1, stage2, limits and cache are the Inspector's; give them to the Inspector.")
            self.inspector = profile
            """What looks at the pictures; other pipelines may share it."""
        else:
            self.inspector = Inspector(profile, stage1=stage1, stage2=stage2, limits=limits, cache=cache)
        judge = self.stage2.judge if self.stage2 else None
        self._judging = ForkSafeExecutor(judge.in_flight, "judge") if judge else None

    @property
    def stage1(self) -> Stage1:
        """The inspector's Stage 1."""
        return self.inspector.stage1

    @property
    def stage2(self) -> Stage2 | None:
        """The inspector's Stage 2; None is the *vision-only* regime."""
        return self.inspector.stage2

    @overload
    def __call__(self, source: Source, *, policy: PolicyLike | None = None, name: str | None = None) -> Verdict: ...
    @overload
    def __call__(
        self,
        source: list[Any] | tuple[Any, ...],
        *,
        policy: PolicyLike | None = None,
        name: Sequence[str] | None = None,
    ) -> list[Verdict]: ...
    def __call__(
        self, source: Source | list[Any] | tuple[Any, ...], *, policy: PolicyLike | None = None, name: Name = None
    ) -> Verdict | list[Verdict]:
        """Check one picture (a path, bytes, a binary file, a PIL image, an (H, W, 3) uint8 RGB array), or a list.

        Args:
            source: the picture, or a list of pictures.
            policy: another policy than the pipeline's, for this call.
            name: what the picture is called in the verdict and in messages, by default its path or `sha256:…`; of a
                list, as many names.

        Returns:
            One verdict, or a list in the order given. A picture that cannot be looked at gets a verdict like any other,
            and so does whatever stands in a list: one wrong entry must not cost the others.

        Raises:
            PolicyError: the policy cannot be loaded.
            RuntimeError: the pipeline was closed.
            TypeError: a single source is of none of these types, or `policy` or `name` is of another type.
            ValueError: there are more or fewer names than sources.
        """
        _one(policy)
        if isinstance(source, list | tuple):
            return list(self.stream(source, policy=policy, names=_names(name, list)))
        return next(self.stream([checked_source(source)], policy=policy, names=_names(name, str)))

    @overload
    def check_text(self, text: str, *, policy: PolicyLike | None = None, name: str | None = None) -> Verdict: ...
    @overload
    def check_text(
        self, text: list[Turn] | list[Mapping[str, str]], *, policy: PolicyLike | None = None, name: str | None = None
    ) -> Verdict: ...
    @overload
    def check_text(
        self,
        text: list[Text] | tuple[Text, ...],
        *,
        policy: PolicyLike | None = None,
        name: Sequence[str] | None = None,
    ) -> list[Verdict]: ...
    def check_text(
        self, text: Text | list[Text] | tuple[Text, ...], *, policy: PolicyLike | None = None, name: Name = None
    ) -> Verdict | list[Verdict]:
        """Check a message, a conversation (a list of `{"speaker": …, "text": …}`, judged turn by turn and as a whole),
        or a list of messages and conversations.

        Args:
            text: the message, the conversation or the list.
            policy: as for a picture.
            name: as for a picture.

        Returns:
            One verdict, or a list in the order given; what stands in a list and is no text gets a verdict that says so.

        Raises:
            ComponentError: the pipeline has no Stage 2.
            PolicyError: the policy cannot be loaded.
            RuntimeError: the pipeline was closed.
            TypeError: `text` is none of these, or `policy` or `name` is of another type.
            ValueError: there are more or fewer names than texts.
        """
        _one(policy)
        if isinstance(text, list | tuple) and not is_conversation(text):
            return list(self.stream_texts(text, policy=policy, names=_names(name, list)))
        turns(text)
        return next(self.stream_texts([cast("Text", text)], policy=policy, names=_names(name, str)))

    def stream_texts(
        self,
        texts: Iterable[Text],
        *,
        policy: PolicyLike | Sequence[PolicyLike] | None = None,
        names: Iterable[str] | None = None,
    ) -> Iterator[Verdict]:
        """Verdicts on messages and conversations, in the order of `texts`; see `check_text` and `stream`, which say
        what `policy` and `names` are, and what is raised."""
        inspections = (self._inspected_text(text, name) for text, name in named(texts, names))
        return self._judged(inspections, self._policies(policy))

    def inspect(self, source: Source, *, policy: PolicyLike | None = None, name: str | None = None) -> Inspection:
        """What is in one picture, with the judge's opinion if the policy wants one; no policy has decided it.

        Args:
            source: the picture, as for a call.
            policy: whose ages the judge is asked about, if not the pipeline's.
            name: as for a call.

        Raises:
            PolicyError: the policy cannot be loaded.
            RuntimeError: the pipeline was closed.
            TypeError: an argument is of another type.
        """
        _one(policy)
        (rules,) = self._policies(policy)
        return self.inspector.consult(self.inspector.inspect(source, name=name), rules)

    def warm_up(self) -> Self:
        """Look at an empty picture, so that the first real one does not pay for first-time work."""
        self(np.full((720, 1280, 3), 255, np.uint8))
        return self

    async def acheck(self, source: Source, *, policy: PolicyLike | None = None, name: str | None = None) -> Verdict:
        """`pipeline(source, policy=policy, name=name)` in a thread, for an event loop."""
        import asyncio

        return await asyncio.to_thread(self, source, policy=policy, name=name)

    def stream(
        self,
        sources: Iterable[Source],
        *,
        policy: PolicyLike | Sequence[PolicyLike] | None = None,
        names: Iterable[str] | None = None,
    ) -> Iterator[Verdict]:
        """Verdicts one after the other, in the order of `sources`, holding only a batch of frames in memory. While the
        judge answers about some pictures, the next ones are looked at; what waits for it holds no picture.

        A process that was forked between two verdicts goes on by itself, and asks the judge again about those that
        waited for it.

        Args:
            sources: pictures, as for a call.
            policy: another policy than the pipeline's, or several: each picture is looked at once, and has a verdict
                for each of them, in their order.
            names: what each source is called.

        Raises:
            PolicyError: a policy cannot be loaded.
            RuntimeError: the pipeline was closed.
            TypeError: `sources` is one path or one file's bytes, or a policy or a name is of another type.
            ValueError: there are more or fewer names than sources, or no policy.
        """
        return self._judged(self.inspector.stream(sources, names=names), self._policies(policy))

    def _policies(self, policy: PolicyLike | Sequence[PolicyLike] | None) -> tuple[Policy, ...]:
        if policy is None:
            return (self.policy,)
        several = policy if isinstance(policy, list | tuple) else [policy]
        if not several:
            raise ValueError("policy is an empty list; name a policy.")
        return tuple(map(_loaded, several))

    def _judged(self, inspections: Iterable[Inspection], policies: tuple[Policy, ...]) -> Iterator[Verdict]:
        waiting: deque[_Pending] = deque()
        try:
            for inspection in inspections:
                waiting.append(self._decided(inspection, policies))
                while waiting and (waiting[0].done() or len(waiting) > WAITING):
                    yield from map(_logged, waiting.popleft().result())
            while waiting:
                yield from map(_logged, waiting.popleft().result())
        finally:
            for pending in waiting:  # nobody takes these verdicts any more
                pending.cancel()

    def close(self) -> None:
        """Close connections, worker processes and threads, those of the inspector's engines included."""
        if self._judging:
            self._judging.shutdown()
        self.inspector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return partial(type(self), self.inspector, policy=self.policy), ()

    def _inspected_text(self, text: Text, name: str | None) -> Inspection:
        try:
            return self.inspector.inspect_text(text, name=name)
        except TypeError as error:
            missed = NotInspected(part="text", reason=str(error), cause="no text")
            return Inspection(source=name or type(text).__name__, not_inspected=(missed,))

    def _decided(self, inspection: Inspection, policies: tuple[Policy, ...]) -> "_Pending":
        """A verdict for each policy, now or when the judge has answered."""
        if self._judging and any(judge_wanted(inspection, policy) for policy in policies):
            return _Pending(partial(self._judging.submit, self._consulted, inspection, policies))
        known: Future[Verdicts] = Future()
        known.set_result(_decisions(inspection, policies))
        return _Pending(lambda: known)

    def _consulted(self, inspection: Inspection, policies: tuple[Policy, ...]) -> Verdicts:
        for policy in policies:
            inspection = self.inspector.consult(inspection, policy)
        return _decisions(inspection, policies)


class _Pending:
    """Verdicts that are there or come. In a forked child, where nobody works on what its parent began, they are asked
    for again."""

    def __init__(self, begin: Callable[[], Future[Verdicts]]) -> None:
        self._begin = begin
        self._future, self._process = begin(), os.getpid()

    def done(self) -> bool:
        return self._here().done()

    def result(self) -> Verdicts:
        return self._here().result()

    def cancel(self) -> None:
        if self._process == os.getpid():
            self._future.cancel()

    def _here(self) -> Future[Verdicts]:
        if self._process != os.getpid():
            self._future, self._process = self._begin(), os.getpid()
        return self._future


def _logged(verdict: Verdict) -> Verdict:
    """The verdict, after a line without content: the name of a file may say as much as the picture."""
    media = verdict.inspection.media
    facts = f"{media.sha256[:12]} {media.format} {media.width}x{media.height}" if media else "unreadable"
    log.info("%s: %s", facts, verdict.label)
    return verdict


def _decisions(inspection: Inspection, policies: tuple[Policy, ...]) -> Verdicts:
    return tuple(decide(inspection, policy) for policy in policies)


def _loaded(policy: PolicyLike) -> Policy:
    return policy if isinstance(policy, Policy) else Policy.load(policy)


def _one(policy: object) -> None:
    """Raise if a call that returns one verdict a source is given several policies."""
    if isinstance(policy, list | tuple):
        raise TypeError(f"policy is a {type(policy).__name__}; give one policy, or several to stream().")


def _names(name: Name, expected: type) -> Iterable[str] | None:
    """The names of the sources: of one, a str, and of a list, as many."""
    if name is None or (expected is list and isinstance(name, list | tuple)):
        return name
    if expected is str and isinstance(name, str):
        return [name]
    wanted = "a str" if expected is str else "a list with the name of each source"
    raise TypeError(f"name is a {type(name).__name__}; expected {wanted}.")
