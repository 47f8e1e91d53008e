"""Parity with the nudenet package, and what the product adds to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage
from conftest import gradient
from networks import one_box
from nudenet import NudeDetector
from PIL import Image

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.models.cards import cards, make_card
from kidsnanny.models.store import digest
from kidsnanny.records import Box, Detection, ModelId, VisualFindings
from kidsnanny.stage1.detector import MAX_IOU, MIN_SCORE, Yolo, candidates, detections, letterbox

NUDENET = cards()["nudenet-320n"].labels
SIDE = 320


def varied() -> Iterator[np.ndarray]:
    """64 pictures: crops of a photograph at many sizes and aspects, many with a face, turned and flipped; drawings."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    random = np.random.default_rng(7)
    for n in range(56):
        width, height = random.integers(120, 500, 2).tolist()
        x, y = int(random.integers(0, 512 - width)), int(random.integers(0, 512 - height) // 2)
        crop = astronaut.crop((x, y, x + width, y + height)).rotate(float(random.uniform(-15, 15)))
        scale = float(random.uniform(0.5, 3))
        crop = crop.resize((max(1, round(width * scale)), max(1, round(height * scale))))
        yield np.asarray(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if n % 2 else crop)
    for seed in range(8):
        yield np.asarray(gradient(900, 40 + 100 * seed, seed))


def their_boxes(yolo: Yolo, frame: np.ndarray) -> list[tuple[str, float, list[float]]]:
    """Our network output through nudenet's own clipping: it moves a box that starts outside, and keeps its size."""
    import cv2

    (output,) = yolo.network(letterbox(frame, SIDE, "nudenet")[None])()
    boxes, scores, labels = candidates(output, max(frame.shape[:2]) / SIDE, one_label=True)
    height, width = frame.shape[:2]
    clipped = []
    for x, y, w, h in boxes:
        x, y = max(0, min(x, width)), max(0, min(y, height))
        clipped.append([x, y, min(w, width - x), min(h, height - y)])
    kept = cv2.dnn.NMSBoxes([[float(v) for v in box] for box in clipped], scores.tolist(), MIN_SCORE, MAX_IOU)
    return [(list(NUDENET)[labels[n]], float(scores[n]), clipped[n]) for n in np.asarray(kept, int).ravel()]


def test_parity_with_the_nudenet_package() -> None:
    ours, theirs = Yolo("nudenet-320n", resize="nudenet"), NudeDetector()
    found = moved = 0
    for frame in varied():
        # nudenet calls its input BGR and swaps it, then swaps again: an RGB array arrives as RGB
        expected = theirs.detect(np.ascontiguousarray(frame))
        got = their_boxes(ours, frame)
        assert [label for label, _, _ in got] == [d["class"] for d in expected]
        for (_, score, box), reference in zip(got, expected, strict=True):
            assert abs(score - reference["score"]) <= 0.02
            assert np.abs(np.array(box) - reference["box"]).max() <= 2
        (product,) = ours.screen([frame])
        height, width = frame.shape[:2]
        for seen in product:
            assert 0 <= seen.box.x0 < seen.box.x1 <= width
            assert 0 <= seen.box.y0 < seen.box.y1 <= height
        # The product clips the box it was given; it differs from nudenet's only where a box starts outside the picture.
        for seen, reference in zip(product, expected, strict=False):
            x, y, w, h = reference["box"]
            inside = x > 0 and y > 0
            same = seen.label == reference["class"] and np.abs(np.array(seen.box) - [x, y, x + w, y + h]).max() <= 2
            moved += not same
            assert same or not inside
        found += len(expected)
    assert found >= 50, "the pictures must hold something, or the comparison proves nothing"
    assert moved <= found / 4


def test_a_batch_gives_what_single_pictures_give() -> None:
    yolo = Yolo("nudenet-320n")
    frames = list(varied())[:12]
    for together, frame in zip(yolo.screen(frames), frames, strict=True):
        (alone,) = yolo.screen([frame])
        assert [seen.label for seen in together] == [seen.label for seen in alone]
        for a, b in zip(together, alone, strict=True):
            assert abs(a.score - b.score) < 1e-3
    assert yolo.screen([]) == []


def test_a_figure_on_a_twentieth_of_a_4k_picture_is_found() -> None:
    """An astronaut on 5 % of a 4K screenshot, in nine places: squeezed to 320 she is lost, in tiles she is found."""
    side = round((0.05 * 3840 * 2160) ** 0.5)
    figure = Image.fromarray(skimage.data.astronaut()).resize((side, side))
    yolo = Yolo("nudenet-320n")
    found = squeezed = 0
    for column in range(3):
        for row in range(3):
            screen = Image.new("RGB", (3840, 2160), (236, 236, 240))
            at = (column * (3840 - side) // 2, row * (2160 - side) // 2)
            screen.paste(figure, at)
            frame = np.asarray(screen)
            faces = [seen for seen in yolo.screen([frame])[0] if seen.label == "FACE_FEMALE"]
            found += len(faces) == 1
            for face in faces:
                assert at[0] < face.box.x0 < face.box.x1 < at[0] + side
                assert at[1] <= face.box.y0 < face.box.y1 < at[1] + side
            (small,) = yolo.screen([np.asarray(screen.resize((1280, 720)))])
            squeezed += any(seen.label == "FACE_FEMALE" for seen in small)
    assert found == 9
    assert squeezed < 9


def test_the_products_resize_averages_every_pixel() -> None:
    """A pattern between the samples of a bilinear resize is seen by ours and missed by nudenet's."""
    frame = np.zeros((3200, 3200, 3), np.uint8)
    frame[::10] = 255  # one row in ten is white: the mean is a tenth
    assert abs(float(letterbox(frame, SIDE).mean()) - 0.1) < 0.01
    assert abs(float(letterbox(frame, SIDE, "nudenet").mean()) - 0.1) > 0.05


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ((1, 1), (320, 320)),
        ((1, 5000), (32, 320)),
        ((5000, 1), (320, 32)),
        ((720, 1280), (192, 320)),
        ((7, 333), (32, 320)),
    ],
)
def test_any_shape_fits_the_network(shape: tuple[int, int], given: tuple[int, int]) -> None:
    frame = np.full((*shape, 3), 128, np.uint8)
    assert letterbox(frame, SIDE).shape == (3, *given)
    assert letterbox(frame, SIDE, "nudenet").shape == (3, SIDE, SIDE)
    Yolo("nudenet-320n").screen([frame])


def test_boxes_are_clipped_and_empty_ones_dropped() -> None:
    output = np.zeros((22, 2100), np.float32)
    output[:4, 0], output[4, 0] = (0, 0, 100, 100), 0.9  # centre in the corner: three quarters are outside
    output[:4, 1], output[6, 1] = (-50, -50, 20, 20), 0.9  # all of it is outside
    boxes, scores, labels = candidates(output, 1.0)
    (seen,) = detections(boxes, scores, [list(NUDENET)[n] for n in labels], (320, 320))
    assert seen.box == Box(0, 0, 50, 50)


EXPOSED, COVERED = "FEMALE_BREAST_EXPOSED", "FEMALE_BREAST_COVERED"
BESIDE = {
    "a harmless label on the same place": [(100, {COVERED: 0.80}), (100, {EXPOSED: 0.78})],
    "a harmless label that overlaps": [(100, {COVERED: 0.80}), (110, {EXPOSED: 0.78})],
    "a harmless label of the same anchor": [(100, {COVERED: 0.80, EXPOSED: 0.78})],
    "a harmless label just above, of the same anchor": [(100, {"FACE_FEMALE": 0.79, EXPOSED: 0.78})],
    "many harmless labels": [(100 + n, {COVERED: 0.8, "BELLY_EXPOSED": 0.9}) for n in range(9)]
    + [(104, {EXPOSED: 0.78})],
}


class Anchors:
    """A network that answers with the same anchors, whatever it is shown: (centre, label -> score) each."""

    device = "cpu"
    model_id = ModelId(name="anchors", revision="1")

    def __init__(self, anchors: list[tuple[int, dict[str, float]]]) -> None:
        self.output = np.zeros((1, 4 + len(NUDENET), 2100), np.float32)
        for n, (centre, scores) in enumerate(anchors):
            self.output[0, :4, n] = centre, centre, 100, 100
            for label, score in scores.items():
                self.output[0, 4 + list(NUDENET).index(label), n] = score

    def __call__(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        return lambda: np.repeat(self.output, len(batch), axis=0)


@pytest.mark.parametrize("anchors", BESIDE.values(), ids=BESIDE)
def test_a_harmless_label_hides_no_harmful_one(anchors: list[tuple[int, dict[str, float]]]) -> None:
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    yolo = Yolo("nudenet-320n", runs=Anchors(anchors))
    (seen,) = yolo.screen([frame])
    assert [found.score for found in seen] == sorted((found.score for found in seen), reverse=True)
    found = VisualFindings(width=SIDE, height=SIDE, frames=1, detections=seen)
    assert max(signal.score for signal in yolo.signals(found)) == pytest.approx(0.78)
    assert len({(one.label, one.box) for one in seen}) == len(seen)
    (baseline,) = Yolo("nudenet-320n", resize="nudenet", runs=Anchors(anchors)).screen([frame])
    assert len(baseline) == 1, "the package that is the baseline keeps the strongest label of a place"


def test_of_one_label_the_strongest_box_of_a_place_stays() -> None:
    anchors = [(100 + n, {EXPOSED: 0.5 + n / 100}) for n in range(9)] + [(250, {EXPOSED: 0.3})]
    (seen,) = Yolo("nudenet-320n", runs=Anchors(anchors)).screen([np.zeros((SIDE, SIDE, 3), np.uint8)])
    assert [round(found.score, 2) for found in seen] == [0.58, 0.3]


def test_the_table_covers_the_networks_labels() -> None:
    output = Yolo("nudenet-320n").network(np.zeros((1, 3, SIDE, SIDE), np.float32))()
    assert output.shape == (1, 4 + len(NUDENET), 2100)


@pytest.mark.parametrize("part", ["FEMALE_BREAST", "BUTTOCKS", "FEMALE_GENITALIA", "ANUS"])
def test_exposed_parts_count_at_least_twice_what_covered_ones_do(part: str) -> None:
    assert NUDENET[f"{part}_EXPOSED"]["nudity"] >= 2 * NUDENET[f"{part}_COVERED"]["nudity"]


@pytest.mark.parametrize("label", ["FACE_FEMALE", "FACE_MALE", "FEET_EXPOSED", "FEET_COVERED", "ARMPITS_EXPOSED"])
def test_faces_feet_and_armpits_are_no_reason(label: str) -> None:
    seen = VisualFindings(
        width=9,
        height=9,
        frames=1,
        detections=(Detection(label=label, score=1, box=Box(0, 0, 9, 9), model="nudenet-320n"),),
    )
    assert Yolo("nudenet-320n").signals(seen) == []


def test_a_network_that_runs_on_the_cpu_alone_is_not_quietly_moved_there() -> None:
    with pytest.raises(ComponentError, match='its ONNX file runs on the CPU; give device="auto" or "cpu"'):
        Yolo("nudenet-320n", device="cuda")


def test_a_network_for_one_square_at_a_time_sees_frames_of_any_shape(tmp_path: Path) -> None:
    one_box(tmp_path / "any.onnx", ("bare", "face"))
    one_box(tmp_path / "one.onnx", ("bare", "face"), batch=1, side=64)
    frames = [np.full((height, width, 3), (255, 0, 0), np.uint8) for height, width in ((64, 64), (32, 128), (100, 60))]
    found = []
    for name in ("any", "one"):
        path = tmp_path / f"{name}.onnx"
        fields = {"role": "detector", "what": "a test", "licence": "ours", "input": 64, "path": path}
        fields |= {"files": {path.name: {"sha256": digest(path)}}, "labels": {"bare": {"nudity": 1.0}, "face": {}}}
        found.append(Yolo(make_card("boxes", fields)).screen(frames))
    assert found[0] == found[1]
    assert [[one.label for one in seen] for seen in found[0]] == [["bare"]] * 3


def test_a_card_of_another_size_than_its_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    one_box(path, ("bare", "face"), batch=1, side=64)
    fields = {"role": "detector", "what": "a test", "licence": "ours", "input": 96, "path": path}
    fields |= {"files": {path.name: {"sha256": digest(path)}}, "labels": {"bare": {}, "face": {}}}
    with pytest.raises(WeightsError, match=r"boxes: its file sees pictures of 64 pixels, and its card says 96; write"):
        Yolo(make_card("boxes", fields))
