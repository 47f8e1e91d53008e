"""Pictures to audit: the same from a folder, tables, a manifest and a WebDataset, whatever a stranger put into it."""

import json
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from audited_data import FORMS, GREY, PICTURES, as_webdataset, plain, shard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from kidsnanny.errors import DataError
from kidsnanny.media.loader import DEFAULT_LIMITS
from kidsnanny.probes.datasheet.audited_pictures import AuditedPicture
from kidsnanny.probes.datasheet.picture_sources import open_pictures


def read(path: Path) -> list[AuditedPicture]:
    return list(open_pictures(path).read())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pictures(tmp_path: Path, form: str) -> None:
    source = open_pictures(FORMS[form](tmp_path / "data"))
    assert source.form == form
    for _ in range(2):  # again and again
        found = list(source.read())
        files = [one.image if isinstance(one.image, bytes) else one.image.read_bytes() for one in found]
        assert [(one.group, data, one.caption) for one, data in zip(found, files, strict=True)] == [
            (group, data, caption) for group, _, data, caption in PICTURES
        ]
        assert not any(one.problem for one in found)
        assert len({one.name for one in found}) == len(PICTURES)


def test_a_class_is_the_folder_a_picture_lies_in(tmp_path: Path) -> None:
    for name in ("a.png", "dog/b.png", "train/dog/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(plain(GREY))
    (tmp_path / "notes.md").write_text("no picture")
    assert [(one.name, one.group, one.caption) for one in read(tmp_path)] == [
        ("a.png", "", ""),
        ("dog/b.png", "dog", ""),
        ("train/dog/c.png", "train/dog", ""),
    ]


def test_numbers_of_a_table_are_the_words_that_they_stand_for(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    table = pa.table({"image": [plain(GREY)] * 2, "label": [1, 0], "text": ["a dog", None]})
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "test.parquet")
    assert [(one.group, one.caption) for one in read(tmp_path / "test.parquet")] == [("dog", "a dog"), ("cat", "")]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "there is nothing there"),
        (lambda at: at.write_text("hello"), "it is no data set"),
        (lambda at: at.mkdir(), None),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, make: object, says: str | None) -> None:
    make(tmp_path / "data")  # type: ignore[operator]
    if says is None:
        assert read(tmp_path / "data") == []
    else:
        with pytest.raises(DataError, match=says):
            open_pictures(tmp_path / "data")


def test_a_link_out_of_the_data_set_is_not_followed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "a").mkdir(parents=True)
    (data / "a" / "1.png").write_bytes(plain(GREY))
    (tmp_path / "secret.txt").write_text("secret")
    (data / "a" / "1.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DataError, match="leads out of the data set's folder"):
        read(data)


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_members_that_are_no_files_are_not_read(tmp_path: Path) -> None:
    """Links, devices and pipes stand for nothing, and a name that is a path leads nowhere."""
    (tmp_path / "secret.png").write_bytes(plain(GREY, 99))
    shard(
        tmp_path / "0.tar",
        [
            member("1.png", tarfile.SYMTYPE, str(tmp_path / "secret.png")),
            member("2.png", tarfile.LNKTYPE, "../secret.png"),
            member("3.png", tarfile.CHRTYPE),
            member("4.png", tarfile.FIFOTYPE),
            member("5.png", tarfile.DIRTYPE),
            ("../../escape.png", plain(GREY)),
            ("/etc/absolute.png", plain(GREY, 9)),
            ("a\udcff\x1b.png", plain(GREY, 10)),
        ],
    )
    before = sorted(os.walk(tmp_path))
    found = read(tmp_path / "0.tar")
    assert [one.image for one in found] == [plain(GREY, width) for width in (8, 9, 10)]
    assert sorted(os.walk(tmp_path)) == before
    for one in found:
        one.name.encode()


def test_a_sample_may_have_several_pictures_and_lack_everything_else(tmp_path: Path) -> None:
    shard(tmp_path / "0.tar", [("1.left.png", b"l"), ("1.right.JPG", b"r"), ("1.cls", b"7"), ("2.png", b"x")])
    assert [(one.name, one.image, one.group) for one in read(tmp_path)] == [
        ("0.tar/1.left.png", b"l", "7"),
        ("0.tar/1.right.JPG", b"r", "7"),
        ("0.tar/2.png", b"x", ""),
    ]


@pytest.mark.parametrize("text", [b"[" * 100_000, b"[1, 2]", b"\xff", b"{", b"7"])
def test_what_cannot_be_read_beside_a_picture_is_said(tmp_path: Path, text: bytes) -> None:
    shard(tmp_path / "0.tar", [("1.png", b"x"), ("1.json", text), ("1.cls", b"cat")])
    (one,) = read(tmp_path)
    assert (one.group, one.problem) == ("cat", "its .json cannot be read")


def test_a_picture_larger_than_any_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kidsnanny.probes.datasheet import webdataset_source

    monkeypatch.setattr(webdataset_source, "DEFAULT_LIMITS", DEFAULT_LIMITS._replace(bytes=10))
    shard(tmp_path / "0.tar", [("1.png", b"x" * 1000)])
    (one,) = read(tmp_path)
    assert one.image == b"x" * 11


@pytest.mark.parametrize("length", [0, 511, 512, 1023, 1024, 1536, 2048])
def test_a_shard_without_its_end_is_refused(tmp_path: Path, length: int) -> None:
    """What is missing from a shard would be missing from the counts."""
    file = shard(tmp_path / "0.tar", [("1.png", b"x" * 600), ("2.png", b"y")])
    assert len(read(file)) == 2
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DataError, match=r"0\.tar: it is no whole \.tar file \(.+\); get it again\."):
        read(file)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=12), st.integers(0, 4000))
def test_a_damaged_shard_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    data = bytearray(shard(folder / "a.tar", [("1.png", b"x"), ("1.cls", b"7"), ("2.jpg", b"y")]).read_bytes())
    for place, value in changes:
        data[place] = value
    (folder / "a.tar").write_bytes(data[: len(data) - cut])
    try:
        found = read(folder / "a.tar")
    except DataError:
        return
    assert all(isinstance(one.image, bytes) for one in found)


def test_a_member_of_no_size_is_not_read_for_ever(tmp_path: Path) -> None:
    """A header may say that its member is so many bytes less than nothing."""
    file = as_webdataset(tmp_path / "data") / "0.tar"
    data = bytearray(file.read_bytes())
    data[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512
    data[148:156] = b"        "
    data[148:156] = b"%06o\0 " % sum(data[:512])
    file.write_bytes(data)
    with pytest.raises(DataError, match="is no whole"):
        read(file)


@pytest.mark.parametrize(
    ("cells", "group"),
    [
        ({"class": 0}, "0"),
        ({"class": "art", "category": "Spam"}, "art"),
        ({"class": "", "category": "Spam"}, "Spam"),
        ({"label": "unsafe"}, ""),
    ],
)
def test_a_manifests_class_is_its_class_or_category_and_never_its_label(
    tmp_path: Path, cells: dict[str, object], group: str
) -> None:
    (tmp_path / "pictures.jsonl").write_text(json.dumps({"path": "a.png", **cells}) + "\n")
    (tmp_path / "a.png").write_bytes(plain(GREY))
    (found,) = open_pictures(tmp_path / "pictures.jsonl").read()
    assert found.group == group
