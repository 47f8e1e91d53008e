"""What every Stage 1 must do."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import gradient

from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, Detection, ModelId, SceneGraph, VisualFindings
from kidsnanny.stage1.stage1 import Seen, Stage1
from kidsnanny.taxonomy import CATEGORIES, Category


def findings(stage1: Stage1, frames: Sequence[RGB], seen: Sequence[Seen]) -> VisualFindings:
    """What the pipeline would write down of these frames."""
    found = [one.model_copy(update={"frame": n}) for n, frame in enumerate(seen) for one in frame]
    return VisualFindings(
        width=max(frame.shape[1] for frame in frames),
        height=max(frame.shape[0] for frame in frames),
        frames=len(frames),
        models=stage1.models,
        detections=tuple(one for one in found if isinstance(one, Detection)),
        graphs=tuple(one for one in found if isinstance(one, SceneGraph)),
    )


def boxes(one: Detection | SceneGraph) -> list[Box]:
    """Every box in it."""
    if isinstance(one, SceneGraph):
        return [thing.box for thing in one.objects]
    return [one.box] if one.box else []


def strongest(stage1: Stage1, frame: RGB) -> dict[Category, float]:
    """Category -> its highest score in one frame."""
    signals = stage1.signals(findings(stage1, [frame], stage1.screen([frame])))
    return {c: max((signal.score for signal in signals if signal.category == c), default=0.0) for c in CATEGORIES}


class Stage1Contract:
    """Inherit, and give two fixtures: the `stage1`, and `frames` in at least one of which it sees something that means
    a category.
    """

    def test_says_what_it_is_and_what_it_looks_for(self, stage1: Stage1) -> None:
        assert stage1.models
        assert all(isinstance(model, ModelId) and model.name == model.name.strip() != "" for model in stage1.models)
        assert len(set(map(str, stage1.models))) == len(stage1.models)
        assert set(stage1.categories) <= {"classifier", "detector"}
        assert any(stage1.categories.values())
        assert all(categories <= set(CATEGORIES) for categories in stage1.categories.values())
        assert isinstance(stage1.reentrant, bool)

    def test_gives_one_result_for_each_frame(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        assert len(stage1.screen([])) == 0
        for count in (1, 2, len(frames)):
            assert len(stage1.screen(frames[:count])) == min(count, len(frames))

    def test_results_are_of_frame_0_by_models_that_it_names(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        seen = [one for frame in stage1.screen(frames) for one in frame]
        assert seen, "the contract proves nothing with frames in which there is nothing to see"
        assert all(isinstance(one, Detection | SceneGraph) for one in seen)
        assert {one.frame for one in seen} == {0}
        assert {one.model for one in seen} <= {model.name for model in stage1.models}

    def test_boxes_lie_inside_their_frames(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        for frame, seen in zip(frames, stage1.screen(frames), strict=True):
            for box in (box for one in seen for box in boxes(one)):
                assert 0 <= box.x0 < box.x1 <= frame.shape[1]
                assert 0 <= box.y0 < box.y1 <= frame.shape[0]

    def test_scores_are_probabilities(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        seen = stage1.screen(frames)
        detected = [one.score for frame in seen for one in frame if isinstance(one, Detection)]
        signals = [signal.score for signal in stage1.signals(findings(stage1, frames, seen))]
        assert signals
        assert all(0 <= score <= 1 for score in detected + signals)

    def test_signals_are_of_categories_that_it_looks_for(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        signals = stage1.signals(findings(stage1, frames, stage1.screen(frames)))
        assert signals
        for signal in signals:
            assert signal.channel == "image"
            assert signal.category in stage1.categories[signal.source]
            assert signal.model in {model.name for model in stage1.models}
            assert 0 <= signal.frame < len(frames)

    def test_nothing_seen_is_no_signal(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        assert stage1.signals(findings(stage1, frames, [()] * len(frames))) == []

    def test_sees_the_same_in_the_same_frames(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        first, second = stage1.screen(frames), stage1.screen(frames)
        assert list(first) == list(second)
        assert stage1.signals(findings(stage1, frames, first)) == stage1.signals(findings(stage1, frames, second))

    def test_a_frame_means_the_same_among_others(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        together = stage1.signals(findings(stage1, frames, stage1.screen(frames)))
        for n, frame in enumerate(frames):
            alone = strongest(stage1, frame)
            for category, score in alone.items():
                among = [s.score for s in together if (s.category, s.frame) == (category, n)]
                assert max(among, default=0.0) == pytest.approx(score, abs=0.02)

    def test_takes_any_array_and_leaves_it_alone(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        frame = frames[0].copy()
        before, expected = frame.copy(), stage1.screen([frame])
        mirrored = np.ascontiguousarray(frame[:, ::-1])
        frame.flags.writeable = False
        for given in (frame, mirrored[:, ::-1], np.asfortranarray(frame)):
            assert list(stage1.screen([given])) == list(expected)
        assert (frame == before).all()

    @pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (3, 3), (8, 3000)])
    def test_odd_shapes_do_not_crash(self, stage1: Stage1, shape: tuple[int, int]) -> None:
        assert len(stage1.screen([np.zeros((*shape, 3), np.uint8)])) == 1

    def test_threads_get_their_own_answers(self, stage1: Stage1, frames: Sequence[RGB]) -> None:
        if not stage1.reentrant:
            pytest.skip("callers take turns")
        given = [*frames, *(np.asarray(gradient(64 + 16 * n, 48, seed=n)) for n in range(4))]
        alone = [list(stage1.screen([frame])) for frame in given]
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda frame: list(stage1.screen([frame])), given)) == alone
