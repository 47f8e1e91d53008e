"""ONNX Runtime sessions on the CPU."""

import ctypes
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kidsnanny.engines import renew_after_fork, threads
from kidsnanny.errors import WeightsError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


LARGE = 3_100_000
"""Bytes of input. After a larger call ONNX Runtime gives its memory back, which it would otherwise keep for ever."""


class OnnxSession:
    """The part of an `onnxruntime.InferenceSession` that is used here. A forked child opens its own at its first call.

    ONNX Runtime's threads do not exist in a forked child: a session of the parent's computes there on one thread, and
    waits for ever for the others when it is freed. So a child keeps such a session unused and never frees it.
    """

    def __init__(self, load: "Callable[[], InferenceSession]") -> None:
        self._load = load
        self._session: InferenceSession | None = load()
        self._lock = threading.Lock()
        renew_after_fork(self)

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Any]) -> list[Any]:
        """The outputs of that name, or all of them, in order."""
        options = _shrinking() if sum(one.nbytes for one in inputs.values()) > LARGE else None
        found: list[Any] = (self._session or self._open()).run(outputs, inputs, options)
        return found

    def get_inputs(self) -> list[Any]:
        """Name, shape and type of each input."""
        found: list[Any] = (self._session or self._open()).get_inputs()
        return found

    def get_outputs(self) -> list[Any]:
        """Name, shape and type of each output."""
        found: list[Any] = (self._session or self._open()).get_outputs()
        return found

    def get_modelmeta(self) -> Any:
        """The file's metadata."""
        return (self._session or self._open()).get_modelmeta()

    def after_fork(self) -> None:
        """Keep the parent's session for as long as the child runs, and let the next call open another."""
        if self._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
        self._session = None
        self._lock = threading.Lock()

    def _open(self) -> "InferenceSession":
        with self._lock:
            if self._session is None:
                self._session = self._load()
            return self._session


@cache
def _shrinking() -> Any:
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


_open: "weakref.WeakValueDictionary[tuple[Path, int, int, str | None], OnnxSession]" = weakref.WeakValueDictionary()


def onnx_session(path: Path, inner: str | None = None) -> OnnxSession:
    """An ONNX Runtime session on the CPU, one for each file for as long as somebody uses it: pipelines of one process
    share their networks. Sessions may be run from several threads at once.

    Args:
        path: of the file.
        inner: a tensor inside the network that is to be an output as well.

    Raises:
        ComponentError: `KIDSNANNY_THREADS` is no number.
        WeightsError: ONNX Runtime does not accept the file, or it has no such tensor.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise WeightsError(f"{path}: it cannot be opened ({error.strerror}); get the file again.") from error
    key = path.resolve(), state.st_mtime_ns, state.st_size, inner
    session = _open.get(key)
    if session is None:
        session = _open[key] = OnnxSession(lambda: _load(path, inner))
    return session


def _load(path: Path, inner: str | None) -> "InferenceSession":
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for a program that imported it before kidsnanny could say no
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = 3  # errors only: nothing about a picture goes to stderr
    # Several sessions take turns: threads that go on spinning after a call take the processor from the next session.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        file: str | bytes = path.read_bytes() + _as_output(inner) if inner else str(path)
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if inner and f"({inner}) does not exist" in str(error):
            fix = "name a tensor of it as the card's output"
            raise WeightsError(f"{path}: there is no tensor {inner} in its network; {fix}.") from error
        raise WeightsError(f"{path}: ONNX Runtime cannot load it ({error}); get the file again.") from error


def _as_output(tensor: str) -> bytes:
    """What makes a tensor an output of the network when it is added to the end of an ONNX file.

    Such a file is a message of protobuf, in which a part that comes twice is joined: this is a ModelProto with nothing
    but a graph (field 7) with one more output (field 12) of that name (field 1).
    """
    found = tensor.encode()
    for field in (1, 12, 7):
        length, rest = bytearray(), len(found)
        while rest > 127:
            length.append(rest & 127 | 128)
            rest >>= 7
        found = bytes([field << 3 | 2, *length, rest]) + found
    return found
