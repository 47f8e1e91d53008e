"""`kidsnanny train probe`: from pictures to a card that a profile takes, in one command."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded
from networks import COLOURS_CARD, colour_classifier
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Pipeline
from kidsnanny.cli.app import app
from kidsnanny.models.cards import cards


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def picture(folder: Path, number: int, colour: tuple[int, int, int]) -> None:
    """A plain picture of about that colour."""
    near = np.clip(np.array(colour) + np.random.default_rng(number).integers(-60, 60, 3), 0, 255)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}.png").write_bytes(encoded(Image.new("RGB", (20, 10), tuple(near.tolist()))))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Path:  # noqa: ARG001
    """Red pictures of violence, blue ones of weapons, and grey harmless ones; an encoder that sees colours."""
    monkeypatch.chdir(tmp_path)
    colour_classifier(tmp_path / "n.onnx", (0, 1), side=32)
    (tmp_path / "card.toml").write_text(COLOURS_CARD)
    assert run("weights", "add", "card.toml").exit_code == 0
    for n in range(30):
        picture(tmp_path / "data" / "safe", n, (128, 128, 128))
        picture(tmp_path / "data" / "Violence", 100 + n, (230, 60, 60))
        picture(tmp_path / "data" / "my weapons", 200 + n, (60, 60, 230))
    return tmp_path / "data"


def train(*arguments: object) -> Result:
    return run("train", "probe", "--data", "data", "--encoder", "colours", "--out", "my-probe", *arguments)


@pytest.mark.usefixtures("data")
def test_one_command_makes_a_stage_1_of_pictures(tmp_path: Path) -> None:
    done = train("--means", "weapons")
    assert done.exit_code == 0, done.output
    assert "90 pictures: Violence 30, my weapons 30" in done.stderr
    (right,) = re.findall(r"Violence: ([\d.]+) % right, ± [\d.]+ over 10 hold-outs, trained on 81 each", done.stderr)
    assert float(right) >= 90
    assert "kidsnanny weights add my-probe/card.toml" in done.stdout
    assert run("weights", "add", "my-probe/card.toml").exit_code == 0
    assert cards()["my-probe"].labels == {"Violence": {"violence": 1.0}, "my weapons": {"weapons": 1.0}}
    with Pipeline("my-probe", stage2=None) as pipeline:
        red, blue, grey = (pipeline(Image.new("RGB", (30, 30), c)) for c in ((230, 60, 60), (60, 60, 230), (128,) * 3))
    assert (red.label, red.scores["violence"] > 0.8, red.scores["weapons"] < 0.2) == ("unsafe", True, True)
    assert (blue.scores["violence"] < 0.2, blue.scores["weapons"] > 0.8) == (True, True)
    assert max(grey.scores.values()) < 0.3
    out = tmp_path / "out"
    done = run("eval", "--data", "data", "--systems", "my-probe", "--regime", "vision-only", "--out", out)
    assert done.exit_code == 2, "these folders are no safe and unsafe"


@pytest.mark.usefixtures("data")
def test_q16_is_two_vectors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    assert train("--kind", "q16", "--means", "violence", "--curve").exit_code == 0
    assert load_file(tmp_path / "my-probe" / "probe.safetensors")["prompts"].shape == (2, 3)
    record = json.loads((tmp_path / "my-probe" / "training.json").read_text())
    assert record["start"] == "class means"
    assert record["encoder"].startswith("colours@")
    (points,) = record["hold_outs"].values()
    assert [point["fraction"] for point in points][-3:] == [0.6, 0.8, 1.0]
    assert points[-1]["examples"] == 81
    assert len(points[-1]["accuracies"]) == 10
    assert run("weights", "add", "my-probe/card.toml").exit_code == 0
    with Pipeline("my-probe", stage2=None) as pipeline:
        assert pipeline(Image.new("RGB", (30, 30), (230, 60, 60))).scores["violence"] > 0.5
        assert pipeline(Image.new("RGB", (30, 30), (128, 128, 128))).scores["violence"] < 0.5


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("means", "counts_for"),
    [
        ([], {"violence"}),
        (["--means", "hate,gore"], {"hate", "gore"}),
        (["--means", "hate", "--means", "gore, illegal"], {"hate", "gore", "illegal"}),
    ],
)
def test_what_q16_counts_for_is_what_its_folders_mean_or_what_is_said(means: list[str], counts_for: set[str]) -> None:
    assert train("--kind", "q16", *means).exit_code == 0
    assert run("weights", "add", "my-probe/card.toml").exit_code == 0
    assert cards()["my-probe"].labels == {"fine": {}, "inappropriate": dict.fromkeys(counts_for, 1.0)}


@pytest.mark.usefixtures("data")
def test_labels_that_were_changed_stay_unless_means_says_otherwise() -> None:
    assert train("--means", "weapons").exit_code == 0
    card = Path("my-probe/card.toml")
    card.write_text(card.read_text().replace("weapons = 1.0", "weapons = 0.25"))
    again = train()
    assert "my-probe/card.toml: its labels were others, and stay as they are" in again.stderr
    assert "weapons = 0.25" in card.read_text()
    assert "its labels were others, and are written anew" in train("--means", "hate").stderr
    assert "hate = 1.0" in card.read_text()
    card.write_text("[my-probe")
    assert train().exit_code == 3
    assert card.read_text() == "[my-probe"


@pytest.mark.usefixtures("data")
def test_pictures_are_embedded_once(tmp_path: Path) -> None:
    assert train("--embeddings", "rows").exit_code == 0
    (cache,) = (tmp_path / "rows").iterdir()
    before = (cache / "rows.f32").stat().st_mtime_ns, (tmp_path / "my-probe" / "probe.safetensors").read_bytes()
    assert train("--embeddings", "rows").exit_code == 0
    assert (
        (cache / "rows.f32").stat().st_mtime_ns,
        (tmp_path / "my-probe" / "probe.safetensors").read_bytes(),
    ) == before
    assert (cache / "keys.bin").stat().st_size == 90 * 40


def test_a_picture_that_cannot_be_looked_at_is_named(data: Path) -> None:
    (data / "safe" / "broken.png").write_bytes(encoded(Image.new("RGB", (40, 40)))[:50])
    done = train("--means", "weapons")
    assert done.exit_code == 0, done.output
    assert "left out: data/safe/broken.png: " in done.stderr
    assert "90 pictures: Violence 30, my weapons 30, safe 30\n" in done.stderr
    assert "1 left out in all" in done.stderr
    (left_out,) = json.loads(Path("my-probe/training.json").read_text())["left_out"]
    assert left_out["picture"] == "data/safe/broken.png"


@pytest.mark.parametrize("kind", ["linear", "q16"])
def test_what_its_labels_mean_must_be_said_before_it_is_used(data: Path, kind: str) -> None:
    (data / "Violence").rename(data / "odd")
    done = train("--kind", kind)
    assert done.exit_code == 0
    silent = "inappropriate" if kind == "q16" else "my weapons, odd"
    assert f"{silent}: means no category and counts for nothing; say what it counts for with --means" in done.stderr
    added = run("weights", "add", "my-probe/card.toml")
    assert added.exit_code == 0
    assert "None of its labels means a category, so that `kidsnanny check` cannot use it;" in " ".join(
        added.stdout.split()
    )
    assert "Use it with" not in added.stdout
    refused = run("check", "--profile", "my-probe", "data/safe/1.png")
    assert refused.exit_code == 3
    assert "none of its labels means a category, so nothing would count; write which" in " ".join(
        refused.stderr.split()
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--encoder", "nowhere"], "there is no card of that name"),
        (["--encoder", "image-safety-s"], "its card is of a classifier, not of an encoder"),
        (["--means", "sadness"], "There is no category sadness; choose of sexual,"),
        (["--means", "violence, sadness"], "There is no category sadness; choose of sexual,"),
        (["--out", "embedded"], "embedded: kidsnanny has a profile of this name, and the probe's card is named after"),
        (["--out", "q16"], "q16: kidsnanny ships a card of this name"),
        (["--out", "nudenet"], "nudenet: `kidsnanny eval` has a system of this name"),
        (["--data", "nowhere"], "there is nothing there"),
        (["--data", "empty"], "empty: it has no folder safe/, nor one for a label; put harmless pictures there, and"),
        (["--data", "no-pictures"], "no-pictures: 0 pictures with a label and 0 harmless ones could be embedded; a"),
        (
            ["--data", "broken"],
            "broken: 0 pictures with a label and 0 harmless ones could be embedded, and 2 could not, the first of them "
            "broken/safe/a.png: ",
        ),
        (["--data", "single"], "rare: 1 of 31 pictures have this label, and at least 10 must"),
        (
            ["--data", "single", "--kind", "q16"],
            "cannot be drawn from 31 pictures, of which there are 30 and 1 of a kind; give at least 2 of each kind",
        ),
        (["--data", "few"], "rare: 3 of 33 pictures have this label, and at least 10 must"),
        (["--data", "one"], "30 pictures with a label and 0 harmless ones could be embedded"),
        (["--out", "card.toml"], "it cannot be written"),
    ],
)
def test_what_is_refused(data: Path, arguments: list[str], says: str) -> None:
    for n in range(30):
        picture(data.parent / "few" / "safe", n, (128, 128, 128))
        picture(data.parent / "one" / "Violence", n, (230, 60, 60))
        picture(data.parent / "single" / "safe", n, (128, 128, 128))
    for n in range(3):
        picture(data.parent / "few" / "rare", n, (255, 255, 255))
    picture(data.parent / "single" / "rare", 1, (255, 255, 255))
    for folder in ("one/safe", "empty", "no-pictures/safe", "no-pictures/rare", "broken/safe", "broken/rare"):
        (data.parent / folder).mkdir(parents=True)
    for label in ("safe", "rare"):
        (data.parent / "broken" / label / "a.png").write_bytes(encoded(Image.new("RGB", (40, 40)))[:50])
    done = train(*arguments)
    assert done.exit_code in (2, 3)
    assert says in " ".join(done.stderr.split())
    assert not list(data.parent.glob("my-probe/*.safetensors"))


@pytest.mark.usefixtures("data")
def test_a_published_pickle_becomes_a_probes_weights(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "prompts.p").write_bytes(pickle.dumps(np.array([[0.5, 0.5, 0.5], [1, 0, 0]], np.float16)))
    done = run("weights", "convert", "prompts.p")
    assert done.exit_code == 0, done.output
    card = run("weights", "card-template", "probe").stdout
    card = card.replace("model.safetensors", "prompts.safetensors").replace("clip-vit-l-14", "colours")
    (tmp_path / "probe.toml").write_text(card)
    assert run("weights", "add", "probe.toml").exit_code == 0
    with Pipeline("my-model", stage2=None) as pipeline:
        scores = [pipeline(Image.new("RGB", (9, 9), colour)).scores["violence"] for colour in ("red", "white")]
    assert scores[0] > 0.99
    assert scores[1] < 0.01
    (tmp_path / "evil.p").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    refused = run("weights", "convert", "evil.p")
    assert refused.exit_code == 3
    assert "it names os.system" in " ".join(refused.stderr.split())
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "evil.safetensors").exists()


@pytest.mark.usefixtures("data")
def test_a_card_that_is_not_its_files_is_refused(tmp_path: Path) -> None:
    from kidsnanny.probes.linear_probe import LinearProbe
    from kidsnanny.probes.probe_files import write_probe

    write_probe(LinearProbe(np.ones((3, 3)), np.ones(3)), tmp_path / "model.safetensors")
    (tmp_path / "probe.toml").write_text(run("weights", "card-template", "probe").stdout)
    refused = run("weights", "add", "probe.toml")
    assert refused.exit_code == 2
    assert "is a linear probe of 3 labels, and its card is of a q16 probe of 2" in " ".join(refused.stderr.split())
