"""`kidsnanny train`: the small models that kidsnanny ships, and probes on somebody's own pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from kidsnanny.cli.console import Exit, exit_on_error, exit_without_extra, say
from kidsnanny.errors import DataError
from kidsnanny.taxonomy import CATEGORIES, Category, ordered
from kidsnanny.training.student.recipe import RECIPES, Precision, named

if TYPE_CHECKING:
    from kidsnanny.training.student.training_pictures import TrainingPictures

ProbeKind = Literal["linear", "q16", "prompts"]
Device = Literal["auto", "cpu", "cuda"]

train_app = typer.Typer(
    no_args_is_help=True, help="Train the small models that kidsnanny ships, or a probe of your own."
)


@train_app.command("text")
def train_text(
    data: Annotated[Path, typer.Option(help="Folder of *.csv.gz training files (see weights/README.md).")],
    out: Annotated[Path, typer.Option(help="Folder to write model.onnx, tokenizer.json and card.toml to.")],
    corpus: Annotated[Path, typer.Option(help="Folder of the written corpus.")] = Path("training/corpus"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")] = 0,
) -> None:
    r"""Train the text model from a folder of labelled text and the corpus; on two cores it takes an hour.

    A run that was ended goes on where it was when the same command is given again. Uses a GPU if there is one.
    Needs `pip install 'kidsnanny\[train]'`.

    Example: kidsnanny train text --data labelled-text/ --out my-text-model
    """
    with exit_without_extra("Training a text model", "train"):
        from kidsnanny.training.text import train_text as training
    with exit_on_error(Exit.COMPONENT, interrupted=f"Interrupted; the same command goes on from what {out} holds."):
        training.train_text(data, corpus, out, seed=seed)


@train_app.command("student")
def train_student(
    out: Annotated[Path, typer.Option(help="Folder to write the student to.")],
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of Florence-2's or of a student's; by default a tiny network, new."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Parquet file, or folder of them; by default scenes that are drawn on the way.")
    ] = None,
    columns: Annotated[Path | None, typer.Option(help="TOML: where in --data what is (benchmarks/README.md).")] = None,
    split: Annotated[str, typer.Option(help="What of --data is trained on.")] = "train",
    unseen: Annotated[str, typer.Option(help="What of --data the learning curve is measured on.")] = "val",
    vocabulary: Annotated[
        Path | None,
        typer.Option(help="TOML: the words, and what they mean; by default those of --data, with no meaning."),
    ] = None,
    recipe: Annotated[str, typer.Option(help=f"The losses: {', '.join(RECIPES)}.")] = "plain",
    steps: Annotated[int, typer.Option(min=1, help="How many batches.")] = 5_000,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step, on all GPUs together.")] = 32,
    rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Highest learning rate; by default 0.001, and 0.00001 with --from.")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="Of the arithmetic; no is float32.")] = "bf16",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")] = 0,
) -> None:
    r"""Train a SenBen student; with no more options, a tiny one on generated scenes, on two cores in half an hour.

    The tiny one learns comic drawings, not photographs: it shows how a student works. For one that looks at frames of
    films, give --from a folder of Florence-2 (in transformers' own form) and --data the files of SenBen: a folder with
    a train and a val split that share no film. A recipe is a row of SenBen's ablation; "balanced" is all of it.

    A run that was ended goes on from its last checkpoint, to the same losses, when the same command is given again.
    There are ten checkpoints, and one every 500 steps in longer runs; with each comes a line of scores on pictures that
    are not trained on, which are 0 until something is learnt. `tensorboard --logdir OUT` shows the losses on the way.
    On several GPUs, put `accelerate launch --no-python` in front. Needs `pip install 'kidsnanny\[train]'`.

    Example: kidsnanny train student --out my-student && KIDSNANNY_STUDENT=my-student kidsnanny check --profile senben
    --vision-only scene.png

    Example: kidsnanny train student --out my-student --from Florence-2-base --data senben/ --columns columns.toml
    --recipe balanced --batch 8
    """
    with exit_without_extra("Training a student", "train"):
        from kidsnanny.training.student import train_student as training
    again = f"Interrupted; the same command goes on from the last checkpoint in {out}, or begins anew if there is none."
    with exit_on_error(Exit.COMPONENT, interrupted=again):
        pictures = _pictures(data, columns, split, unseen, vocabulary, seed)
        plan = training.Plan(
            recipe=named(recipe),
            steps=steps,
            batch=batch,
            learning_rate=rate or (training.FINE_TUNING_RATE if start else training.RATE),
            precision=precision,
            seed=seed,
            every=min(500, -(-steps // 10)),
        )
        training.train(out, pictures, plan, start=start)
    print(f"{out}: a student. KIDSNANNY_STUDENT={out} kidsnanny check --profile senben --vision-only PICTURE")


@train_app.command("probe")
def train_probe(
    data: Annotated[
        Path, typer.Option(help="Folder with safe/ and a folder for each label, or a .parquet, .csv or .jsonl table.")
    ],
    encoder: Annotated[str, typer.Option(help="The name of an encoder's card, from `kidsnanny weights list`.")],
    out: Annotated[Path, typer.Option(help="Folder to write probe.safetensors, card.toml and training.json to.")],
    kind: Annotated[
        ProbeKind,
        typer.Option(
            help="linear: a probability for each label. q16: two vectors, fine and not. prompts: as linear, by prompts "
            "that are learned through the text tower of a CLIP."
        ),
    ] = "linear",
    means: Annotated[
        list[str] | None,
        typer.Option(help=f"What a label counts for that is no category by its name: {', '.join(CATEGORIES)}."),
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="Folder of embeddings, kept and used again; by default OUT/embeddings.")
    ] = None,
    curve: Annotated[
        bool, typer.Option(help="Also train on 1 % to 80 % of the pictures, to see what more would do.")
    ] = False,
    device: Annotated[Device, typer.Option(help="What the encoder runs on.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random but the hold-outs.")] = 0,
) -> None:
    r"""Train a probe on labelled pictures: a small classifier on an encoder that stays as it is.

    A picture is embedded once: what is trained on embeddings that are there takes seconds. Ten hold-outs of a tenth
    each say how often the probe is right on pictures that it has not seen. A run that was ended goes on when the same
    command is given again. Needs `pip install 'kidsnanny\[probe]'`; prompts are learned with torch, and need
    'kidsnanny\[vit]' too.

    Example: kidsnanny train probe --data pictures/ --encoder image-safety-s-hidden --out my-probe

    Example: kidsnanny train probe --data unsafebench/ --encoder clip-vit-l-14 --kind q16 --means violence --out q16
    """
    with exit_without_extra("Training a probe", "probe"):
        from kidsnanny.probes.encoders import load_encoder
        from kidsnanny.training.probe import hold_outs
        from kidsnanny.training.probe import train_probe as training
    with exit_on_error(interrupted=f"Interrupted; the same command goes on from what {out} holds."):
        if unknown := sorted({*(means or ())} - {*CATEGORIES}):
            raise DataError(f"There is no category {unknown[0]}; choose of {', '.join(CATEGORIES)}.")
        training.train_probe(
            data,
            load_encoder(encoder, device=device),
            out,
            kind=kind,
            embeddings=embeddings,
            means=ordered(cast("list[Category]", means or [])),
            fractions=hold_outs.FRACTIONS if curve else (1.0,),
            seed=seed,
        )
    say(f"Wrote {out / training.CARD}. To use it: kidsnanny weights add {out / training.CARD}")


def _pictures(
    data: Path | None, columns: Path | None, split: str, unseen: str, vocabulary: Path | None, seed: int
) -> "TrainingPictures | None":
    from kidsnanny.evaluation.graphs.graph_data import DEFAULT_COLUMNS, ColumnMap
    from kidsnanny.stage1.student.vocabulary import Vocabulary
    from kidsnanny.training.student.training_pictures import stored_pictures

    if data is None:
        if other := [name for name, given in {"--columns": columns, "--vocabulary": vocabulary}.items() if given]:
            raise DataError(f"{other[0]} says something of --data, and there is none; give --data, or leave it out.")
        return None
    return stored_pictures(
        data,
        columns=ColumnMap.load(columns) if columns else DEFAULT_COLUMNS,
        split=split,
        unseen=unseen,
        vocabulary=Vocabulary.load(vocabulary) if vocabulary else None,
        seed=seed,
    )
