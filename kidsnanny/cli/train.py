"""`kidsnanny train`: the small models that kidsnanny ships."""

from pathlib import Path
from typing import Annotated

import typer

from kidsnanny.cli.console import Exit, exit_on_error, exit_without_extra

train_app = typer.Typer(no_args_is_help=True, help="Train the small models that kidsnanny ships.")


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
    steps: Annotated[int, typer.Option(min=1, help="Batches of 32 generated scenes.")] = 5_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the weights.")] = 0,
) -> None:
    r"""Train a tiny SenBen student on generated scenes; on two cores it takes half an hour.

    It learns comic drawings, not photographs: it shows how a student works. Needs `pip install 'kidsnanny\[student]'`.

    Example: kidsnanny train student --out my-student && KIDSNANNY_STUDENT=my-student kidsnanny check --profile senben
    --vision-only scene.png
    """
    with exit_without_extra("Training a student", "student"):
        from kidsnanny.training.student.train_student import train
    with exit_on_error(Exit.COMPONENT, interrupted=f"Interrupted; {out} holds the last saved student, if any."):
        train(out, steps=steps, seed=seed)
