"""Text that comes as text: messages and conversations."""

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, scripted
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny import ComponentError, ModelId, Pipeline, Stage2, Verdict, decide
from kidsnanny.messages import Turn, is_conversation, turns
from kidsnanny.policy import Policy
from kidsnanny.stage2.judge.judge import Opinion
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.stage2.normalisation import MAX_CHARS
from kidsnanny.taxonomy import CATEGORIES

MEAN = {"speaker": "Kim", "text": "you are so mean"}
KIND = {"speaker": "Ada", "text": "see you at five"}
pipeline = scripted()


@pytest.mark.parametrize(
    ("text", "label", "not_inspected"),
    [
        ("see you at five", "safe", []),
        ("you are so mean", "unsafe", []),
        ("first line\nmean second line", "unsafe", []),
        ("", "review", ["text: it is empty"]),
        ("\n \t\n", "review", ["text: it is empty"]),
        ("xyz", "review", ["text: text in a language the model does not know"]),
        ([KIND, MEAN], "unsafe", []),
        ([KIND, KIND], "safe", []),
        ([{"text": "no speaker"}], "safe", []),
        ([KIND, {"text": "xyz"}], "review", ["text: turn 1: text in a language the model does not know"]),
        ((Turn(text="mean"),), "unsafe", []),
    ],
)
def test_a_text_gets_a_verdict(text: object, label: str, not_inspected: list[str]) -> None:
    verdict = pipeline.check_text(text)  # type: ignore[arg-type]
    assert verdict.label == label
    assert [str(missed) for missed in verdict.not_inspected] == not_inspected
    assert Verdict.from_json(verdict.model_dump_json()) == verdict
    assert decide(verdict.inspection, pipeline.policy) == verdict


def test_a_reason_names_the_turn() -> None:
    verdict = pipeline.check_text([KIND, KIND, MEAN])
    assert str(verdict.reasons[0]) == "harassment 0.90 from the text 'you are so mean' (mean) in turn 2"
    assert [line.quoted for line in verdict.text] == ["Ada: see you at five"] * 2 + ["Kim: you are so mean"]


def test_what_runs_over_turns_is_read_as_a_whole() -> None:
    class Whole(ScriptedTextModel):
        def score(self, texts):  # type: ignore[no-untyped-def]
            return super().score(["mean" if "send" in text and "secret" in text else "" for text in texts])

    split = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ScriptedOcr(), Whole()))
    assert split.check_text([{"text": "send me"}, {"text": "a secret"}]).label == "unsafe"


def test_only_text_was_looked_for() -> None:
    verdict = pipeline.check_text("hello")
    assert set(verdict.coverage) == {"harassment", "scam"}
    assert set(verdict.provenance.models) == {"text_model"}
    assert verdict.inspection.media
    assert verdict.inspection.media.format == "TEXT"


def test_a_list_gives_a_list_and_one_wrong_entry_costs_no_other() -> None:
    verdicts = pipeline.check_text(["hello", [KIND, MEAN], 5, "you are mean", [KIND, {"who": "me"}]])  # type: ignore[list-item]
    assert [verdict.label for verdict in verdicts] == ["safe", "unsafe", "review", "unsafe", "review"]
    assert "expected a str" in str(verdicts[2].not_inspected[0])
    assert pipeline.check_text([]) == []


@pytest.mark.parametrize("text", [5, None, b"bytes", {"text": "a mapping is no list of turns"}])
def test_what_is_no_text_is_a_type_error(text: object) -> None:
    with pytest.raises(TypeError, match="expected a str, or a list"):
        pipeline.check_text(text)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        ({"speaker": "a"}, "text: it is missing"),
        ({"text": 5}, "text: it is 5, expected a text in quotes"),
        ({"text": "a", "to": "b"}, "to: "),
    ],
)
def test_a_turn_without_its_text_is_a_type_error(turn: dict[str, object], why: str) -> None:
    with pytest.raises(TypeError, match=f"^{why}"):
        pipeline.check_text([turn])  # type: ignore[list-item]


def test_a_pipeline_without_stage_2_cannot_judge_text() -> None:
    with pytest.raises(ComponentError, match="no Stage 2"):
        Pipeline(stage1=ScriptedStage1(), stage2=None).check_text("hello")


def test_a_long_text_is_scored_to_its_end_or_says_so() -> None:
    harmless = "a quiet afternoon in the garden\n"
    assert pipeline.check_text(harmless * 500 + "you are mean").label == "unsafe"
    endless = pipeline.check_text(harmless * (10 * MAX_CHARS // len(harmless)))
    assert endless.label == "review"
    assert "characters of text" in str(endless.not_inspected[0])


def test_the_judge_is_asked_as_about_pictures_and_hears_who_speaks() -> None:
    asked: list[Question] = []

    class Judge:
        model_id = ModelId(name="scripted-judge", revision="1")
        categories = CATEGORIES
        in_flight = 2
        explains = False

        def ask(self, question: Question) -> Opinion:
            asked.append(question)
            return Opinion(scores=dict.fromkeys(CATEGORIES, 0.0) | {"grooming": 0.95})

    judged = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ScriptedOcr(), ScriptedTextModel(), Judge()))
    verdict = judged.check_text([KIND, {"speaker": "Kim", "text": "do not tell anyone"}])
    assert verdict.label == "unsafe"
    assert asked[0].text.lines == ("Ada: see you at five", "Kim: do not tell anyone")


@given(st.lists(st.fixed_dictionaries({"text": st.text()}, optional={"speaker": st.text()}), min_size=1, max_size=5))
def test_whatever_is_said_is_kept(said: list[dict[str, str]]) -> None:
    assert is_conversation(said)
    assert [(turn.text, turn.speaker) for turn in turns(said)] == [
        (turn.text, turn.speaker) for turn in map(Turn.model_validate, said)
    ]
    verdict = pipeline.check_text(said)  # type: ignore[arg-type]
    assert verdict.label in ("safe", "review", "unsafe")
    assert Verdict.from_json(verdict.model_dump_json()) == verdict


def test_the_real_model_judges_text(pipeline: Pipeline) -> None:
    threat = "I'm going to kill you and your family"
    assert pipeline.check_text(threat).label == "unsafe"
    assert pipeline.check_text("The school trip is on Friday, we meet at the gate at eight.").label == "safe"
    assert decide(pipeline.check_text(threat).inspection, Policy.load("teen")).label != "safe"
