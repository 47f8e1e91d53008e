"""How `kidsnanny check` looks at its items: in this process or in several, one by one or many at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import tee
from typing import NamedTuple, cast

from kidsnanny.cli import texts
from kidsnanny.cli.console import quiet_libraries
from kidsnanny.cli.sources import Item
from kidsnanny.media.loader import Source
from kidsnanny.pipeline import Pipeline, Verdicts
from kidsnanny.policy import Policy
from kidsnanny.records import ModelId

OF_TEXT = ("text_model", "judge")
"""The parts of a pipeline that judge a message."""


class Look(NamedTuple):
    """What looks at items."""

    models: dict[str, tuple[ModelId, ...]]
    """Part of the pipeline -> its models, which all verdicts rest on."""
    verdicts: Callable[[Iterable[Item]], Iterator[Verdicts]]
    """Items -> a verdict for each policy, in the order of the items."""


def built(profile: str, vision_only: bool) -> Pipeline:
    """The pipeline of the options; also in a process of its own."""
    quiet_libraries()
    return Pipeline(profile, stage2=None if vision_only else "profile")


def looking(
    build: Callable[[], Pipeline], policies: Sequence[Policy], *, workers: int, alone: bool, text: bool
) -> AbstractContextManager[Look]:
    """What looks at items for as long as the `with` block runs.

    Args:
        build: makes the pipeline; picklable if there are several workers.
        policies: those that each item has a verdict of.
        workers: in how many processes.
        alone: look at each picture by itself, so that its scores do not depend, in their seventh digit, on which other
            pictures are looked at in one batch with it. Workers always do.
        text: whether the items are messages.

    Raises:
        ComponentError: a part of the pipeline cannot be built.
    """
    return _in_processes(build, policies, workers) if workers > 1 else _here(build, policies, alone, text)


@contextmanager
def _in_processes(build: Callable[[], Pipeline], policies: Sequence[Policy], count: int) -> Iterator[Look]:
    from kidsnanny.workers import Workers

    with Workers(build, policies, count) as workers:
        yield Look(workers.models, lambda items: workers.stream((_picture(item), item.name) for item in items))


@contextmanager
def _here(build: Callable[[], Pipeline], policies: Sequence[Policy], alone: bool, text: bool) -> Iterator[Look]:
    with build() as pipeline:

        def one_by_one(items: Iterable[Item]) -> Iterator[Verdicts]:
            for item in items:
                yield tuple(pipeline.stream([_picture(item)], policy=policies, names=[item.name]))

        def in_batches(items: Iterable[Item]) -> Iterator[Verdicts]:
            given, named = tee(items)
            sources, names = (_picture(item) for item in given), (item.name for item in named)
            return zip(*[pipeline.stream(sources, policy=policies, names=names)] * len(policies), strict=True)

        models = pipeline.inspector.models
        if text:
            of_text = {part: of_part for part, of_part in models.items() if part in OF_TEXT}
            yield Look(of_text, lambda items: texts.check(pipeline, items, policies))
        else:
            yield Look(models, one_by_one if alone else in_batches)


def _picture(item: Item) -> Source:
    return cast("Source", item.picture)
