"""`kidsnanny llm`, against servers of all kinds on this machine's loopback; tests/test_vllm.py has a real one."""

import json
import math
import os
import re
import threading
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import page
from typer.testing import CliRunner

from kidsnanny.cli.app import app
from kidsnanny.stage2.judge.serving import MODEL, command, is_loopback, percentiles
from kidsnanny.taxonomy import CATEGORIES

runner = CliRunner()
KEY = "open-sesame"


class Judge(BaseHTTPRequestHandler):
    """As much of a server as a judge needs. `ways` says what it lacks or gets wrong."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    ways: ClassVar[set[str]] = set()
    context = 1_000_000
    asked: ClassVar[Iterator[int]] = count()
    cached = 0

    def do_GET(self) -> None:
        if self.path == "/metrics" and "metrics" in self.ways:
            lines = (f'vllm:prefix_cache_{w}_total{{engine="0"}} {n}.0' for w, n in (("hits", 9), ("queries", 10)))
            return self.reply(200, "\n".join(lines).replace("9", str(9 * next(self.asked) + 9)))
        if self.path != "/v1/models":
            return self.reply(404, "no")
        if "key" in self.ways and self.headers["Authorization"] != f"Bearer {KEY}":
            return self.reply(401, "no")
        return self.reply(200, {"data": [{"id": "small"}, {"id": "large"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        turn = next(self.asked)
        tokens = len(json.dumps(body["messages"])) // 2
        if tokens > self.context:
            if "refuses" in self.ways:
                return self.reply(400, "too long")
            tokens = self.context
        unsafe = 0.9 if "flips" in self.ways and turn % 2 else 0.1
        letter = "NY"[unsafe > 0.5]
        schema = body.get("response_format", {}).get("json_schema", {})
        pieces = [f" {letter}"] * len(CATEGORIES)
        if schema.get("name") == "explanation":
            pieces = [json.dumps({"categories": [], "lines": [], "sentence": "A note about a school trip."})]
            if "mute" in self.ways:
                pieces = ["{"]
        elif schema:
            pieces = [json.dumps(dict.fromkeys(CATEGORIES, letter))]
        elif "json" in self.ways:
            pieces = ["It is fine."]
        choice: dict[str, Any] = {"message": {"content": "".join(pieces)}, "finish_reason": "stop"}
        if "json" not in self.ways:
            options = [{"token": f" {c}", "logprob": math.log(p)} for c, p in (("Y", unsafe), ("N", 1 - unsafe))]
            choice["logprobs"] = {
                "content": [
                    {"token": t, "logprob": math.log(max(unsafe, 1 - unsafe)), "top_logprobs": options} for t in pieces
                ]
            }
        usage: dict[str, Any] = {"prompt_tokens": tokens}
        if "details" in self.ways:
            usage["prompt_tokens_details"] = {"cached_tokens": 0 if "uncached" in self.ways else tokens * 3 // 4}
        return self.reply(200, {"choices": [choice]} | ({} if "uncounted" in self.ways else {"usage": usage}))

    def reply(self, status: int, answer: object) -> None:
        data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("KIDSNANNY_JUDGE_KEY", raising=False)
    monkeypatch.setattr(Judge, "ways", {"details"})
    monkeypatch.setattr(Judge, "context", 1_000_000)
    with ThreadingHTTPServer(("127.0.0.1", 0), Judge) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def check(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the findings by name."""
    result = runner.invoke(app, ["llm", "check", "--json", "--repeats", "4", *arguments])
    answer = json.loads(result.stdout)
    assert answer["well"] == (result.exit_code == 0)
    return result.exit_code, {finding["what"]: finding for finding in answer["findings"]}


# ------------------------------------------------------------------ check


def test_a_good_server_is_told_in_lines(url: str) -> None:
    result = runner.invoke(app, ["llm", "check", url, "--repeats", "3"])
    assert result.exit_code == 0, result.stdout
    told = [re.sub(r"\d+", "N", line) for line in result.stdout.splitlines()]
    assert [line.split(":")[0] for line in told] == [
        "ok   server",
        "ok   verdict",
        "ok   explanation",
        "ok   long text",
        "ok   prefix cache",
        "ok   verdict ms",
        "ok   explanation ms",
        "ok   stability",
    ]
    assert "letters with probabilities" in told[1]
    assert "A note about a school trip." in told[2]
    assert "are read to the end" in told[3]
    assert "75% of the prompts' tokens" in result.stdout
    assert re.search(r"explanation ms: p50 \d+, p95 \d+, 3 answers", result.stdout)


def test_all_figures_are_in_the_json(url: str) -> None:
    code, found = check(url)
    assert code == 0
    assert found["server"]["figures"]["models"] == ["small", "large"]
    assert found["verdict"]["figures"]["scores"] == pytest.approx(dict.fromkeys(CATEGORIES, 0.1))
    assert found["prefix cache"]["figures"]["cached"] == pytest.approx(0.75, abs=0.01)
    assert found["verdict ms"]["figures"]["n"] == 4
    assert found["stability"]["figures"] == {"spread": 0.0, "flips": 0}


def test_the_key_comes_from_the_environment_and_a_wrong_one_is_one_finding(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Judge.ways |= {"key"}
    code, found = check(url)
    assert (code, list(found)) == (3, ["server"])
    assert "refuses our key (HTTP 401); set KIDSNANNY_JUDGE_KEY." in found["server"]["detail"]
    monkeypatch.setenv("KIDSNANNY_JUDGE_KEY", f"{KEY}\n")
    assert check(url)[0] == 0


def test_a_key_that_no_header_can_hold_is_refused_without_being_quoted(url: str) -> None:
    result = runner.invoke(app, ["llm", "check", url, "--api-key", "op\ten"])
    assert result.exit_code == 2
    assert "not printable ASCII" in result.stderr
    assert "op" not in result.stderr.replace("open", "").split(";")[0]


@pytest.mark.parametrize(
    ("end", "why"), [("", "the URL ends in /v1 as a rule"), ("/v1/nothing", "the URL ends in /v1 as a rule")]
)
def test_another_path_is_told(url: str, end: str, why: str) -> None:
    code, found = check(url.removesuffix("/v1") + end)
    assert (code, list(found)) == (3, ["server"])
    assert why in found["server"]["detail"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://127.0.0.1:9", "The judge at http://127.0.0.1:9 cannot be reached"),
        ("localhost:8000/v1", "begin with http:// or https://; add http://, as in http://localhost:8000/v1."),
        ("judge.example", "add http://, as in http://judge.example."),
        ("", "The judge's URL '' cannot be used: it does not begin with http:// or https://; add http://"),
        ("ftp://judge.example", "add http://, as in http://127.0.0.1:8000/v1."),
        ("user:secret@judge.example/v1", "The judge's URL '…' cannot be used: it does not begin with http://"),
        ("http://", "it names no host; write it as in http://127.0.0.1:8000/v1."),
        ("http://[::1", "it is no URL; percent-encode"),
    ],
)
def test_no_server_is_one_finding(address: str, says: str) -> None:
    start = time.monotonic()
    code, found = check(address)
    assert (code, list(found)) == (3, ["server"])
    assert says in found["server"]["detail"]
    assert "secret" not in found["server"]["detail"]
    assert time.monotonic() - start < 30


def test_a_model_that_is_not_served_is_one_finding(url: str) -> None:
    assert check(url, "--model", "large")[0] == 0
    code, found = check(url, "--model", "huge")
    assert (code, list(found)) == (3, ["server"])
    assert "does not serve huge; name one that it serves: small, large." in found["server"]["detail"]


def test_a_server_that_only_knows_json_is_a_judge(url: str) -> None:
    Judge.ways |= {"json"}
    code, found = check(url)
    assert code == 0
    assert "JSON without probabilities" in found["verdict"]["detail"]


def test_no_explanation_is_a_fault(url: str) -> None:
    Judge.ways |= {"mute"}
    code, found = check(url)
    assert code == 3
    assert found["explanation"]["detail"].endswith("; see its log."), "and no advice to run what is running"
    assert not found["explanation"]["well"]
    assert "explanation ms" not in found
    assert found["stability"]["well"]


def test_a_prompt_that_is_cut_in_silence_is_a_fault(url: str) -> None:
    """Ollama does that at 4,096 tokens by default, and cuts the head: our instructions."""
    for context in (Judge.context, 4096, 3000, 1000):
        Judge.context = context
        code, found = check(url)
        assert (code == 0, found["long text"]["well"]) == (context > 5000,) * 2, context
    assert "OLLAMA_CONTEXT_LENGTH" in found["long text"]["detail"]


def test_a_prompt_that_is_refused_is_fine(url: str) -> None:
    Judge.ways |= {"refuses"}
    Judge.context = 4096
    code, found = check(url)
    assert code == 0
    assert "refused, and so not taken for safe" in found["long text"]["detail"]


def test_what_a_server_does_not_count_is_not_reported(url: str) -> None:
    Judge.ways |= {"uncounted"}
    code, found = check(url)
    assert code == 0
    assert found["prefix cache"]["detail"] == "not reported"
    assert found["long text"]["detail"].startswith("not reported")


def test_the_counters_of_vllm_stand_in_for_its_usage(url: str) -> None:
    Judge.ways |= {"uncounted", "metrics"}
    _, found = check(url)
    assert found["prefix cache"]["figures"]["cached"] > 0


def test_nothing_cached_is_a_fault(url: str) -> None:
    Judge.ways |= {"uncached"}
    code, found = check(url)
    assert code == 3
    assert "--enable-prefix-caching" in found["prefix cache"]["detail"]


def test_answers_that_change_sides_are_a_fault(url: str) -> None:
    Judge.ways |= {"flips"}
    code, found = check(url)
    assert code == 3
    assert found["stability"]["figures"] == {"spread": 0.8, "flips": 2 * len(CATEGORIES)}


def test_percentiles() -> None:
    assert percentiles([3, 1, 2]) == (2, 3)
    assert percentiles(range(1, 101)) == (50.5, 96)


# ------------------------------------------------------------------ serve


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, which says how it was called instead of serving; and a child that becomes it."""
    program = tmp_path / "vllm"
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{tmp_path}/arguments\nenv >{tmp_path}/environment\n", "utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("KIDSNANNY_JUDGE_KEY", raising=False)
    return tmp_path


def serve(*arguments: str) -> int:
    """The exit code of `kidsnanny llm serve` in a child, since it becomes another program."""
    child = os.fork()
    if not child:
        try:
            os._exit(runner.invoke(app, ["llm", "serve", *arguments]).exit_code)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_serve_becomes_vllm_with_our_flags(vllm: Path) -> None:
    assert serve("--max-model-len", "4096", "--gpu-memory-utilization", "0.5") == 0
    arguments = (vllm / "arguments").read_text("utf-8").splitlines()
    assert arguments[:2] == ["serve", MODEL]
    assert arguments[-4:] == ["--host", "127.0.0.1", "--port", "8000"]
    for flag, value in (("--max-model-len", "4096"), ("--gpu-memory-utilization", "0.5")):
        assert arguments[arguments.index(flag) + 1] == value
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details"} <= {*arguments}
    environment = (vllm / "environment").read_text("utf-8").splitlines()
    assert {"VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1"} <= {*environment}
    assert not any(line.startswith("VLLM_API_KEY") for line in environment)


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_key_is_in_no_list_of_processes(vllm: Path, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "environment":
        monkeypatch.setenv("KIDSNANNY_JUDGE_KEY", KEY)
    assert serve("--host", "0.0.0.0", *(["--api-key", KEY] if by == "option" else [])) == 0
    assert KEY not in (vllm / "arguments").read_text("utf-8")
    assert f"VLLM_API_KEY={KEY}" in (vllm / "environment").read_text("utf-8").splitlines()


def test_flags_of_vllm_come_after_ours_and_cannot_move_the_server(vllm: Path) -> None:
    assert serve("--", "--dtype", "float16", "--max-model-len", "9", "--host", "0.0.0.0") == 0
    arguments = (vllm / "arguments").read_text("utf-8").splitlines()
    assert arguments[1] == MODEL
    assert arguments[-10:-4] == ["--dtype", "float16", "--max-model-len", "9", "--host", "0.0.0.0"]
    assert arguments[-4:-2] == ["--host", "127.0.0.1"], "of two, the last counts"
    assert serve("my/model", "--port", "8001", "--", "--dtype", "float16") == 0
    assert (vllm / "arguments").read_text("utf-8").splitlines()[1] == "my/model"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.2", "judge.example"])
def test_other_machines_need_a_key(vllm: Path, host: str) -> None:
    result = runner.invoke(app, ["llm", "serve", "--host", host])
    assert result.exit_code == 2
    assert result.stderr == (
        f"kidsnanny: {host}: other machines could use the model; set KIDSNANNY_JUDGE_KEY to a key of yours.\n"
    )
    assert not (vllm / "arguments").exists()


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")))


def test_two_models_are_refused() -> None:
    result = runner.invoke(app, ["llm", "serve", "one", "two"])
    assert result.exit_code == 2
    assert result.stderr == "kidsnanny: two: one model is served at a time; vLLM's own flags come after --.\n"


def test_print_shows_what_a_shell_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIDSNANNY_JUDGE_KEY", raising=False)
    shown = runner.invoke(app, ["llm", "serve", "a model", "--print", "--api-key", KEY]).stdout
    assert KEY not in shown
    assert shown.startswith('VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_API_KEY="$KIDSNANNY_JUDGE_KEY" vllm serve')
    assert "serve 'a model' --enable-prefix-caching" in shown
    assert "VLLM_API_KEY" not in runner.invoke(app, ["llm", "serve", "--print"]).stdout


def test_no_vllm_is_one_sentence_that_names_the_other_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    result = runner.invoke(app, ["llm", "serve"])
    assert result.exit_code == 3
    assert result.stderr.startswith("kidsnanny: vLLM is not installed here; run `pip install 'kidsnanny[vllm]'`")
    assert "llama.cpp" in result.stderr
    help_ = runner.invoke(app, ["llm", "serve", "--help"]).stdout
    for words in ("kidsnanny[vllm]", "--engine llama", "kidsnanny[llama]", "ollama serve"):
        assert words in help_


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--host", "0.0.0.0"], 2, "0.0.0.0: --engine llama serves this machine alone"),
        (["a.gguf", "b.gguf"], 2, "b.gguf: --engine llama serves one model"),
        (["--print"], 2, "are vLLM's; leave them out with --engine llama"),
        (["--gpu-memory-utilization", "0.5"], 2, "are vLLM's; leave them out with --engine llama"),
        ([], 3, "qwen2.5-coder-1.5b: its weights are not on this machine; run `kidsnanny weights pull"),
        (["nowhere.gguf"], 3, "nowhere.gguf: there is no card of that name"),
        (["nudenet-320n"], 3, "nudenet-320n: its card is of a detector, not of a judge"),
    ],
)
def test_what_llama_cannot_serve_is_said_before_anything_is_loaded(arguments: list[str], code: int, says: str) -> None:
    result = runner.invoke(app, ["llm", "serve", "--engine", "llama", *arguments], env={"KIDSNANNY_JUDGE_KEY": KEY})
    assert result.exit_code == code
    assert says in " ".join(result.stderr.split())


def test_llama_is_not_served_without_a_key() -> None:
    result = runner.invoke(app, ["llm", "serve", "--engine", "llama"])
    assert result.exit_code == 2
    assert "set KIDSNANNY_JUDGE_KEY" in result.stderr


def test_the_command_holds_no_secret_and_no_picture() -> None:
    arguments = command()
    assert arguments[arguments.index("--limit-mm-per-prompt") + 1] == '{"image":0,"video":0,"audio":0}'
    assert "--api-key" not in arguments


# ------------------------------------------------------------------ bands


def test_bands_are_learnt_from_a_run_and_a_judge_that_changes_nothing_is_not_asked(url: str, tmp_path: Path) -> None:
    for label in ("safe", "unsafe"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for n in range(2):
            encoded = page("Our picnic is on Sunday", size=(400, 200 + n))
            encoded.save(tmp_path / "data" / label / f"{label}{n}.png")
    (tmp_path / "judged.toml").write_text(
        f"""name = "judged"
        stage1 = [{{ model = "nudenet-320n", device = "cpu" }}]
        ocr = {{ engine = "ppocr" }}
        text_model = {{ engine = "encoder" }}
        judge = {{ engine = "openai", url = "{url}" }}
        """
    )
    out = tmp_path / "run"
    where = ("--data", tmp_path / "data", "--out", out, "--profile", tmp_path / "judged.toml", "--limit", "4")
    done = runner.invoke(app, ["eval", *map(str, where)])
    assert done.exit_code == 0, done.output
    found = runner.invoke(app, ["llm", "bands", str(out), "--system", "judged", "--most", "0.5"])
    assert found.exit_code == 0, found.output
    assert "On 4 pictures the judge is asked about 0 (0.0%)" in found.stdout
    assert tomllib.loads(found.stdout) == {"judge": {"escalation": "never"}}
    for system, says in (("embedded", "the judge was not asked about it"), ("nobody", "no system of ours is called")):
        refused = runner.invoke(app, ["llm", "bands", str(out), "--system", system])
        assert refused.exit_code == 2
        assert says in " ".join(refused.stderr.split())
