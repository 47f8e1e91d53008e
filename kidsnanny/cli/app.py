"""The command line: `kidsnanny check`, `watch`, `decide`, `policy`, `eval`, `audit`, `subset`, `doctor`, `export`,
`weights`, `llm`, `train`."""

import sys
from typing import Annotated

import typer

from kidsnanny import __version__
from kidsnanny.cli.check import check
from kidsnanny.cli.console import Output, quiet_libraries
from kidsnanny.cli.dataset_audit import audit
from kidsnanny.cli.decide import decide_again
from kidsnanny.cli.doctor import doctor
from kidsnanny.cli.eval import evaluate
from kidsnanny.cli.export import export_weights
from kidsnanny.cli.llm import llm_app
from kidsnanny.cli.policies import policy_app
from kidsnanny.cli.subset import subset_app
from kidsnanny.cli.train import train_app
from kidsnanny.cli.watch import watch
from kidsnanny.cli.weights import weights_app

EXITS = (
    "Exit codes: 0 nothing flagged; 10 something flagged (this beats 11); 11 something could not be inspected; "
    "2 wrong usage; 3 a component could not be built; 4 the output could not be written; "
    "130 interrupted; 141 nobody reads the output; 143 ended by SIGTERM."
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="May a child of this age see this picture, and if not, why? Everything runs on this machine.",
    epilog="Example: kidsnanny check holiday-photos/",
)
app.command(epilog=EXITS)(check)
app.command()(watch)
app.command("decide", epilog=EXITS)(decide_again)
app.command()(doctor)
app.command("export")(export_weights)
app.command("eval")(evaluate)
app.command()(audit)
app.add_typer(policy_app, name="policy")
app.add_typer(train_app, name="train")
app.add_typer(weights_app, name="weights")
app.add_typer(llm_app, name="llm")
app.add_typer(subset_app, name="subset")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"kidsnanny {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. What libraries have to say of a picture is in its verdict, not on the terminal; a closed
    pipe ends the command quietly, and output that cannot be written with one sentence."""
    quiet_libraries()
    if sys.stderr:
        sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if sys.stdout:
        sys.stdout = output = Output.over(sys.stdout)
    else:  # closed; nothing that is printed goes anywhere
        output = None
    code: object = 0
    try:
        app()
    except SystemExit as ended:
        code = ended.code
    except OSError:
        if output is None or output.failure is None:
            raise
    lost = output.exit_code() if output else None
    sys.exit(code if lost is None else lost)  # type: ignore[arg-type]
