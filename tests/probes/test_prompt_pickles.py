"""Q16's published prompts.p: numpy's arrays are read, and whatever else a pickle may be is refused and not run."""

import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.errors import WeightsError
from kidsnanny.probes.prompt_pickles import LARGEST, read_prompts

PROMPTS = np.random.default_rng(0).standard_normal((2, 512)).astype(np.float16)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path, protocol: int, kind: str, order: str) -> None:
    given = np.asarray(PROMPTS, kind, order=order)
    (tmp_path / "prompts.p").write_bytes(pickle.dumps(given, protocol))
    assert np.array_equal(read_prompts(tmp_path / "prompts.p").prompts, PROMPTS.astype(np.float32))


@pytest.mark.parametrize("core", ["core", "_core"])
def test_arrays_of_older_and_newer_numpys_are_read(tmp_path: Path, core: str) -> None:
    text = (
        pickle.dumps(PROMPTS, 0)
        .replace(b"numpy._core.", b"numpy.core.")
        .replace(b"numpy.core.", b"numpy." + core.encode() + b".")
    )
    (tmp_path / "prompts.p").write_bytes(text)
    assert np.array_equal(read_prompts(tmp_path / "prompts.p").prompts, PROMPTS.astype(np.float32))


class _Calls:
    """Pickles as a call."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call[0], self.call[1:]


class _WithState(_Calls):
    """Pickles as a call, on whose result a state is then set."""

    def __reduce__(self) -> tuple:
        return self.call[0], self.call[1], self.call[2]


REBUILD = PROMPTS.__reduce__()[0]
HOSTILE = {
    "a command": (_Calls(os.system, "touch ran"), r"it names \w+\.system"),
    "evaluation": (_Calls(eval, "open('ran', 'w')"), r"it names \w+\.eval"),
    "a file": (_Calls(io.open, "ran", "w"), r"it names \w+\.open"),
    "an import": (_Calls(__import__, "this"), r"it names \w+\.__import__"),
    "a part of numpy that opens files": (_Calls(np.load, "ran"), r"it names [\w.]+\.load"),
    "numpy's own pickles": (_Calls(np.memmap, "ran"), r"it names [\w.]*memmap"),
    "an object of a library": (OrderedDict(a=1), r"it names collections\.OrderedDict"),
    "a text": ("two vectors", "it holds a str"),
    "a list": ([[1.0], [2.0]], "it holds a list"),
    "arrays in a list": ([PROMPTS], "it holds a list"),
    "objects": (np.array([["a", None], ["b", 1]], object), "another type"),
    "whole numbers": (np.ones((2, 3), np.int64), "another type"),
    "letters": (np.array([["a"], ["b"]]), "another type"),
    "fields": (np.zeros((2,), [("a", "f4")]), "another type"),
    "three vectors": (np.ones((3, 4), np.float32), r"\(3, 4\)"),
    "one vector": (np.ones(4, np.float32), r"\(4,\)"),
    "no number": (np.full((2, 4), np.nan, np.float32), "finite"),
    "zeros": (np.zeros((2, 4), np.float32), "no direction"),
    "a shape without its bytes": (
        _WithState(REBUILD, (np.ndarray, (0,), b"b"), (1, (2, 10**9), np.dtype("f4"), False, b"")),
        r"shape|none|names",
    ),
    "fewer bytes than its shape": (
        _WithState(REBUILD, (np.ndarray, (0,), b"b"), (1, (2, 3), np.dtype("f4"), False, b"12345678")),
        "has 2 numbers",
    ),
    "half a number": (
        _WithState(REBUILD, (np.ndarray, (0,), b"b"), (1, (2, 1), np.dtype("f4"), False, b"1234567")),
        "pickle",
    ),
    "a state that is none": (_WithState(REBUILD, (np.ndarray, (0,), b"b"), {"shape": (2, 3)}), "it holds an? "),
    "a huge array": (_Calls(REBUILD, np.ndarray, (10**12,), b"b"), "it holds"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_whatever_else_a_pickle_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    held, says = HOSTILE[name]
    (tmp_path / "prompts.p").write_bytes(pickle.dumps(held, protocol))
    with pytest.raises(WeightsError, match=says) as caught:
        read_prompts(tmp_path / "prompts.p")
    assert "; get Q16's prompts.p again." in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["prompts.p"], "it ran"


OPS = {op.name: op.code.encode("latin1") for op in pickletools.opcodes}
ASSEMBLED = {
    "a place in the memory that makes room for ten thousand million": b"]"
    + OPS["LONG_BINPUT"]
    + struct.pack("<I", 2**32 - 1)
    + b".",
    "a text of which there is nothing": OPS["BINBYTES8"] + struct.pack("<Q", 2**60),
    "what only an extension knows": OPS["EXT1"] + b"\x01.",
    "something from outside": b"Psomething\n.",
    "something built on a name": b"cnumpy\nndarray\n}(Vshape\nI2\nub.",
    "something set on a name": b"cnumpy\nndarray\n(N}(V_call\nI2\nutb.",
    "an instance of a name": b"(inumpy\nmemmap\n.",
    "a name with dots": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
    "a name of a part": b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
    "an encoding that is another": b"c_codecs\nencode\n(Va\nVzip\ntR.",
    "nothing": b"",
    "letters": b"not a pickle at all",
    "too much": b"." * (LARGEST + 1),
}


@pytest.mark.parametrize("name", ASSEMBLED)
def test_pickles_that_no_program_writes_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "prompts.p").write_bytes(ASSEMBLED[name])
    with pytest.raises(WeightsError, match=r"get Q16's prompts\.p again"):
        read_prompts(tmp_path / "prompts.p")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.p: it cannot be read \(No such file or directory\); name another"):
        read_prompts(tmp_path / "none.p")


WHOLE = pickle.dumps(PROMPTS[:, :4], 2)


@given(st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))))
def test_any_bytes_are_two_vectors_or_refused(tmp_path_factory: pytest.TempPathFactory, change: bytes | tuple) -> None:
    path = tmp_path_factory.getbasetemp() / "any.p"
    if isinstance(change, tuple):
        changed = bytearray(WHOLE)
        changed[change[0]] = change[1]
        path.write_bytes(changed)
    else:
        path.write_bytes(change)
    try:
        found = read_prompts(path)
    except WeightsError as error:
        said = str(error)
    else:
        assert found.prompts.shape[0] == 2
        return
    assert said.startswith(f"{path}: it is no pickle of two vectors")
