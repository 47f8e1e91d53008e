"""One lock for each engine, and children that a fork leaves able to work."""

import gc
import os
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import page
from forked import in_child
from networks import colour_classifier

from kidsnanny.engines import ForkSafeExecutor, exclusive
from kidsnanny.errors import WeightsError
from kidsnanny.models.onnx import onnx_session
from kidsnanny.records import ModelId, TextLine
from kidsnanny.stage2.ocr.ppocr import PpOcr

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")


class Single:
    """An engine that notices when it is called by two threads at once."""

    model_id = ModelId(name="single", revision="1")

    def __init__(self, reentrant: bool = False) -> None:
        self.reentrant = reentrant
        self.inside = self.most = self.calls = 0

    def read(self, _: np.ndarray) -> list[TextLine]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.005)
        self.inside -= 1
        self.calls += 1
        return []


def use(engine: Single) -> None:
    with exclusive(engine):
        engine.read(np.zeros((1, 1, 3), np.uint8))


def test_two_pipelines_over_one_engine_take_turns() -> None:
    """Each with threads of its own, and both ask for the lock of the same object."""
    engine = Single()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: use(engine), range(40)))
    assert (engine.most, engine.calls) == (1, 40)


def test_a_reentrant_engine_is_called_by_many_at_once() -> None:
    engine = Single(reentrant=True)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: use(engine), range(40)))
    assert engine.most > 1


class Slotted:
    __slots__ = ()
    reentrant = False


class Equal:
    reentrant = False

    def __eq__(self, other: object) -> bool:  # and so it has no hash
        return isinstance(other, Equal)


@pytest.mark.parametrize("kind", [Single, Slotted, Equal])
def test_the_lock_belongs_to_the_object(kind: type) -> None:
    one, other = kind(), kind()
    assert exclusive(one) is exclusive(one)
    assert exclusive(one) is not exclusive(other)


def test_a_lock_goes_with_its_engine() -> None:
    from kidsnanny.engines import _locks

    before = len(_locks)
    for _ in range(100):
        exclusive(Single())
    gc.collect()
    assert len(_locks) <= before


@forks
def test_a_child_inherits_no_held_lock() -> None:
    engine = Single()
    with exclusive(engine):
        assert in_child(lambda: exclusive(engine).acquire(timeout=5)) == "yes"


# ------------------------------------------------------------------ threads


def test_an_executor_works_like_the_one_of_the_standard_library() -> None:
    executor = ForkSafeExecutor(2, "name")
    assert executor.submit(lambda a, b: a + b, 1, b=2).result() == 3
    assert list(executor.map(lambda a, b: a * b, (1, 2), (3, 4))) == [3, 8]
    assert executor.submit(lambda: threading.current_thread().name).result().startswith("name")
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="was shut down"):
        executor.submit(print)


@forks
def test_a_child_has_threads_of_its_own() -> None:
    executor = ForkSafeExecutor(1)
    assert executor.submit(os.getpid).result() == os.getpid()
    release = threading.Event()
    waiting = executor.submit(release.wait)  # its only thread is at work
    assert in_child(lambda: executor.submit(os.getpid).result(30) == os.getpid()) == "yes"
    release.set()
    assert waiting.result(30)
    assert executor.submit(os.getpid).result() == os.getpid()
    executor.shutdown()


# ------------------------------------------------------------------ engines


@forks
def test_the_ocr_reads_in_a_child_which_ends() -> None:
    """Ended as any program ends, with everything freed: a session of the parent's would then wait for its threads."""
    ocr = PpOcr()
    frame = np.asarray(page("HELLO"))
    assert [line.text for line in ocr.read(frame)] == ["HELLO"]

    def reads() -> bool:
        nonlocal ocr
        lines = [line.text for line in ocr.read(frame)]
        del ocr
        gc.collect()
        return lines == ["HELLO"]

    assert in_child(reads) == "yes"
    assert [line.text for line in ocr.read(frame)] == ["HELLO"]


@forks
def test_a_child_that_was_forked_while_others_read() -> None:
    ocr, stop = PpOcr(), threading.Event()
    frame = np.asarray(page("HELLO"))

    def reading() -> None:
        while not stop.is_set():
            ocr.read(frame)

    with ThreadPoolExecutor(2) as threads:
        for _ in range(2):
            threads.submit(reading)
        try:
            for _ in range(3):
                assert in_child(lambda: [line.text for line in ocr.read(frame)] == ["HELLO"]) == "yes"
        finally:
            stop.set()


def test_a_file_is_one_network_for_as_long_as_somebody_uses_it(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    colour_classifier(file, (0, 1))
    first = onnx_session(file)
    assert onnx_session(tmp_path / "." / "net.onnx") is first
    colour_classifier(file, (0, 1, 2))
    assert onnx_session(file) is not first, "the file is another one"
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
    file.unlink()
    with pytest.raises(WeightsError, match=r"net\.onnx: it cannot be opened"):
        onnx_session(file)
