"""PaddleOCR in its own process: one that dies, hangs, lies or phones home; and the contract on the real one.

Most tests run our worker on a `paddleocr` of our own, which does what the red of the top-left pixel says.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from conftest import ScriptedStage1, ScriptedTextModel, page
from ocr_contract import OcrContract

from kidsnanny import Pipeline, Stage2
from kidsnanny.budget import Budget
from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.stage2.ocr import paddle
from kidsnanny.stage2.ocr.ocr import Ocr
from kidsnanny.stage2.ocr.paddle import PaddleOcr
from kidsnanny.stage2.ocr.ppocr import PpOcr

READ, DIE, HANG, FAIL, CONNECT, SELF, HOME, OPTIONS = (255, *range(1, 8))
STAND_IN = """
import os, signal, socket, sys, time
import numpy as np

print("the secret in the picture", flush=True)
print("the secret in the picture", file=sys.stderr, flush=True)

class PaddleOCR:
    def __init__(self, **options):
        self.options = options

    def predict(self, bgr, **limits):
        blue, green, order = bgr[0, 0].tolist()
        lines = [self.obey(order)]
        quad = np.array([(1, 2), (30, 2), (30, 9), (1, 9)], np.int16)
        lines.append(" ")
        yield {"rec_texts": lines, "rec_scores": [0.875] * len(lines), "rec_polys": [quad] * len(lines)}

    def obey(self, order):
        if order == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if order == 2:
            time.sleep(60)
        if order == 3:
            raise ValueError("it has\\nno end")
        if order == 4:
            socket.create_connection(("127.0.0.1", 9))
        return {5: str(os.getpid()), 6: os.environ["HOME"], 7: repr(self.options)}.get(order, "HELLO 123")
"""


def says(order: int) -> RGB:
    """A frame that tells the stand-in what to do."""
    return np.full((40, 60, 3), order, np.uint8)


def text(ocr: Ocr, order: int) -> str:
    """What the stand-in says to that."""
    line, _ = ocr.read(says(order))
    return line.text


def gone(pid: int) -> bool:
    """Whether there is no such process, or only what is left of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def spent(pid: int) -> int:
    """Ticks of the processor that it has had."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def soon(what: Callable[[], bool]) -> bool:
    """Whether it becomes true within some seconds."""
    end = time.monotonic() + 20
    while not (done := what()) and time.monotonic() < end:
        time.sleep(0.05)
    return done


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stand-in, found before anything installed."""
    folder = tmp_path / "packages"
    about = folder / "paddleocr-3.9.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: paddleocr\nVersion: 3.9\n")
    (folder / "paddleocr.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(paddle, "mkdtemp", lambda **_: str(_new(tmp_path / "temporary")))
    return folder


def _new(parent: Path) -> Path:
    folder = parent / str(time.monotonic_ns())
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def ocr(packages: Path) -> Iterator[PaddleOcr]:  # noqa: ARG001
    with PaddleOcr() as ocr:
        yield ocr


def test_what_paddleocr_says_becomes_lines(ocr: PaddleOcr) -> None:
    assert str(ocr.model_id).startswith("paddleocr-3.9/ppocrv6-small-rec@")
    line, blank = ocr.read(says(READ))
    assert (line.text, line.confidence, line.box) == ("HELLO 123", 0.875, (1, 2, 30, 9))
    assert blank == line.model_copy(update={"text": ""})
    assert line.aspect == pytest.approx(29 / 7)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("order", "timeout", "reason"),
    [(DIE, 60, "its process died .exit code -9."), (HANG, 3, "it gave no answer in 3 seconds")],
)
def test_a_crash_or_a_stall_costs_one_picture(order: int, timeout: float, reason: str) -> None:
    with PaddleOcr(timeout=timeout) as ocr:
        first = text(ocr, SELF)
        with pytest.raises(ComponentError, match=reason):
            ocr.read(says(order))
        assert gone(int(first))
        assert text(ocr, SELF) != first
        assert text(ocr, READ) == "HELLO 123"


def test_a_picture_it_fails_on_costs_that_picture_only(ocr: PaddleOcr) -> None:
    first = text(ocr, SELF)
    with pytest.raises(ComponentError, match=r"fails on this picture .ValueError: it has no end\W"):
        ocr.read(says(FAIL))
    assert text(ocr, SELF) == first


def test_a_process_that_died_between_two_pictures_is_replaced(ocr: PaddleOcr) -> None:
    first = text(ocr, SELF)
    (worker,) = ocr._workers.values()
    os.kill(int(first), signal.SIGKILL)
    assert soon(lambda: worker.process.poll() is not None)
    assert text(ocr, SELF) != first


def test_an_answer_nobody_waited_for_is_not_taken_for_the_next(ocr: PaddleOcr) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            ocr.read(says(HANG))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert text(ocr, READ) == "HELLO 123"


def test_threads_take_turns(ocr: PaddleOcr) -> None:
    with ThreadPoolExecutor(4) as threads:
        orders = [READ, SELF] * 8
        said = list(threads.map(lambda order: text(ocr, order), orders))
    assert said == ["HELLO 123", text(ocr, SELF)] * 8


def test_a_frame_that_takes_longer_than_the_picture_may_is_named(ocr: PaddleOcr) -> None:
    budget = Budget(2)
    with budget.spending():
        assert ocr.read(says(HANG)) == []
    assert budget.left_out() == ["none of the frame's text was read: the picture's 2 s are used up"]
    with Budget(2).spending():  # starting another process is not charged
        assert text(ocr, READ) == "HELLO 123"


def test_the_pipeline_names_what_was_not_read(ocr: PaddleOcr) -> None:
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ocr, ScriptedTextModel()))
    dead, alive = pipeline([says(DIE), says(READ)])
    assert dead.label == "review"
    assert "its process died" in dead.not_inspected[0].reason
    assert [line.text for line in alive.text] == ["HELLO 123", ""]
    assert [missed.reason for missed in alive.not_inspected] == ["text on 8.5% of the frame could not be read"]


def test_it_has_no_network_and_another_home(ocr: PaddleOcr, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"PermissionError: socket.* downloads are off"):
        ocr.read(says(CONNECT))
    assert Path(text(ocr, HOME)).parent == tmp_path / "temporary"


@pytest.mark.usefixtures("packages")
def test_only_who_asks_for_downloads_gets_the_network_and_the_home() -> None:
    with PaddleOcr("korean", download=True) as ocr:
        assert str(ocr.model_id) == "paddleocr-3.9/korean@downloaded"
        assert text(ocr, HOME) == os.environ["HOME"]
        assert "'lang': 'korean'" in text(ocr, OPTIONS)
        with pytest.raises(ComponentError, match="ConnectionRefusedError"):
            ocr.read(says(CONNECT))


@pytest.mark.usefixtures("packages")
def test_models_of_the_users_own(tmp_path: Path) -> None:
    for part in ("det", "rec"):
        (tmp_path / "arabic" / part).mkdir(parents=True)
        (tmp_path / "arabic" / part / "inference.yml").write_text(f"Global:\n  model_name: arabic_{part}\n")
    with pytest.raises(ComponentError, match="arabic: it does not have det and rec with weights"):
        PaddleOcr(models=tmp_path / "arabic")
    for part in ("det", "rec"):
        (tmp_path / "arabic" / part / "inference.pdiparams").write_bytes(b"weights")
    with PaddleOcr(models=tmp_path / "arabic") as ocr:
        options = text(ocr, OPTIONS)
        assert str(ocr.model_id).startswith("paddleocr-3.9/arabic@9a129038d9a0")
    assert "'text_recognition_model_name': 'arabic_rec'" in options
    assert f"'text_detection_model_dir': '{tmp_path / 'arabic' / 'det'}'" in options
    assert "'lang'" not in options
    assert "'engine'" not in options


@pytest.mark.usefixtures("packages")
def test_nothing_is_left(tmp_path: Path) -> None:
    ocr = PaddleOcr()
    first = int(text(ocr, SELF))
    with pytest.raises(ComponentError):
        ocr.read(says(DIE))
    second = int(text(ocr, SELF))
    ocr.close()
    ocr.close()
    assert gone(first)
    assert gone(second)
    assert list((tmp_path / "temporary").iterdir()) == []
    with pytest.raises(ComponentError, match="it was closed"):
        ocr.read(says(READ))
    ocr = PaddleOcr()
    third = int(text(ocr, SELF))
    del ocr
    assert gone(third)
    assert list((tmp_path / "temporary").iterdir()) == []


PARENT = """
import os, sys, threading, time
import numpy as np
from kidsnanny.stage2.ocr.paddle import PaddleOcr

ocr = PaddleOcr()
frame = lambda order: np.full((40, 60, 3), order, np.uint8)
print(ocr.read(frame(5))[0].text, ocr.read(frame(6))[0].text, flush=True)
if sys.argv[1] == "fork":
    if pid := os.fork():
        print(os.waitpid(pid, 0)[1], flush=True)
    print(ocr.read(frame(5))[0].text, flush=True)
elif sys.argv[1] == "killed":
    threading.Thread(target=lambda: ocr.read(frame(2)), daemon=True).start()
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
"""


def _parent(how: str) -> tuple[list[str], str]:
    ran = subprocess.run([sys.executable, "-c", PARENT, how], capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout.split(), ran.stderr


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("how", ["killed", "ends"])
def test_no_process_outlives_its_parent_not_even_a_busy_one(how: str) -> None:
    (pid, folder), errors = _parent(how)
    assert soon(lambda: gone(int(pid)) and not Path(folder).exists())
    assert errors == ""  # and nothing of what it printed


@pytest.mark.usefixtures("packages")
def test_a_fork_has_a_process_of_its_own() -> None:
    (first, folder, forked, status, again), _ = _parent("fork")
    assert status == "0"
    assert first == again != forked
    assert gone(int(first))
    assert gone(int(forked))
    assert not Path(folder).exists()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(paddle, "version", missing)
    with pytest.raises(ComponentError, match=r"not installed; run `pip install 'kidsnanny\[paddle\]'`\.$"):
        PaddleOcr()


@pytest.mark.usefixtures("packages")
def test_a_language_without_weights_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(subprocess, "Popen")
    with pytest.raises(ComponentError, match=r"^korean: .*models=.*download=True"):
        PaddleOcr("korean")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("import no_such_library", "does not start .ModuleNotFoundError: .*--force-reinstall"),
        ("raise SystemExit(3)", "does not start .SystemExit: 3."),
        ("import os; os.abort()", "its process died .exit code -6."),
        (STAND_IN.replace("HELLO", "HELL0"), "reads 'HELL0 123' where 'HELLO 123' is written"),
    ],
)
def test_one_that_does_not_work_is_an_error_at_once(packages: Path, broken: str, reason: str) -> None:
    (packages / "paddleocr.py").write_text(broken)
    with pytest.raises(ComponentError, match=reason):
        PaddleOcr()
    assert list((packages.parent / "temporary").iterdir()) == []


@pytest.mark.usefixtures("packages")
def test_no_room_for_its_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paddle, "mkdtemp", full)
    with pytest.raises(ComponentError, match=r"No space left on device.*; set TMPDIR"):
        PaddleOcr()


# ------------------------------------------------------------------ the real PaddleOCR


@pytest.fixture(scope="module")
def real() -> Iterator[PaddleOcr]:
    with PaddleOcr() as ocr:
        yield ocr


@pytest.mark.paddle
class TestPaddleOcr(OcrContract):
    @pytest.fixture
    def engine(self, real: PaddleOcr) -> PaddleOcr:
        return real


@pytest.mark.paddle
def test_both_engines_read_the_same(real: PaddleOcr) -> None:
    """benchmarks/paddle_agreement.py counts over 240 pictures."""
    ppocr = PpOcr()
    for letters in (16, 28, 44):
        frame = np.asarray(page("Dear Ms Baker,", "the trip is on Friday.", "Bring 2 coats!", letters=letters))
        assert [line.text for line in real.read(frame)] == [line.text for line in ppocr.read(frame)]


@pytest.mark.paddle
def test_a_full_page_in_4k_is_read(real: PaddleOcr) -> None:
    lines = ["meet me behind the gate at seven, and do not tell your mother about it " * 3] * 40
    read = real.read(np.asarray(page(*lines, size=(3840, 2160), letters=20)))
    assert len(read) >= 40
    assert sum(line.text.count("mother") for line in read) >= 115


@pytest.mark.paddle
def test_killed_while_it_reads(real: PaddleOcr) -> None:
    (worker,) = real._workers.values()
    busy = np.random.default_rng(0).integers(0, 256, (2160, 3840, 3), dtype=np.uint8)
    with ThreadPoolExecutor(1) as thread:
        idle = spent(worker.process.pid)
        reading = thread.submit(real.read, busy)
        assert soon(lambda: spent(worker.process.pid) > idle), "it is at work"
        worker.process.kill()
        with pytest.raises(ComponentError, match="its process died"):
            reading.result()
    assert [line.text for line in real.read(np.asarray(page("still here")))] == ["still here"]


STATIC = """
import json, sys
from pathlib import Path
import paddle
from paddle.nn import Layer
from paddle.nn.functional import max_pool2d
from paddle.nn.initializer import Assign

class Dark(Layer):
    \"\"\"Text is whatever is dark, or near it.\"\"\"

    def __init__(self):
        super().__init__()
        self.one = self.create_parameter([1], default_initializer=Assign(paddle.ones([1])))

    def forward(self, x):
        return max_pool2d((self.one * x.mean(1, keepdim=True) < 0).astype("float32"), 31, 1, 15)

class Proof(Layer):
    \"\"\"Reads HELLO 123 everywhere; 0 is CTC's blank, 8 is " ".\"\"\"

    def __init__(self):
        super().__init__()
        letters = [0, *(each for letter in "HELLO 123" for each in ("HELO123 ".index(letter) + 1, 0))]
        hot = paddle.nn.functional.one_hot(paddle.to_tensor([letters]), 9)
        self.hot = self.create_parameter(hot.shape, default_initializer=Assign(hot))

    def forward(self, x):
        return self.hot + 0 * x.mean([1, 2, 3]).reshape([-1, 1, 1])

see = {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}}
half = {"NormalizeImage": {"mean": [0.5] * 3, "std": [0.5] * 3, "scale": 1 / 255, "order": "hwc"}}
det = [see, {"DetResizeForTest": {"limit_side_len": 64}}, half, {"ToCHWImage": None}]
rec = [see, {"RecResizeImg": {"image_shape": [3, 48, 320]}}]
letters = {"name": "CTCLabelDecode", "character_dict": list("HELO123")}
for network, name, before, after in (
    (Dark(), "PP-OCRv5_mobile_det", det, {"name": "DBPostProcess"}),
    (Proof(), "korean_PP-OCRv5_mobile_rec", rec, letters),
):
    folder = Path(sys.argv[1], name[-3:])
    shape = paddle.static.InputSpec([None, 3, None, None], "float32", "x")
    paddle.jit.save(network, str(folder / "inference"), [shape])
    about = {"Global": {"model_name": name}, "PreProcess": {"transform_ops": before}, "PostProcess": after}
    (folder / "inference.yml").write_text(json.dumps(about))
"""


@pytest.mark.paddle
def test_models_in_paddles_own_format(tmp_path: Path) -> None:
    """Networks that know nothing but the proof, saved by paddlepaddle and run by it."""
    (tmp_path / "static.py").write_text(STATIC)  # paddle reads the source of what it saves
    subprocess.run([sys.executable, str(tmp_path / "static.py"), str(tmp_path)], check=True, capture_output=True)
    with PaddleOcr("korean", models=tmp_path) as ocr:
        (line,) = ocr.read(np.asarray(page("abc")))
    assert line.text == "HELLO 123"


@pytest.mark.paddle
def test_it_tries_no_network_and_leaves_the_home_alone(tmp_path: Path) -> None:
    """Watched from before our own ban, by Python's audit hooks and by a proxy that should hear nothing."""
    watch, home, seen = tmp_path / "watch", tmp_path / "home", tmp_path / "seen"
    watch.mkdir()
    home.mkdir()
    (watch / "sitecustomize.py").write_text(
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.') and event != 'socket.__new__' and '::1' not in repr(arguments):\n"
        f"        open({str(seen)!r}, 'a').write(f'{{event}} {{arguments}}\\n')\n"
        "sys.addaudithook(watch)\n"
    )
    code = "from kidsnanny.stage2.ocr.paddle import PaddleOcr\nwith PaddleOcr() as ocr: print(ocr.model_id)"
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.1)
        proxy = f"http://127.0.0.1:{trap.getsockname()[1]}"
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(watch), "TMPDIR": str(tmp_path)}
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy)
        ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
        with pytest.raises(TimeoutError):
            trap.accept()
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "ppocrv6-small-rec@" in ran.stdout
    assert list(home.iterdir()) == []
    assert not seen.exists()
    assert sorted(tmp_path.iterdir()) == [home, watch]
