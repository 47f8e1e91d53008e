"""The judge on a real llama.cpp server with a real language model, which is small: how it answers is tested, not what.

Needs xllamacpp, and KIDSNANNY_JUDGE_GGUF: the path of what `kidsnanny weights pull qwen2.5-coder-1.5b` fetches.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient

from kidsnanny import Pipeline, Stage2
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.stage2.untrusted import clean
from kidsnanny.taxonomy import CATEGORIES

pytestmark = pytest.mark.llama

KEY = "open-sesame"
SECONDS = 300
"""For the start, and for an answer: two slow cores may have other work."""
LINES = ("see you at five", "bring the blue towel", "i will wait for you after school and break your arm", "ok")


class Server:
    """What `kidsnanny llm serve --engine llama` starts."""

    def __init__(self, model: str, log: Path) -> None:
        self.model, self.log = model, log
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            self.port = taken.getsockname()[1]
        self.root = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = ["llm", "serve", "--engine", "llama", self.model, "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kidsnanny", *command],
                env=os.environ | {"KIDSNANNY_JUDGE_KEY": KEY},
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + SECONDS
        while f"answers at {self.root}" not in self.log.read_text("utf-8", "replace").replace("\n", " "):
            if self.process.poll() is not None or time.monotonic() > until:
                self.process.kill()
                pytest.fail(f"it does not serve:\n{self.log.read_text('utf-8', 'replace')[-3000:]}")
            time.sleep(0.2)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.root + path, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("xllamacpp", reason="the extra llama is not installed")
    if not (model := os.environ.get("KIDSNANNY_JUDGE_GGUF")):
        pytest.skip("KIDSNANNY_JUDGE_GGUF is not set: there is no model to serve")
    served = Server(model, tmp_path_factory.mktemp("llama") / "server.log")
    served.start()
    yield served
    served.process.kill()
    served.process.wait(30)


@pytest.fixture
def judge(server: Server) -> Iterator[OpenAIJudge]:
    with closing(OpenAIJudge(f"{server.root}/v1", api_key=KEY, timeout=SECONDS, in_flight=1, pause=0.0)) as ours:
        yield ours


def about(line: str, ages: str = "10-12") -> Question:
    return Question(ages, "picture 64x48, 1 frame screened by nobody: nothing found", clean([line]))


def test_every_answer_is_a_letter_a_category_and_the_policy_part_is_paid_once(judge: OpenAIJudge) -> None:
    for line in LINES:
        scores = judge.ask(about(line)).scores
        assert tuple(scores) == CATEGORIES
        assert all(0 < score < 1 for score in scores.values()), "probabilities, and not letters"
        assert judge.usage["prompt_tokens_details"]["cached_tokens"] > 900
    assert "letters with probabilities" in str(judge.model_id)


def test_another_age_group_pays_for_the_end_of_the_policy_part_alone(judge: OpenAIJudge) -> None:
    judge.ask(about("hello"))
    judge.ask(about("hello", ages="4-9"))
    assert judge.usage["prompt_tokens_details"]["cached_tokens"] > 850


def test_only_who_has_the_key_is_answered_and_no_page_of_another_site(server: Server) -> None:
    for path in ("/v1/models", "/slots", "/props", "/metrics"):
        assert server.get(path).status_code == 401
    assert server.get("/").status_code in (401, 404), "there is no page"
    answer = server.get("/v1/models", Authorization=f"Bearer {KEY}", Origin="https://example.com")
    assert answer.status_code == 200
    assert answer.headers.get("Access-Control-Allow-Origin", "") == ""
    for path in ("/slots", "/metrics"):
        assert server.get(path, Authorization=f"Bearer {KEY}").status_code == 501


def test_killed_in_the_middle_nothing_is_lost_and_nothing_is_safe_unasked(
    server: Server, judge: OpenAIJudge, tmp_path: Path
) -> None:
    stage2 = Stage2(ScriptedOcr("A note."), ScriptedTextModel(), judge)
    paths = [tmp_path / f"{n}.png" for n in range(6)]
    for n, path in enumerate(paths):
        path.write_bytes(encoded(gradient(seed=n)))

    def sources() -> Iterator[Path]:
        for n, path in enumerate(paths):
            if n == 2:
                server.process.kill()
                server.process.wait(30)
            if n == 4:
                server.log.unlink()
                server.start()
            yield path

    with Pipeline(stage1=ScriptedStage1(), stage2=stage2) as pipeline:
        verdicts = [pipeline(path) for path in sources()]
    assert [verdict.source for verdict in verdicts] == [str(path) for path in paths]
    assert [bool(opinion and opinion.scores) for v in verdicts for opinion in v.inspection.opinions] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    assert all(verdict.label != "safe" for verdict in verdicts[2:4])
