"""What every judge must do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kidsnanny.errors import JudgeError
from kidsnanny.records import ModelId
from kidsnanny.stage2.judge.judge import Explanation, Judge, Opinion
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.stage2.untrusted import clean
from kidsnanny.taxonomy import CATEGORIES


def question(*lines: str) -> Question:
    """About a picture with this text in it."""
    return Question("10-12", "picture 64x48, 1 frame screened by nobody: nothing found", clean(lines))


class JudgeContract:
    """Inherit, and give two fixtures: a `judge` that answers, and `broken`, a list of functions that make one that
    cannot: each for a reason of its own (the server is down, slow, answers something else, ...).

    A judge whose model is not deterministic overrides `same`.
    """

    @staticmethod
    def same(one: Opinion, other: Opinion) -> bool:
        """Whether two answers to one question agree as far as they must."""
        return one.scores == pytest.approx(other.scores, abs=0.05)

    def test_says_what_it_is_and_what_it_looks_for(self, judge: Judge) -> None:
        assert judge.categories
        assert set(judge.categories) <= set(CATEGORIES)
        assert len(set(judge.categories)) == len(judge.categories)
        assert judge.in_flight >= 1
        assert isinstance(judge.explains, bool)
        judge.ask(question("hello"))
        assert isinstance(judge.model_id, ModelId)
        assert judge.model_id.name == judge.model_id.name.strip() != ""

    @pytest.mark.parametrize("lines", [(), ("hello",), ("a line", "and another one"), ("x" * 390,) * 200])
    def test_gives_a_probability_for_each_of_its_categories(self, judge: Judge, lines: tuple[str, ...]) -> None:
        opinion = judge.ask(question(*lines))
        assert isinstance(opinion, Opinion)
        assert tuple(opinion.scores) == tuple(judge.categories)
        assert all(0 <= score <= 1 for score in opinion.scores.values())

    def test_answers_the_same_question_alike(self, judge: Judge) -> None:
        assert self.same(judge.ask(question("hello")), judge.ask(question("hello")))

    def test_text_that_was_not_cleaned_is_refused(self, judge: Judge) -> None:
        with pytest.raises(TypeError):
            judge.ask(question("hello")._replace(text=["hello"]))  # type: ignore[arg-type]

    def test_a_failure_is_an_error_and_never_a_no(self, broken: list[Callable[[], Judge]]) -> None:
        for make in broken:
            failing = make()
            for _ in range(2):  # at the first question, and later
                with pytest.raises(JudgeError) as caught:
                    failing.ask(question("hello"))
                assert str(caught.value).endswith(".")
            with pytest.raises(JudgeError):
                failing.explain(question("hello"), failing.categories[:1])

    def test_threads_get_their_own_answers(self, judge: Judge) -> None:
        """As many at once as it says, and more."""
        questions = [question(f"line {n}") for n in range(3 * judge.in_flight)]
        alone = [judge.ask(one) for one in questions]
        with ThreadPoolExecutor(2 * judge.in_flight) as threads:
            together = list(threads.map(judge.ask, questions))
        assert all(map(self.same, alone, together))

    def test_explains_flagged_categories_in_plain_text(self, judge: Judge) -> None:
        if not judge.explains:
            pytest.skip("it does not explain")
        flagged = judge.categories[:1]
        explanation = judge.explain(question("hello", "there"), flagged)
        assert isinstance(explanation, Explanation)
        assert set(explanation.categories) <= set(flagged)
        assert set(explanation.lines) <= {1, 2}
        assert explanation.sentence.strip()
        assert clean([explanation.sentence]).lines == (explanation.sentence,)
