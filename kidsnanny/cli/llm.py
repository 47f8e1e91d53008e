"""`kidsnanny llm`: serve the judge's model, check a server that serves it."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kidsnanny.cli.console import Exit, exit_on_error, exit_without_extra, fail, say, stderr, utf8_output
from kidsnanny.errors import DataError
from kidsnanny.policy import DEFAULT, Policy
from kidsnanny.policy_files import toml
from kidsnanny.stage2.judge import serving
from kidsnanny.stage2.judge.openai_judge import URL
from kidsnanny.stage2.judge.serving import CONTEXT, ENVIRONMENT, MODEL, command, is_loopback
from kidsnanny.stage2.judge.serving import serve as run_vllm

Key = Annotated[
    str | None,
    typer.Option("--api-key", metavar="KEY", envvar="KIDSNANNY_JUDGE_KEY", help="The key that the server asks for."),
]


llm_app = typer.Typer(no_args_is_help=True, help="The judge's language model: serve it, check a server.")


@llm_app.command("serve")
def serve_model(
    model_and_flags: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL [-- FLAG…]",
            help=f"A model's folder or its name on the Hugging Face Hub, by default {MODEL}, and flags of vLLM's own; "
            "with --engine llama a .gguf file or the name of a judge's card, by default qwen2.5-coder-1.5b.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen. Beyond this machine only with a key, and behind a firewall.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8000,
    api_key: Key = None,
    max_model_len: Annotated[int, typer.Option(min=2048, help="Tokens that prompt and answer may have.")] = CONTEXT,
    gpu_memory_utilization: Annotated[
        float | None, typer.Option(min=0.05, max=1.0, help="Share of the GPU's memory; by default vLLM's own.")
    ] = None,
    engine: Annotated[Literal["vllm", "llama"], typer.Option(help="llama: llama.cpp, which needs no GPU.")] = "vllm",
    threads: Annotated[int | None, typer.Option(min=1, help="Of llama; by default one for each core.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the command instead of running it.")] = False,
) -> None:
    r"""Serve the judge's model, set up as the judge needs it. Runs until you stop it.

    vLLM needs a GPU and `pip install 'kidsnanny\[vllm]'`, in an environment of its own, since it pins its torch. The
    weights come from the Hugging Face Hub on the first start.

    --engine llama needs neither: `pip install 'kidsnanny\[llama]'` brings llama.cpp, which serves a GGUF file, or a
    judge's card after `kidsnanny weights pull`, on this machine alone. Set KIDSNANNY_JUDGE_KEY to a key of yours.

    Ollama speaks the same API: OLLAMA_CONTEXT_LENGTH=16384 ollama serve (then the URL is http://127.0.0.1:11434/v1;
    as a rule, its answers are JSON)

    Example: kidsnanny llm serve --engine llama qwen2.5-coder-1.5b

    Example: kidsnanny llm serve Qwen/Qwen2.5-14B-Instruct --port 8001 -- --tensor-parallel-size 2
    """
    extra = list(model_and_flags or [])
    if engine == "llama":
        if show or gpu_memory_utilization is not None:
            fail(Exit.USAGE, "--print and --gpu-memory-utilization are vLLM's; leave them out with --engine llama.")
        _serve_llama(extra, host, port, api_key, max_model_len, threads)
        return
    model = extra.pop(0) if extra and not extra[0].startswith("-") else MODEL
    if extra and not extra[0].startswith("-"):
        fail(Exit.USAGE, f"{extra[0]}: one model is served at a time; vLLM's own flags come after --.")
    if not is_loopback(host):
        if not api_key:
            fail(Exit.USAGE, f"{host}: other machines could use the model; set KIDSNANNY_JUDGE_KEY to a key of yours.")
        stderr.print("vLLM asks for the key only below /v1: let a firewall close its other paths.")
    arguments = command(model, host=host, port=port, context=max_model_len, memory=gpu_memory_utilization, extra=extra)
    if show:
        key = ['VLLM_API_KEY="$KIDSNANNY_JUDGE_KEY"'] if api_key else []
        print(*(f"{name}={value}" for name, value in ENVIRONMENT.items()), *key, shlex.join(arguments))
        return
    sys.stdout.flush()
    with exit_on_error():
        run_vllm(arguments, api_key)


def _serve_llama(named: list[str], host: str, port: int, key: str | None, context: int, threads: int | None) -> None:
    from kidsnanny.stage2.judge import llama_server

    if len(named) > 1:
        fail(Exit.USAGE, f"{named[1]}: --engine llama serves one model, and takes no flags; leave it out.")
    if host != "127.0.0.1":
        fail(Exit.USAGE, f"{host}: --engine llama serves this machine alone; leave --host out.")
    if not key:
        fail(Exit.USAGE, "The server asks for a key; set KIDSNANNY_JUDGE_KEY to one of yours.")
    with exit_on_error(interrupted="The server has stopped."):
        path, name = llama_server.model_file(named[0] if named else llama_server.MODEL)
        say(f"{name}: loading {path}, and reading the part of the prompt that never changes")
        server = llama_server.start(path, name, key, port=port, context=context, threads=threads)
        say(f"{name} answers at {server.listening_address}/v1")
        llama_server.wait()


@llm_app.command("check")
def check_server(
    url: Annotated[
        str, typer.Argument(metavar="[URL]", envvar="KIDSNANNY_JUDGE_URL", help="Of the server, as a rule up to /v1.")
    ] = URL,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model that must be served; by default the first one.")
    ] = None,
    api_key: Key = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often both questions are asked.")] = 20,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds for an answer; a pipeline gives 20 if its profile says nothing else.")
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with all figures.")] = False,
) -> None:
    """Check that a server can be the judge: what it serves, how it answers, how fast and how steadily.

    It is asked about a note on a school trip, so nothing of yours is sent. Exit code 0 when every check
    passes, 3 when one fails.

    Example: kidsnanny llm check http://127.0.0.1:8000/v1
    """
    from kidsnanny.stage2.judge.openai_judge import OpenAIJudge

    with exit_on_error(Exit.USAGE):
        judge = OpenAIJudge(url, model, api_key=api_key, timeout=timeout, pause=0.0)
    findings = []
    for finding in serving.check_server(judge, model, repeats):
        findings.append(finding)
        if not as_json:
            say(f"{'ok  ' if finding.well else 'FAIL'} {finding.what}: {finding.detail}")
    judge.close()
    well = all(finding.well for finding in findings)
    if as_json:
        rows = [finding._asdict() for finding in findings]
        utf8_output()
        print(json.dumps({"url": judge.url, "well": well, "findings": rows}, indent=1, ensure_ascii=False))
    raise typer.Exit(Exit.CLEAR if well else Exit.COMPONENT)


@llm_app.command()
def bands(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of `kidsnanny eval` with a judge.")],
    system: Annotated[str, typer.Option(metavar="NAME", help="Which of the run's systems has the judge.")],
    policy: Annotated[str, typer.Option(metavar="NAME|FILE", help="Whose thresholds, ages and grey band count.")] = (
        DEFAULT
    ),
    most: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pictures about which the judge may be asked.")
    ] = 0.1,
) -> None:
    """Find for which scores the judge is worth its time, and print them as a policy has them.

    Evaluate a profile with a judge on labelled pictures like yours, which you report nothing on: an evaluation asks the
    judge about every one of them. From the answers this takes the bands of scores in which the judge puts most
    pictures right, less those that it puts wrong, while it is asked about no larger share than you allow.

    Example: kidsnanny llm bands run-validation --system standard --most 0.05
    """
    with exit_on_error(), exit_without_extra("This", "eval"):
        from kidsnanny.evaluation.judge_bands import choose_bands
        from kidsnanny.evaluation.run_folder import inspections, read

        seen, rules = inspections(run, system), Policy.load(policy)
        rows = [lines for name, lines in read(run).predictions.items() if name.partition(":")[0] == system]
        labels = {line.id: line.unsafe for lines in rows for line in lines}
        if not labels.keys() & seen.keys():
            raise DataError(f"{run}: no system of ours is called {system} there; --system takes one that has a judge.")
        found = choose_bands([(labels[one], seen[one]) for one in seen if one in labels], rules, most)
    share = found.asked / found.pictures
    say(f"# On {found.pictures} pictures the judge is asked about {found.asked} ({share:.1%}).")
    say(f"# Because of it {found.found} more harmful ones are held back and {found.missed} fewer,")
    say(f"# and {found.freed} more harmless ones are safe and {found.held} fewer.")
    if found.gain <= 0:
        say("# It puts no more right than wrong, so it is not worth asking.")
    say("[judge]")
    say(f'escalation = "{"auto" if found.gain > 0 else "never"}"')
    if found.gain > 0:
        say(f"image_grey = {toml(found.image_grey)}")
        say(f"text_asked = {toml(found.text_asked)}")
