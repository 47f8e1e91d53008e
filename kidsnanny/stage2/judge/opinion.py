"""A judge's answer as it goes into an inspection."""

import time

from kidsnanny.faults import in_words
from kidsnanny.inspection import JudgeOpinion
from kidsnanny.stage2.judge.judge import Judge, Opinion
from kidsnanny.stage2.judge.prompt import Question


def ask(judge: Judge, question: Question, identity: str) -> tuple[JudgeOpinion, float]:
    """The judge's opinion, or why there is none, and the milliseconds that it took."""
    start = time.perf_counter()
    answer = Opinion(scores={})
    error = None
    try:
        answer = judge.ask(question)
        if lacking := [category for category in judge.categories if category not in answer.scores]:  # no "no"
            answer, error = (
                Opinion(scores={}),
                f"the judge's answer lacks {', '.join(lacking)}; check its implementation.",
            )
    except Exception as failure:
        error = in_words(failure)
    opinion = JudgeOpinion(
        model=judge.model_id,
        ages=question.ages,
        question=identity,
        scores=answer.scores,
        lowers=answer.lowers,
        error=error,
    )
    return opinion, since(start)


def since(start: float) -> float:
    """Milliseconds since a `time.perf_counter()`."""
    return round((time.perf_counter() - start) * 1e3, 3)
