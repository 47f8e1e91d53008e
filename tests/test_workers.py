"""Pictures in several processes: the same verdicts in the same order, whatever happens to a process."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from conftest import ScriptedStage1, encoded
from PIL import Image

from kidsnanny import Pipeline, Policy
from kidsnanny.engines import THREADS, threads
from kidsnanny.errors import ComponentError
from kidsnanny.verdict import Verdict
from kidsnanny.workers import Workers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
POLICIES = (Policy.load("child"), Policy.load("teen"))


class Deadly(ScriptedStage1):
    """Dies of a green picture; of a blue one if another process is at work or has not died of it yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def screen(self, frames):  # type: ignore[no-untyped-def]
        for frame in frames:
            red, green, blue = frame[0, 0]
            mark = self.folder / f"{os.getpid()}"
            mark.touch()
            others = [one for one in self.folder.iterdir() if one.name.isdecimal() and one != mark]
            if green > 100:
                os.kill(os.getpid(), signal.SIGKILL)
            if blue > 100 and not (self.folder / "once").exists():
                (self.folder / "once").touch()
                mark.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if blue > 100:
                (self.folder / "others").write_text(str(len([one for one in others if _runs(int(one.name))])))
            time.sleep(red / 1000)
            mark.unlink()
        return super().screen(frames)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def build(folder: Path) -> Pipeline:
    return Pipeline(stage1=Deadly(folder), stage2=None)


def broken(folder: Path) -> Pipeline:
    if (folder / "killed").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    raise ComponentError("no-such-model: there is no such weight; see `kidsnanny weights list`.")


def picture(red: int, green: int = 0, blue: int = 0) -> bytes:
    return encoded(Image.new("RGB", (16, 16), (red, green, blue)))


def looked_at(tmp_path: Path, pictures: list[bytes], count: int = 2) -> list[tuple[Verdict, ...]]:
    with Workers(partial(build, tmp_path), POLICIES, count) as workers:
        assert workers.models["stage1"] == ScriptedStage1.models
        return list(workers.stream((data, f"{n}.png") for n, data in enumerate(pictures)))


def test_the_order_is_that_of_the_sources_and_each_policy_has_its_verdict(tmp_path: Path) -> None:
    """The first are the slowest."""
    pictures = [picture(red) for red in (250, 200, 10, 0, 150, 100, 5, *range(20))]
    with build(tmp_path) as pipeline:
        names = [f"{n}.png" for n in range(len(pictures))]
        expected = list(pipeline.stream(pictures, policy=POLICIES, names=names))
    found = [verdict for pair in looked_at(tmp_path, pictures) for verdict in pair]
    for verdict, other in zip(found, expected, strict=True):
        timings = {"timings": {}, "inspection": other.inspection.model_copy(update={"timings": {}})}
        same = verdict.inspection.model_copy(update={"timings": {}})
        assert verdict.model_copy(update={"timings": {}, "inspection": same}) == other.model_copy(update=timings)


def test_nothing_to_do(tmp_path: Path) -> None:
    assert looked_at(tmp_path, []) == []


def test_a_picture_of_which_processes_die_is_not_inspected_and_the_others_are(tmp_path: Path) -> None:
    deadly = picture(0, 200)
    verdicts = looked_at(tmp_path, [picture(9), deadly, picture(0), picture(1), deadly, picture(2)])
    assert [[one.source for one in pair] for pair in verdicts] == [[f"{n}.png"] * 2 for n in range(6)]
    for n, pair in enumerate(verdicts):
        for verdict in pair:
            if n in (1, 4):
                (missed,) = verdict.not_inspected
                assert "ended by signal 9, twice; it may need more memory" in missed.reason
                assert verdict.label != "safe"
            else:
                assert not verdict.not_inspected


def test_a_process_that_dies_once_costs_nothing_and_its_picture_is_tried_alone(tmp_path: Path) -> None:
    verdicts = looked_at(tmp_path, [picture(200), picture(0, 0, 200), *[picture(90)] * 6])
    assert [pair[0].source for pair in verdicts] == [f"{n}.png" for n in range(8)]
    assert not any(pair[0].not_inspected for pair in verdicts)
    assert (tmp_path / "others").read_text() == "0"


@pytest.mark.parametrize(("killed", "said"), [(False, "no-such-model: "), (True, "No process could load the models")])
def test_models_that_cannot_be_loaded(tmp_path: Path, killed: bool, said: str) -> None:
    if killed:
        (tmp_path / "killed").touch()
    with pytest.raises(ComponentError, match=said), Workers(partial(broken, tmp_path), POLICIES, 2) as workers:
        list(workers.stream([(picture(0), "a.png")]))


def test_no_process_outlives_the_block(tmp_path: Path) -> None:
    processes = []
    for error in (None, KeyboardInterrupt):
        try:
            with Workers(partial(build, tmp_path), POLICIES, 2) as workers:
                processes += [worker.process for worker in workers._workers]
                next(workers.stream((picture(n), f"{n}.png") for n in range(9)))
                if error:
                    raise error
        except KeyboardInterrupt:
            pass
    assert not any(process.is_alive() for process in processes)


def test_only_a_few_sources_are_taken_ahead(tmp_path: Path) -> None:
    taken = 0

    def sources() -> Iterator[tuple[bytes, str]]:
        nonlocal taken
        for taken in range(1, 200):
            yield picture(0), f"{taken}.png"

    with Workers(partial(build, tmp_path), POLICIES, 1) as workers:
        next(workers.stream(sources()))
        assert taken < 20


def test_threads_are_those_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads() == 0
    monkeypatch.setenv(THREADS, "3")
    assert threads() == 3
    monkeypatch.setenv(THREADS, "many")
    with pytest.raises(ComponentError, match=r"KIDSNANNY_THREADS is 'many'; set it to a whole number"):
        threads()
