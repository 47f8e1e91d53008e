"""`kidsnanny weights`, against a hub on this machine's loopback and, with torch, on real checkpoints."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from networks import colour_classifier, one_box
from typer.testing import CliRunner

from kidsnanny.cli import weights as cli_weights
from kidsnanny.cli.app import app
from kidsnanny.models.cards import cards, shipped
from kidsnanny.models.convert import ISOLATION
from kidsnanny.models.store import home, pin_exported, pinned

pytestmark = pytest.mark.usefixtures("own_home")
runner = CliRunner()
COMMIT = "c0ffee" + "0" * 34
HEADER = b'{"w":{"dtype":"U8","shape":[200000],"data_offsets":[0,200000]}}'
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(200_000)
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
REFUSALS = {
    "gone": (401, "RepoNotFound"),
    "gated": (403, "GatedRepo"),
    "nofile": (404, "EntryNotFound"),
    "norevision": (404, "RevisionNotFound"),
}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs. The owner in the path says what goes wrong."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        owner = self.path.split("/")[1]
        status, code = REFUSALS.get(owner, (200, ""))
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{SHA256}"')
        self.send_header("Content-Length", "0" if code else str(len(WEIGHTS)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        half = "/half/" in f"/{self.path}"
        self.wfile.write(WEIGHTS[: len(WEIGHTS) // 2] if half else WEIGHTS)
        self.close_connection = half

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[ThreadingHTTPServer]:
    Hub.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def card(owner: str, file: str = "{}") -> str:
    return "\n".join(
        [
            "[mine]",
            'role = "classifier"',
            'what = "A test"',
            f'hub = {{ repo = "{owner}/model" }}',
            f'files = {{ "model.safetensors" = {file} }}',
            'architecture = "timm:vit_tiny_patch16_224"',
            "input = 8",
            "mean = [0.5, 0.5, 0.5]",
            "std = [0.5, 0.5, 0.5]",
            'interpolation = "bilinear"',
            'licence = "mine"',
            "labels = { z = {}, a = { nudity = 0.5 } }",
        ]
    )


def run(tmp_path: Path, port: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with that hub and an empty cache."""
    inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(tmp_path / "hf")}
    return subprocess.run(
        [sys.executable, "-m", "kidsnanny", "weights", *arguments],
        env=inherited | hub | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def write_card(text: str) -> None:
    (home() / "cards").mkdir(parents=True)
    (home() / "cards" / "mine.toml").write_text(text)
    cards.cache_clear()


def test_a_pull_pins_what_it_fetched_and_is_found_without_a_network(tmp_path: Path, hub: ThreadingHTTPServer) -> None:
    write_card(card("good"))
    Hub.asked.clear()
    result = run(tmp_path, hub.server_port, "pull", "mine")
    assert result.returncode == 0, result.stderr
    assert {asked.split("/")[1] for asked in Hub.asked} == {"good"}  # and no other host was asked
    facts = pinned("mine").files["model.safetensors"]
    assert (facts.sha256, facts.bytes, pinned("mine").revision) == (SHA256, len(WEIGHTS), COMMIT)
    assert cards()["mine"].locate() == facts.path
    path = run(tmp_path, 9, "path", "mine")
    assert path.stdout.strip() == str(facts.path)
    again = run(tmp_path, 9, "pull", "mine", HF_HUB_OFFLINE="1")  # the pinned commit, from the cache
    assert again.returncode == 0, again.stderr
    rerun = run(tmp_path, hub.server_port, "pull", "mine")
    assert rerun.returncode == 0, rerun.stderr


PULLS = [
    ("gone", "{}", {}, "there is no public repository gone/model"),
    ("gated", "{}", {}, "gated/model is gated; accept its terms on http://127.0.0.1"),
    ("nofile", "{}", {}, "nofile/model has no file model.safetensors at revision main"),
    ("norevision", "{}", {}, "norevision/model has no revision main"),
    (
        "good",
        f'{{ sha256 = "{"0" * 64}" }}',
        {},
        f"has sha256 {SHA256[:12]}…, not 000000000000…; delete it and pull again.",
    ),
    ("good", "{}", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, and model.safetensors is not in the hub's cache"),
    ("half", "{}", {}, "the download of model.safetensors from half/model failed"),
]


@pytest.mark.parametrize(
    ("owner", "file", "environment", "says"), PULLS, ids=[f"{owner}-{says[:12]}" for owner, _, _, says in PULLS]
)
def test_a_pull_that_fails_says_why_in_one_sentence_and_pins_nothing(
    tmp_path: Path, hub: ThreadingHTTPServer, owner: str, file: str, environment: dict, says: str
) -> None:
    write_card(card(owner, file))
    result = run(tmp_path, hub.server_port, "pull", "mine", **environment)
    assert result.returncode == 3
    last = result.stderr.splitlines()[-1]
    assert last.startswith("kidsnanny: mine: ")
    assert says in last
    assert "Traceback" not in result.stderr
    assert not (home() / "lock.json").exists()


@pytest.mark.slow  # the library asks six times
def test_a_pull_without_a_network_says_so(tmp_path: Path) -> None:
    write_card(card("good"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = run(tmp_path, port, "pull", "mine")
    assert result.returncode == 3
    assert f"http://127.0.0.1:{port} does not answer" in result.stderr.splitlines()[-1]
    assert not (home() / "lock.json").exists()


def test_another_file_than_the_first_is_refused_until_its_pin_is_removed(
    tmp_path: Path, hub: ThreadingHTTPServer
) -> None:
    write_card(card("good"))
    former = {"path": "/gone/model.safetensors", "sha256": "1" * 64, "bytes": 1}
    home().joinpath("lock.json").write_text(json.dumps({"mine": {"files": {"model.safetensors": former}}}))
    result = run(tmp_path, hub.server_port, "pull", "mine")
    assert result.returncode == 3
    assert "if you want the new file, first remove mine from" in result.stderr
    assert pinned("mine").files["model.safetensors"].sha256 == "1" * 64
    home().joinpath("lock.json").unlink()
    assert run(tmp_path, hub.server_port, "pull", "mine").returncode == 0


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path, hub: ThreadingHTTPServer) -> None:
    (tmp_path / "file").touch()
    write_card(card("good"))
    read_only = tmp_path / "read-only"
    shutil.copytree(home(), read_only)
    (read_only / "lock.json").mkdir()
    result = run(tmp_path, hub.server_port, "pull", "mine", KIDSNANNY_HOME=str(read_only))
    assert result.returncode == 3
    assert "lock.json: the lock file cannot be read (Is a directory)" in result.stderr.splitlines()[-1]
    result = run(
        tmp_path, 9, "add", str(home() / "cards" / "mine.toml"), KIDSNANNY_HOME=str(tmp_path / "file" / "home")
    )
    assert result.returncode == 3
    assert "set KIDSNANNY_HOME to a folder that can." in result.stderr.splitlines()[-1]


def invoke(*arguments: str | Path, code: int = 0) -> str:
    """The output of `kidsnanny weights …`, unwrapped, after a check of the exit code."""
    result = runner.invoke(app, ["weights", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_list_tells_the_state_of_every_card(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(WEIGHTS)
    invoke("add", file, "--like", "marqo-nsfw-384", "--name", "mine")
    file.write_bytes(b"changed")
    rows = {row["name"]: row for row in json.loads(runner.invoke(app, ["weights", "list", "--json"]).stdout)}
    assert list(rows) == [*shipped(), "mine"]
    states = {name: row["state"] for name, row in rows.items()}
    assert (states["nudenet-320n"], states["falconsai-nsfw"], states["mine"]) == ("ready", "not here", "wrong")
    assert "labels" in rows["mine"]["unverified"]
    table = invoke("list")
    for said in (*shipped(), "AGPL-3.0", "not here", "wrong"):
        assert said in table


def test_random_weights_are_listed_as_such(tmp_path: Path) -> None:
    header = b'{"__metadata__":{"kidsnanny":"random"}}'
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    invoke("add", tmp_path / "x.safetensors", "--like", "marqo-nsfw-384", "--name", "mine")
    assert "ready, but random" in invoke("list")


def test_verify_fails_on_what_is_wrong_and_on_what_was_named(tmp_path: Path) -> None:
    assert "- falconsai-nsfw: its weights are not on this machine" in invoke("verify")
    assert "FAIL falconsai-nsfw: its weights are not" in invoke("verify", "falconsai-nsfw", code=3)
    assert "ok nudenet-320n: " in invoke("verify", "nudenet-320n")
    file = tmp_path / "x.onnx"
    colour_classifier(file, (0, 1))
    invoke("add", file, "--like", "falconsai-nsfw")
    assert "ok falconsai-nsfw: " in invoke("verify")
    file.write_bytes(b"2")
    assert "FAIL falconsai-nsfw: " in invoke("verify", code=3)


def test_add_a_card_with_a_path_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(WEIGHTS)
    text = card("good").splitlines()
    text[3:5] = ['path = "x.safetensors"']
    (tmp_path / "card.toml").write_text("\n".join(text))
    invoke("add", tmp_path / "card.toml")
    added = cards()["mine"]
    assert added.locate() == tmp_path / "x.safetensors"
    assert list(added.labels.items()) == [("z", {}), ("a", {"nudity": 0.5})]
    assert invoke("path", "mine") == str(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(WEIGHTS[:-1])
    invoke("add", tmp_path / "y.safetensors", "--like", "mine")
    assert cards()["mine"].locate() == tmp_path / "y.safetensors"


def test_add_a_file_for_a_card_on_a_machine_without_a_network(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(WEIGHTS)
    invoke("add", tmp_path / "x.safetensors", "--like", "falconsai-nsfw")
    assert shipped()["falconsai-nsfw"].locate() == tmp_path / "x.safetensors"
    assert "not 6bf2e0f64a1d" in invoke("add", tmp_path / "x.safetensors", "--like", "marqo-nsfw-384", code=3)
    invoke("add", tmp_path / "x.safetensors", "--like", "marqo-nsfw-384", "--name", "mine")
    mine, marqo = cards()["mine"], cards()["marqo-nsfw-384"]
    assert mine.locate() == tmp_path / "x.safetensors"
    assert (mine.labels, mine.mean, mine.operating_points) == (marqo.labels, marqo.mean, marqo.operating_points)


@pytest.mark.parametrize("name", [name for name, card in shipped().items() if card.role in ("classifier", "detector")])
def test_a_copied_card_says_the_same_in_the_same_order(tmp_path: Path, name: str) -> None:
    theirs = shipped()[name]
    if theirs.role == "detector":
        one_box(tmp_path / "x.onnx", tuple(theirs.labels))
    else:
        ends_in = "Softmax" if theirs.probabilities else ""
        last = theirs.layout != "rgb"
        colour_classifier(tmp_path / "x.onnx", (0,) * len(theirs.labels), last=last, ends_in=ends_in)
    invoke("add", tmp_path / "x.onnx", "--like", name, "--name", "mine")
    gone = {"name", "get", "hub", "package", "shipped", "path", "files", "unverified"}
    mine = cards()["mine"]
    assert mine.model_dump_json(exclude=gone) == theirs.model_dump_json(exclude=gone)
    assert set(theirs.unverified) - set(mine.unverified) <= gone


def test_a_copy_of_a_students_card_has_all_the_files_beside_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "student"
    shutil.copytree(shipped()["senben-tiny"].locate().parent, folder)
    invoke("add", folder / "model.safetensors", "--like", "senben-tiny", "--name", "mine")
    assert cards()["mine"].files.keys() == shipped()["senben-tiny"].files.keys()
    assert cards()["mine"].locate() == folder / "model.safetensors"
    (folder / "generation_config.json").write_text("{}")
    assert "generation_config.json has sha256" in invoke("verify", "mine", code=3)
    (folder / "vocabulary.toml").unlink()
    assert "vocabulary.toml cannot be read" in invoke(
        "add", folder / "model.safetensors", "--like", "senben-tiny", "--name", "other", code=3
    )


def test_an_exported_file_that_is_missing_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(WEIGHTS)
    invoke("add", tmp_path / "x.safetensors", "--like", "falconsai-nsfw")
    (tmp_path / "gone.onnx").touch()
    pin_exported("falconsai-nsfw", tmp_path / "gone.onnx")
    (tmp_path / "gone.onnx").unlink()
    assert "FAIL falconsai-nsfw: " in invoke("verify", code=3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "none.onnx", "--like", "mine"], "there is no such file"),
        (["add", "x.pt", "--like", "marqo-nsfw-384"], "run `kidsnanny weights convert x.pt`"),
        (["add", "x.onnx"], "x.onnx: ONNX Runtime cannot load it"),
        (["add", "x.onnx", "--like", "none"], "there is no card of that name"),
        (["add", "x.onnx", "--like", "nudenet-320n"], "give yours a card of its own with --name NEW"),
        (["add", "x.onnx", "--like", "nudenet-320n", "--name", "ppocrv6-small-det"], "ships a card of this name"),
        (["add", "x.onnx", "--like", "nudenet-320n", "--name", "../Mine"], "../Mine: a card's name is lower case"),
        (["add", "bad.toml"], "mine: its source is exactly one of"),
        (["add", "ours.toml"], "ships a card of this name"),
        (["add", "inside.toml"], "name the folder of yours as `path`"),
        (
            ["add", "x.safetensors", "--like", "ppocrv6-small-det", "--name", "mine"],
            "mine: x.safetensors is no .onnx file",
        ),
        (
            ["add", "x.npz", "--like", "nudenet-320n", "--name", "mine"],
            "x.npz: expected weights as .safetensors, .onnx",
        ),
        (["add", "ours.toml", "--like", "mine"], "--like and --name go with a file of weights"),
        (["pull"], "Missing argument"),
        (["pull", "none"], "there is no card of that name; `kidsnanny weights list` has all names."),
        (["verify", "none"], "there is no card of that name"),
        (["path", "none"], "there is no card of that name"),
        (["convert", "none.pt"], "there is no such file"),
        (["convert", "y.pt"], "pass --yes to agree"),
        (["convert", "x.pt", "--out", "x.onnx"], "is not a .safetensors"),
        (["convert", "x.pt", "--out", "x.safetensors", "--yes"], "x.safetensors: it exists"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.pt", "y.pt", "x.onnx", "x.npz", "x.safetensors"):
        Path(name).touch()
    mine = '[mine]\nrole = "ocr"\nwhat = "a test"\nlicence = "mine"\n'
    Path("bad.toml").write_text(mine + 'files."x.onnx" = {}')
    Path("inside.toml").write_text(f'{mine}shipped = "x"\nfiles."x.onnx".sha256 = "{"0" * 64}"')
    Path("ours.toml").write_text(card("good").replace("mine", "marqo-nsfw-384"))
    assert says in invoke(*arguments, code=2).replace("│ ", "")
    assert not home().exists()


def test_what_was_added_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(WEIGHTS)
    invoke("add", tmp_path / "x.safetensors", "--like", "falconsai-nsfw")
    invoke("add", tmp_path / "x.safetensors", "--like", "falconsai-nsfw", "--name", "mine")
    invoke("remove", "mine", "falconsai-nsfw")
    assert "there is no card of that name" in invoke("path", "mine", code=2)
    assert "not on this machine" in invoke("path", "falconsai-nsfw", code=3)
    assert "there is no card of that name" in invoke("remove", "mine", code=2)
    assert (tmp_path / "x.safetensors").exists()


def test_a_card_whose_file_is_missing_is_not_added(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text('[mine]\nrole = "ocr"\nwhat = "a test"\nlicence = "mine"\npath = "none.onnx"')
    assert "mine: " in invoke("add", tmp_path / "card.toml", code=3)
    assert not home().exists()


@pytest.mark.parametrize("command", ["list", "pull", "verify", "path", "add", "remove", "convert"])
def test_every_help_has_an_example(command: str) -> None:
    assert f"Example: kidsnanny weights {command}" in invoke(command, "--help")


def test_convert_asks_and_takes_no_for_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pt").touch()
    monkeypatch.setattr(cli_weights, "_interactive", lambda: True)
    result = runner.invoke(app, ["weights", "convert", str(tmp_path / "x.pt")], input="n\n")
    assert result.exit_code == 2
    assert "runs its code, without a network" in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == [tmp_path / "x.pt"]


def isolates() -> bool:
    unshare = shutil.which("unshare")
    return bool(unshare) and not subprocess.run([unshare, *ISOLATION, "true"], capture_output=True).returncode


needs_isolation = pytest.mark.skipif(not isolates(), reason="this machine cannot isolate a process")

EVIL = """
import socket
from pathlib import Path
try:
    with socket.create_connection(("127.0.0.1", {port}), 5) as connection:
        connection.sendall(b"secret")
    Path({log!r}).write_text("connected")
except OSError as error:
    Path({log!r}).write_text(f"refused: {{error}}")
"""


class Evil:
    """Unpickling it runs its code."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple:
        return exec, (self.code,)


@pytest.mark.torch
@needs_isolation
def test_a_program_in_a_pt_runs_without_a_network(tmp_path: Path) -> None:
    import torch

    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        code = EVIL.format(port=server.getsockname()[1], log=str(log))
        torch.save({"state_dict": {"w": torch.ones(2)}, "more": Evil(code)}, tmp_path / "evil.pt")
        torch.load(tmp_path / "evil.pt", weights_only=False)  # where it is not isolated, it does connect
        assert log.read_text() == "connected"
        server.accept()[0].close()
        invoke("convert", tmp_path / "evil.pt", "--yes")
        assert log.read_text().startswith("refused")
        with pytest.raises(TimeoutError):
            server.accept()
    assert (tmp_path / "evil.safetensors").exists()


@pytest.mark.torch
@needs_isolation
def test_nothing_that_a_program_started_outlives_it(tmp_path: Path) -> None:
    import torch

    log = tmp_path / "log"
    beats = f"import time\nfor _ in range(1200): open({str(log)!r}, 'a').write('.'); time.sleep(0.05)"
    code = (
        f"import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {beats!r}])\n"
        f"while not os.path.exists({str(log)!r}): time.sleep(0.05)"
    )
    torch.save({"state_dict": {"w": torch.ones(2)}, "more": Evil(code)}, tmp_path / "evil.pt")
    invoke("convert", tmp_path / "evil.pt", "--yes")
    beaten = log.read_text()
    time.sleep(1)
    assert log.read_text() == beaten != ""


@pytest.mark.torch
@needs_isolation
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ValueError('no')", "it does not load (ValueError: no)"),
        ("import os; os._exit(0)", "it wrote no file of weights"),
        ("import os, sys; open(sys.argv[2], 'w').write('x'); os._exit(0)", "is not safetensors"),
        ("import os, sys; os.symlink('/etc/passwd', sys.argv[2]); os._exit(0)", "it wrote no file of weights"),
        ("import os, sys; print('\\x1b[31mred', file=sys.stderr, flush=True); os._exit(1)", "red"),
        ("import os; os._exit(len(os.environ.get('HF_TOKEN', '')))", "it wrote no file of weights"),
    ],
)
def test_what_a_program_does_instead_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    import torch

    monkeypatch.setenv("HF_TOKEN", "secret")
    torch.save({"w": torch.ones(2), "more": Evil(code)}, tmp_path / "evil.pt")
    output = invoke("convert", tmp_path / "evil.pt", "--yes", code=3)
    assert says in output
    assert "\x1b" not in output
    assert list(tmp_path.iterdir()) == [tmp_path / "evil.pt"]


@pytest.mark.torch
@needs_isolation
def test_a_state_dict_becomes_float32_with_every_tensor_of_its_own(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    shared = torch.arange(6.0).reshape(2, 3).t()
    state = {"a": shared, "b": shared, "half": torch.ones(2, dtype=torch.float16), "steps": torch.tensor(3)}
    for name, held in {"plain": state, "nested": {"state_dict": state, "epoch": 3}}.items():
        torch.save(held, tmp_path / f"{name}.pt")
        invoke("convert", tmp_path / f"{name}.pt", "--yes")
        loaded = load_file(tmp_path / f"{name}.safetensors")
        assert {key: str(value.dtype) for key, value in loaded.items()} == {
            "a": "torch.float32",
            "b": "torch.float32",
            "half": "torch.float32",
            "steps": "torch.int64",
        }
        assert torch.equal(loaded["b"], shared)


@pytest.mark.torch
@needs_isolation
def test_an_ultralytics_checkpoint_keeps_its_configuration_and_names(tmp_path: Path) -> None:
    import torch
    from safetensors import safe_open

    from kidsnanny.models.runtime import quiet_ultralytics

    model = quiet_ultralytics().nn.tasks.DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    model.names = {2: "c", 0: "a", 1: "b"}
    torch.save({"epoch": 1, "ema": None, "model": model.half()}, tmp_path / "y.pt")
    invoke("convert", tmp_path / "y.pt", "--yes")
    with safe_open(tmp_path / "y.safetensors", "pt") as file:
        facts = file.metadata()
        assert set(file.keys()) == set(model.state_dict())
    assert json.loads(facts["names"]) == ["a", "b", "c"]
    assert json.loads(facts["yaml"])["nc"] == 3


@pytest.mark.torch
def test_a_machine_that_cannot_isolate_does_not_run_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.pt").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cannot do that without a network (unshare, of util-linux," in invoke(
        "convert", tmp_path / "x.pt", "--yes", code=3
    )
    (tmp_path / "unshare").write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    assert "(unshare failed: Operation not permitted); convert it in a virtual machine" in invoke(
        "convert", tmp_path / "x.pt", "--yes", code=3
    )
