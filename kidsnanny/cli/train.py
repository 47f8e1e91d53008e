"""`kidsnanny train`: the small models that kidsnanny ships."""

from pathlib import Path
from typing import Annotated

import typer

from kidsnanny.cli.console import Exit, exit_on_error, exit_without_extra

train_app = typer.Typer(no_args_is_help=True, help="Train the small models that kidsnanny ships.")


@train_app.command("text")
def train_text(
    data: Annotated[Path, typer.Option(help="Folder of *.csv.gz training files (see weights/README.md).")],
    out: Annotated[Path, typer.Option(help="Folder to write model.npz and card.toml to.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    r"""Train the text model from a folder of labelled text.

    Needs `pip install 'kidsnanny\[train]'`.

    Example: kidsnanny train text --data labelled-text/ --out my-text-model
    """
    from kidsnanny.training.text.train_text import train

    with exit_on_error(Exit.COMPONENT):
        train(data, out, seed=seed)


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
