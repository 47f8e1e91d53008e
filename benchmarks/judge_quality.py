"""What a real judge is worth: lines of authors that nothing was trained on, asked of a served model.

    pip install '.[eval,llama]'
    kidsnanny weights pull qwen2.5-coder-1.5b && kidsnanny llm serve --engine llama qwen2.5-coder-1.5b   # elsewhere
    python benchmarks/judge_quality.py ask --url http://127.0.0.1:8000/v1 --answers answers.jsonl
    python benchmarks/judge_quality.py report --answers answers.jsonl
    python benchmarks/judge_quality.py agree --answers answers.jsonl --other of-another-server.jsonl

`ask` puts English lines of `training/corpus`, drawn with a seed and with as many of each category, to the judge: those
of the `validation` authors, by which everything is chosen, and those of the `test` authors, by which it is judged. It
writes a line for each answer and goes on where it was when it is started again. Prompts:

- `all`: kidsnanny's own, a letter for each category;
- `few-shot`: the same after five examples, which are ours and stand in no part of the corpus;
- `one`: the same about one category alone, the line's own (of a plain line, one drawn for it).

`report` fits, for each category, the temperature and the bias of the letters on `validation`, and says for the judge,
the text model, and both under each authority how much harm of `test` is found and what is held back. A line is asked
about as a message of its own. Intervals are 95 %: of shares Wilson's, of areas by bootstrap over lines.

Writes `benchmarks/results/judge_quality-MODEL-HARDWARE.json`, and `--card` prints the calibration as a card has it.
`agree` compares the answers of two servers of one model to the same questions, and writes `judge_agreement-…`.
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hardware import hardware
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from kidsnanny import Pipeline, Policy, __version__
from kidsnanny.decision import decide
from kidsnanny.errors import JudgeError
from kidsnanny.evaluation.metrics import Proportion
from kidsnanny.evaluation.systems.pipelines import as_policy
from kidsnanny.inspection import Inspection, JudgeOpinion
from kidsnanny.records import ModelId
from kidsnanny.stage2.judge.answer_forms import FORMS, InvalidAnswerError, request_options, unsafe_scores
from kidsnanny.stage2.judge.chat_client import ChatClient, UnusableAnswerError
from kidsnanny.stage2.judge.connection import Connection
from kidsnanny.stage2.judge.prompt import Prompt, Question, fresh_marker, verdict_prompt
from kidsnanny.stage2.untrusted import clean
from kidsnanny.taxonomy import CATEGORIES, Category
from kidsnanny.training.text.corpus import Line, read_corpus
from kidsnanny.training.text.rows import CATEGORIES as IN_TEXT

CORPUS = Path(__file__).resolve().parent.parent / "training" / "corpus"
AGES = "10-12"
Prompting = Literal["all", "few-shot", "one"]
PROMPTS: tuple[Prompting, ...] = ("all", "few-shot", "one")
SIZES = {"validation": (10, 7, 30), "test": (17, 11, 50)}
"""Harmful lines and look-alikes of each category, and plain lines."""
EXAMPLES: tuple[tuple[str, tuple[Category, ...]], ...] = (
    ("see you at swimming, bring the blue towel", ()),
    ("nobody wants you in our group, just stay home for good", ("harassment",)),
    ("our poster says why scams work: never send a code to anyone who asks for it", ()),
    ("you seem grown up for your age. keep our chats between us and tell me when your mum is out", ("grooming",)),
    ("i will wait for you after school and break your arm", ("violence",)),
)
"""Text and the categories of which the answer is Y."""
ROUNDS = 1_000
MAY_HOLD = 0.05
"""Share of the look-alikes that a threshold chosen on `validation` may hold back."""
Floats = npt.NDArray[np.float64]


def key(line: Line) -> str:
    """By which a line is known in the answers."""
    return hashlib.sha256(line.text.encode()).hexdigest()[:16]


def drawn(part: Literal["validation", "test"], thin: int = 1) -> list[Line]:
    """English lines, as many of each category; every `thin`-th of them, in an order that mixes them."""
    lines = [line for of in read_corpus(CORPUS, part).values() for line in of if line.language == "en"]
    rng = random.Random(0)
    harmful, alike, plain = SIZES[part]
    found: dict[str, Line] = {}
    for kind, count in (("harmful", harmful), ("look_alike", alike)):
        for category in IN_TEXT:
            some = [line for line in lines if line.kind == kind and line.categories[0] == category]
            found |= {key(line): line for line in rng.sample(some, min(count, len(some)))}
    found |= {key(line): line for line in rng.sample([line for line in lines if line.kind == "plain"], plain)}
    mixed = list(found.values())
    rng.shuffle(mixed)
    return mixed[::thin]


def question(text: str) -> Question:
    """About a message."""
    return Question(AGES, "", clean([text]))


def asked_about(line: Line) -> Category:
    """The one category that `one` asks about."""
    return line.categories[0] if line.categories else random.Random(key(line)).choice(IN_TEXT)


def in_turn(how: Prompting, lines: list[Line]) -> list[Line]:
    """With `one`, those about a category together, for the prompt begins with it."""
    return sorted(lines, key=asked_about) if how == "one" else lines


def messages(how: Prompting, line: Line, categories: Sequence[Category]) -> list[dict[str, str]]:
    """The chat. What never changes stands first, so that the server computes it once."""

    def prompt(text: str, marker: str) -> Prompt:
        return verdict_prompt(question(text), categories, marker)

    *system, own = prompt(line.text, fresh_marker()).messages
    if how == "few-shot":
        for n, (text, harmful) in enumerate(EXAMPLES):
            letters = " ".join("Y" if category in harmful else "N" for category in categories)
            system += [prompt(text, f"5eed000{n}").messages[-1], {"role": "assistant", "content": letters}]
    return [*system, own]


def ask(given: argparse.Namespace) -> None:
    """Ask what is not answered yet."""
    chat = ChatClient(Connection(given.url, given.api_key, given.timeout, 1, 0.0), given.model)
    done = {(one["prompt"], one["key"]) for one in answers_of(given.answers)} if given.answers.exists() else set()
    todo = [
        (how, part, line)
        for how in given.prompts.split(",")
        for part in given.parts.split(",")
        for line in in_turn(how, drawn(part, given.thin))
        if (how, key(line)) not in done
    ]
    if given.most:
        todo = todo[: given.most]
    with given.answers.open("a", encoding="utf-8") as file:
        for n, (how, part, line) in enumerate(todo, 1):
            categories = (asked_about(line),) if how == "one" else CATEGORIES
            found: dict[str, Any] = {"model": chat.served(), "prompt": how, "part": part, "key": key(line)}
            found["version"] = verdict_prompt(question(""), categories, "").version
            start = time.perf_counter()
            try:
                choice = chat.ask(messages(how, line, categories), **request_options(FORMS[0], categories))
                found["scores"] = unsafe_scores(choice, FORMS[0], categories)
            except (InvalidAnswerError, UnusableAnswerError) as error:
                found["unparsed"] = str(error)
            found["seconds"] = round(time.perf_counter() - start, 2)
            details = chat.usage.get("prompt_tokens_details") or {}
            found |= {"tokens": chat.usage.get("prompt_tokens"), "cached": details.get("cached_tokens")}
            file.write(json.dumps(found) + "\n")
            file.flush()
            print(f"\r{n} of {len(todo)}, {found['seconds']:.1f} s", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def answers_of(file: Path) -> list[dict[str, Any]]:
    """The answers in a file; a last line that was not written to its end is none."""
    lines = file.read_text("utf-8").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise SystemExit(f"{file}: line {number} is no answer; take it out.") from None
    return found


def logit(p: Floats) -> Floats:
    """Of probabilities, kept away from 0 and 1."""
    bounded = np.clip(p, 1e-4, 1 - 1e-4)
    return np.log(bounded / (1 - bounded))


def calibration(lines: Sequence[Line], scores: Mapping[Category, Floats]) -> dict[Category, tuple[float, float]]:
    """Category -> temperature and bias, by which P = sigmoid(logit(raw) / temperature + bias), from `validation`."""
    found = {}
    for category in IN_TEXT:
        truth = np.array([line.kind == "harmful" and category in line.categories for line in lines])
        fitted = LogisticRegression(C=1.0).fit(logit(scores[category])[:, None], truth)
        slope = max(float(fitted.coef_[0, 0]), 1e-3)  # a letter that tells nothing is left at its share
        found[category] = (round(1 / slope, 4), round(float(fitted.intercept_[0]), 4))
    return found


def calibrated(scores: Mapping[Category, Floats], by: Mapping[Category, tuple[float, float]]) -> dict[Category, Floats]:
    """The scores of the calibrated categories."""
    return {category: 1 / (1 + np.exp(-(logit(scores[category]) / t + bias))) for category, (t, bias) in by.items()}


def interval(measure: Any, *arrays: npt.NDArray[Any]) -> list[float]:
    """By bootstrap over lines."""
    rng = np.random.default_rng(0)
    picks = (rng.integers(0, len(arrays[0]), len(arrays[0])) for _ in range(ROUNDS))
    values = [measure(*(array[pick] for array in arrays)) for pick in picks]
    return [round(float(value), 3) for value in np.nanquantile(values, [0.025, 0.975])]


def area(lines: Sequence[Line], worst: Floats) -> dict[str, Any]:
    """How well a score ranks harmful lines above the others."""
    harmful = np.array([line.kind == "harmful" for line in lines])
    found: dict[str, Any] = {"n": len(lines)}
    for name, measure in (("auc", roc_auc_score), ("average precision", average_precision_score)):
        found[name] = round(float(measure(harmful, worst)), 3)
        found[f"{name} interval"] = interval(measure, harmful, worst)
    return found


def shares(lines: Sequence[Line], flagged: Sequence[bool]) -> dict[str, Any]:
    """Of harmful lines those that are flagged, and of harmless ones those that are held back."""
    found = {}
    for kind in ("harmful", "look_alike", "plain"):
        hits = [flag for line, flag in zip(lines, flagged, strict=True) if line.kind == kind]
        found[kind] = json.loads(Proportion.of(sum(hits), len(hits)).model_dump_json(exclude={"clopper_pearson"}))
    return found


def threshold(lines: Sequence[Line], worst: Floats) -> float:
    """The lowest at which a share of the look-alikes is held back that may be."""
    alike = np.array([line.kind == "look_alike" for line in lines])
    return float(np.quantile(worst[alike], 1 - MAY_HOLD))


def own_category(lines: Sequence[Line], answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Only by the score of the category that a line belongs to or looks like: what `one` is compared by."""
    score = np.array([answers[key(line)]["scores"][asked_about(line)] for line in lines], float)
    return area(lines, score)


def worst_of(scores: Mapping[Category, Floats]) -> Floats:
    """The highest of the categories that the corpus has."""
    return np.max([scores[category] for category in IN_TEXT], axis=0)


def columns(lines: Sequence[Line], answers: Mapping[str, Mapping[str, Any]]) -> dict[Category, Floats]:
    """Category -> (lines,)."""
    return {
        category: np.array([answers[key(line)]["scores"][category] for line in lines], float) for category in IN_TEXT
    }


def decided(seen: Sequence[Inspection], scores: Mapping[Category, Floats] | None, policy: Policy) -> list[bool]:
    """Whether each line is not `safe` under a policy, with the judge's scores if there are some."""
    found = []
    for n, inspection in enumerate(seen):
        if scores is not None:
            opinion = JudgeOpinion(
                model=ModelId(name="judge"),
                ages=policy.ages,
                question=inspection.question(policy.ages),
                scores={category: float(scores[category][n]) if category in scores else 0.0 for category in CATEGORIES},
            )
            inspection = inspection.with_opinion(opinion)
        found.append(decide(inspection, policy).label != "safe")
    return found


def kept_back(answers: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the questions cost, by prompt."""
    costs: dict[str, dict[str, Any]] = {}
    for how in PROMPTS:
        some = [one for one in answers if one["prompt"] == how]
        if not some:
            continue
        seconds = sorted(one["seconds"] for one in some)
        known = [(one["tokens"], one["cached"]) for one in some if one["tokens"] and one["cached"] is not None]
        costs[how] = {
            "questions": len(some),
            "unparsed": sum("unparsed" in one for one in some),
            "seconds, p50": round(statistics.median(seconds), 2),
            "seconds, p95": round(seconds[int(0.95 * (len(seconds) - 1))], 2),
            "prompt tokens, mean": round(statistics.fmean(tokens for tokens, _ in known)) if known else None,
            "of them cached, mean": round(statistics.fmean(cached for _, cached in known)) if known else None,
        }
    return costs


def answered(
    answers: Sequence[Mapping[str, Any]], how: Prompting
) -> Iterator[tuple[str, list[Line], dict[str, Mapping[str, Any]]]]:
    """Each part's lines that have a score, and their answers."""
    for part in ("validation", "test"):
        found = {one["key"]: one for one in answers if one["prompt"] == how and one["part"] == part and "scores" in one}
        yield part, [line for line in drawn(part) if key(line) in found], found  # type: ignore[arg-type]


def report(given: argparse.Namespace) -> None:
    """Measure and write."""
    answers = answers_of(given.answers)
    (model,) = {one["model"] for one in answers}
    policy = Policy.load("preteen")
    pipeline = Pipeline(policy=policy)
    assert pipeline.stage2
    assert pipeline.stage2.text_model
    result: dict[str, Any] = {
        "hardware": hardware(),
        "kidsnanny": __version__,
        "model": model,
        "prompts": sorted({one["version"] for one in answers}),
        "cost": kept_back(answers),
        "by prompt": {},
    }
    for how in PROMPTS:
        parts = {part: (lines, found) for part, lines, found in answered(answers, how)}
        (before, on_validation), (lines, on_test) = parts["validation"], parts["test"]
        if not lines:
            continue
        by_own = {"of its own category": own_category(lines, on_test)}
        if how == "one" or not before:
            result["by prompt"][how] = by_own
            continue
        by = calibration(before, columns(before, on_validation))
        raw, fair = columns(lines, on_test), calibrated(columns(lines, on_test), by)
        cut = threshold(before, worst_of(calibrated(columns(before, on_validation), by)))
        seen = [verdict.inspection for verdict in pipeline.stream_texts([line.text for line in lines])]
        text = np.array(pipeline.stage2.text_model.score([line.text for line in lines]), float).max(axis=1)
        rows = {
            "text model": shares(lines, decided(seen, None, policy)),
            "judge, at the threshold of validation": shares(lines, list(worst_of(fair) >= cut)),
        }
        for authority in ("asymmetric", "judge"):
            wanted = as_policy(policy, authority)
            for name, scores in (("raw", raw), ("calibrated", fair)):
                rows[f"{authority}, {name} letters"] = shares(lines, decided(seen, scores, wanted))
        both = 1 - (1 - text) * (1 - worst_of(fair))
        result["by prompt"][how] = by_own | {
            "lines": {part: dict(_kinds(of)) for part, (of, _) in parts.items()},
            "calibration": {category: {"temperature": t, "bias": b} for category, (t, b) in by.items()},
            "threshold": round(cut, 4),
            "text model": area(lines, text),
            "judge, raw": area(lines, worst_of(raw)),
            "judge, calibrated": area(lines, worst_of(fair)),
            "both, as if independent": area(lines, both),
            "at the policy's thresholds": rows,
        }
    if given.card:
        print(json.dumps(result["by prompt"]["all"]["calibration"], indent=1))
    out = given.out or Path(__file__).parent / "results" / f"judge_quality-{model}-{hardware()}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


Pairs = list[tuple[float, float]]
"""P(unsafe) of the same letter by two servers."""


def compared(answers: Sequence[Pairs]) -> tuple[dict[str, float], dict[str, Any]]:
    """How far P(unsafe) lies apart, and how many letters agree."""
    apart = np.array([abs(a - b) for pairs in answers for a, b in pairs])
    same = [(a >= 0.5) == (b >= 0.5) for pairs in answers for a, b in pairs]
    shares = {
        "mean": round(float(apart.mean()), 4),
        "p95": round(float(np.quantile(apart, 0.95)), 4),
        "largest": round(float(apart.max()), 4),
    }
    return shares, json.loads(Proportion.of(sum(same), len(same)).model_dump_json(exclude={"clopper_pearson"}))


def until_apart(pairs: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Up to the first letter in which the two differ: what comes after it was asked with other letters before it."""
    for a, b in pairs:
        yield a, b
        if (a >= 0.5) != (b >= 0.5):
            return


def agree(given: argparse.Namespace) -> None:
    """Compare two servers, question by question."""
    one, other = (
        {(a["prompt"], a["version"], a["key"]): a for a in answers_of(file)} for file in (given.answers, given.other)
    )
    both = sorted(one.keys() & other.keys())
    pairs = [(one[k]["scores"], other[k]["scores"]) for k in both if "scores" in one[k] and "scores" in other[k]]
    if not pairs:
        raise SystemExit(f"{given.other}: it has no answer to a question of {given.answers}; ask both the same.")
    apart, same = compared([list(zip(a.values(), b.values(), strict=True)) for a, b in pairs])
    until = compared([list(until_apart(zip(a.values(), b.values(), strict=True))) for a, b in pairs])
    seconds = [sorted(answers[k]["seconds"] for k in both) for answers in (one, other)]
    result = {
        "hardware": hardware(),
        "model": given.model,
        "servers": [given.name, given.other_name],
        "questions": len(both),
        "unparsed": [sum("scores" not in answers[k] for k in both) for answers in (one, other)],
        "letters that agree": same,
        "P(unsafe) apart": apart,
        "as long as the letters before are the same": {"letters that agree": until[1], "P(unsafe) apart": until[0]},
        "seconds, p50": [round(statistics.median(of), 2) for of in seconds],
    }
    out = given.out or Path(__file__).parent / "results" / f"judge_agreement-{given.model}-{hardware()}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


def _kinds(lines: Sequence[Line]) -> Mapping[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for line in lines:
        counts[line.kind] += 1
    return counts


def main() -> None:
    """Ask, or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    asking = commands.add_parser("ask", help="ask what is not answered yet")
    asking.set_defaults(run=ask)
    asking.add_argument("--url", default="http://127.0.0.1:8000/v1")
    asking.add_argument("--api-key", help="of the server")
    asking.add_argument("--model", help="one that it serves; by default the first")
    asking.add_argument("--timeout", type=float, default=300, help="seconds for an answer")
    asking.add_argument("--prompts", default="all", help=f"of {', '.join(PROMPTS)}, with commas between")
    asking.add_argument("--parts", default="validation,test")
    asking.add_argument("--thin", type=int, default=1, metavar="N", help="every Nth line")
    asking.add_argument("--most", type=int, help="at most so many questions now")
    reporting = commands.add_parser("report", help="say what the answers are worth")
    reporting.set_defaults(run=report)
    reporting.add_argument("--card", action="store_true", help="print the calibration")
    agreeing = commands.add_parser("agree", help="compare two servers of one model")
    agreeing.set_defaults(run=agree)
    agreeing.add_argument("--other", type=Path, required=True, help="the other server's answers")
    agreeing.add_argument("--name", default="llama.cpp, Q4_K_M", help="of the first server")
    agreeing.add_argument("--other-name", default="vLLM, the same weights in bfloat16", help="of the other")
    agreeing.add_argument("--model", default="qwen2.5-coder-1.5b")
    for one in (reporting, agreeing):
        one.add_argument("--out", type=Path)
    for one in (asking, reporting, agreeing):
        one.add_argument("--answers", type=Path, required=True, help="the answers, a JSON object a line")
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    try:
        main()
    except JudgeError as error:
        raise SystemExit(f"{error} The same command goes on.") from error
