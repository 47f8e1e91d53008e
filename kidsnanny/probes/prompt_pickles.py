"""Q16's published `prompts.p`: a pickle, of which only an array of numbers is taken.

A pickle is a program that names what it calls. Here the few names that make up an array in numpy lead to stand-ins,
which only note what they are given; whatever else it names is refused by its name, before anything is imported.
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import WeightsError
from kidsnanny.probes.q16 import Q16

LARGEST = 2**20
"""Bytes that such a file has at most; the published ones have some 2,000 and 3,000."""
MOST_NUMBERS = LARGEST
FLOATS = ("f2", "f4", "f8")
ORDERS = ("<", ">", "=", "|")


class _Array:
    """Notes the state that numpy's array would be given: version, shape, type, whether columns come first, bytes."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, tuple) else ()


class _Type:
    """Notes numpy's type of number and its order of bytes."""

    def __init__(self, name: Any) -> None:
        self.name, self.order = name, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if isinstance(state, tuple) and len(state) > 1 else ""


class _StandIn:
    """What a name in the pickle leads to: it can be called, and nothing can be set on it."""

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it sets {name}")

    __setstate__ = None  # what a pickle builds on it is refused


def _latin1(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes a text")
    return text.encode("latin1")


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    return _Array(1, shape, kind, order == "F", data)


_KNOWN: dict[str, Callable[..., Any]] = {
    "_reconstruct": lambda *_: _Array(),
    "_frombuffer": _from_buffer,
    "ndarray": lambda *_: _Array(),
    "dtype": lambda name, *_: _Type(name),
    "encode": _latin1,
}
_NAMES = {
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Reader(pickle._Unpickler):  # the one in Python: the one in C makes room for any number that a memo has
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _StandIn(_KNOWN[name])


def read_prompts(path: Path) -> Q16:
    """The two vectors of a published `prompts.p`. Nothing that the file names is imported or called.

    Raises:
        WeightsError: it cannot be read, names anything but an array of numbers, or that is not (2, d).
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise pickle.UnpicklingError(f"it has more than {LARGEST:,} bytes")
        return Q16(_numbers(_Reader(io.BytesIO(data), encoding="latin1").load()))
    except OSError as error:
        raise WeightsError(f"{path}: it cannot be read ({error.strerror}); name another file.") from error
    except Exception as error:  # an unpickler raises anything
        reason = str(error).replace("\n", " ")[:100] or type(error).__name__
        raise WeightsError(
            f"{path}: it is no pickle of two vectors alone ({reason!r}), and what else a pickle holds may run code; "
            "get Q16's prompts.p again."
        ) from error


def _numbers(found: Any) -> npt.NDArray[np.floating]:
    """The array that numpy would have made."""
    if not isinstance(found, _Array) or len(found.state) != 5:
        raise pickle.UnpicklingError(f"it holds a {type(found).__name__.lstrip('_').lower()}")
    _, shape, kind, columns_first, data = found.state
    if not isinstance(kind, _Type) or kind.name not in FLOATS or kind.order not in ORDERS:
        raise pickle.UnpicklingError("its numbers are of another type than float16, float32 and float64")
    whole = isinstance(shape, tuple) and all(type(side) is int and 0 < side <= MOST_NUMBERS for side in shape)
    data = data.encode("latin1") if isinstance(data, str) else data
    if not whole or not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("its shape or its bytes are none")
    numbers = np.frombuffer(bytes(data), np.dtype(kind.order.replace("|", "=") + kind.name))
    if math.prod(shape) != numbers.size:
        raise pickle.UnpicklingError(f"it has {numbers.size} numbers where its shape is {shape}")
    return numbers.reshape(shape, order="F" if columns_first else "C")
