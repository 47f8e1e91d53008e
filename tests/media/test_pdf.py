"""PDF: pages are frames, their text layer is judged, and nothing of a document is passed over in silence."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import gradient, scripted
from pdf_files import drawn, pdf, stream, words
from PIL import Image

from kidsnanny.budget import Budget
from kidsnanny.errors import CorruptPictureError, InputError, PictureTooLargeError, UnsupportedFormatError
from kidsnanny.media import pdf as pdf_module
from kidsnanny.media.loader import Limits, open_picture
from kidsnanny.media.walk import is_media

PHOTO, FILL = drawn(gradient(400, 200))
NIGHT = b"0 g 0 0 200 100 re f\n"
"""A black page: the scripted eye reports white ones."""
PLAIN = pdf(words("hello there"), FILL, image=PHOTO)


def test_each_page_is_a_frame() -> None:
    picture = open_picture(PLAIN)
    first, second = picture.frames()
    assert (picture.image.format, first.rgb.shape, picture.skipped, picture.remarks) == ("PDF", (208, 416, 3), [], [])
    assert [line.text for line in first.layer] == ["hello there"]
    assert (first.index, second.index, second.layer) == (0, 1, ())
    expected = np.asarray(gradient(400, 200).resize((416, 208))).astype(int)
    assert np.abs(second.rgb - expected).mean() < 3


def test_a_line_of_the_layer_lies_where_it_is_drawn() -> None:
    (frame,) = open_picture(pdf(words("hello there"))).frames()
    (line,) = frame.layer
    rows, columns = np.nonzero(frame.rgb[..., 0] < 128)
    box = line.box
    assert abs(box.x0 - columns.min()) < 6
    assert abs(box.x1 - columns.max()) < 6
    assert box.y0 - 6 < rows.min() <= rows.max() < box.y1 + 6


UNSEEN = {
    "white on white": pdf(NIGHT + words("a mean word")),
    "invisible": pdf(NIGHT + words("a mean word", mode=3)),
    "under a surface": pdf(words("a mean word") + NIGHT),
    "on a later page like the first": pdf(NIGHT + words("hello"), NIGHT + words("a mean word")),
    "in a note": pdf(
        NIGHT + words("hello"),
        page=b"/Annots[10 0 R]",
        more=[b"<</Type/Annot/Subtype/Text/Rect[1 1 20 20]/Contents(a mean word)>>"],
    ),
}


@pytest.mark.parametrize("data", UNSEEN.values(), ids=UNSEEN)
def test_text_that_cannot_be_seen_is_judged(data: bytes) -> None:
    verdict = scripted("hello")(data)
    assert verdict.label == "unsafe"
    assert "a mean word" in [line.text for line in verdict.inspection.text if line.kind == "layer"]


def test_what_the_ocr_has_read_of_the_layer_stands_once() -> None:
    verdict = scripted("Hello, there")(pdf(NIGHT + words("hello there")))
    assert [(line.text, line.kind) for line in verdict.inspection.text] == [("Hello, there", "line")]
    assert verdict.label == "safe"


def test_a_bad_picture_on_the_last_page_is_seen() -> None:
    image, fill = drawn(Image.new("RGB", (200, 100), "red"))
    assert scripted()(pdf(NIGHT + words("a"), NIGHT, fill, image=image)).label == "unsafe"


def test_pages_past_the_cap_are_named() -> None:
    picture = open_picture(pdf(*(words(str(n)) for n in range(9))), Limits(frames=5))
    assert len(list(picture.frames())) == 5
    assert "4 of 9 frames" in picture.skipped[0].reason


DARK_PLAIN = pdf(NIGHT + words("hello there"), NIGHT)
NAMED_FILES = [b"<</Type/Filespec/F(a.txt)/EF<</F 11 0 R>>>>", stream(b"hello")]
CARRIES = {
    "an attached file": (
        pdf(NIGHT + words("a"), catalog=b"/Names<</EmbeddedFiles<</Names[(a) 10 0 R]>>>>", more=NAMED_FILES),
        "1 attached file was not looked at",
    ),
    "a film": (
        pdf(NIGHT + words("a"), page=b"/Annots[10 0 R]", more=[b"<</Type/Annot/Subtype/Movie/Rect[1 1 20 20]>>"]),
        "a film in it was not looked at",
    ),
    "layers that are off": (
        pdf(
            NIGHT + words("a"),
            catalog=b"/OCProperties<</OCGs[10 0 R]/D<</OFF[10 0 R]>>>>",
            more=[b"<</Type/OCG/Name(a)>>"],
        ),
        "layers that are switched off were not looked at",
    ),
    "a page as large as a house": (pdf(NIGHT, size=(14400, 14400)), "200 x 200 inches, was drawn with 20 dots"),
    "damaged text": (DARK_PLAIN.replace(b"x\x9c", b"x\x9d", 1), "is damaged"),
    "no table": (DARK_PLAIN.replace(b"startxref", b"startxxxx"), "its table of objects is damaged"),
    "no end": (DARK_PLAIN[:-7], "the file ends before the document does"),
}


@pytest.mark.parametrize(("data", "says"), CARRIES.values(), ids=CARRIES)
def test_what_is_not_looked_at_is_named_and_not_safe(data: bytes, says: str) -> None:
    verdict = scripted()(data)
    assert verdict.label != "safe"
    assert says in " ".join(one.reason for one in verdict.not_inspected)


def test_a_program_in_it_is_named_and_changes_no_label() -> None:
    names = b"/Names<</JavaScript<</Names[(a) 10 0 R]>>>>"
    verdict = scripted()(pdf(NIGHT + words("a"), catalog=names, more=[b"<</S/JavaScript/JS(app.alert\\(1\\))>>"]))
    assert (verdict.label, verdict.remarks) == ("safe", ("its JavaScript was not run",))


REFUSED = {
    "no pages": (pdf(), CorruptPictureError, "it has no pages"),
    "half": (PLAIN[: len(PLAIN) // 2], InputError, "cannot be opened"),
    "nothing but a beginning": (b"%PDF-1.7\n", CorruptPictureError, "cannot be opened"),
    "text that unpacks to much": (pdf(b" " * 201_000_000), PictureTooLargeError, "unpack to more than 200,000,000"),
    "text that is packed twice": (
        pdf(words("a"), more=[b"<</Filter[/FlateDecode/FlateDecode]/Length 1>>\nstream\na\nendstream"]),
        PictureTooLargeError,
        "packed more than once",
    ),
    "a picture of many pixels": (
        pdf(FILL, image=PHOTO.replace(b"/Width 400/Height 200", b"/Width 40000/Height 20000")),
        PictureTooLargeError,
        "sides of 40,?000 and 20,?000 pixels",
    ),
}


@pytest.mark.parametrize(("data", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_one_sentence(data: bytes, error: type[InputError], says: str) -> None:
    with pytest.raises(error, match=says) as raised:
        list(open_picture(data).frames())
    assert str(raised.value).endswith(".")
    assert not str(raised.value).endswith("..")


def test_a_password_is_asked_for_in_words(tmp_path: Path) -> None:
    """A document whose dictionary of encryption no empty password fits."""
    secret = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O(%b)/U(%b)>>/ID[(a)(a)]" % (b"o" * 32, b"u" * 32)
    path = tmp_path / "letter.pdf"
    path.write_bytes(pdf(words("a")).replace(b"/Root 1 0 R>>", b"/Root 1 0 R" + secret + b">>"))
    with pytest.raises(UnsupportedFormatError, match=r"letter\.pdf: it is a PDF with a password.*without the password"):
        open_picture(path)


def test_without_the_extra_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_module, "installed", lambda: False)
    path = tmp_path / "letter.pdf"
    path.write_bytes(PLAIN)
    assert is_media(path)
    with pytest.raises(UnsupportedFormatError, match=r"pip install 'kidsnanny\[pdf\]'.*or export them as PNG\.$"):
        open_picture(path)


def test_a_page_is_given_up_when_its_time_is_used_up() -> None:
    budget = Budget(1e-9)
    picture = open_picture(pdf(FILL * 2000, image=PHOTO))
    with budget.spending(), pytest.raises(PictureTooLargeError, match="its time was used up"):
        list(picture.frames())


def test_several_threads_look_at_documents_at_once() -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(list(open_picture(PLAIN).frames())))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 8


def test_a_document_cut_short_anywhere_is_never_safe() -> None:
    pipeline = scripted()
    assert pipeline(DARK_PLAIN).label == "safe"
    for cut in range(1, len(DARK_PLAIN) - 6, 13):
        assert pipeline(DARK_PLAIN[:cut]).label != "safe", cut


def test_pages_that_pillow_writes() -> None:
    file = io.BytesIO()
    gradient(120, 80).save(file, "PDF", resolution=150)
    picture = open_picture(file.getvalue())
    (frame,) = picture.frames()
    assert frame.rgb.shape == (80, 120, 3)
    assert picture.skipped == []
