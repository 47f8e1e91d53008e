"""What our client adds to a call of the judge: `OpenAIJudge.ask` beside a bare httpx call with the same body.

    python benchmarks/judge_overhead.py http://127.0.0.1:8000/v1 [--key KEY] [--n 400] [--out benchmarks/results]

Each call has a marker of its own, as in life, so the server computes the same share of both systems' prompts anew. They
take turns, call by call with one in flight, and 16 calls by 16 calls with 16. The bare call ends with the answer's JSON
as Python objects; ours, with probabilities. `client CPU` is the processor time of the calling thread: what a busy
machine does not blur. With a tiny model only the differences are worth reading: a real one takes longer over both.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from hardware import hardware

from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.judge.prompt import Question, fresh_marker
from kidsnanny.stage2.judge.serving import percentiles
from kidsnanny.stage2.untrusted import clean

GOAL = {"ratio": 1.1, "ms": 3.0}
BLOCK = 16
QUESTION = Question(
    "10-12",
    "picture 1280x720, 1 frame screened by nudenet-320n: nothing found",
    clean(["The school trip is on Friday,", "we meet at the gate at eight.", "Please bring a packed lunch."]),
)
Call = Callable[[], object]
Prepared = Callable[[], Call]


class Recorder(httpx.HTTPTransport):
    """Keeps the body of the last request."""

    body = b""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.body = request.content
        return super().handle_request(request)


def recorded(url: str, key: str | None) -> str:
    """The body that our client sends, with `MARKER` where its marker stands."""
    recorder = Recorder()
    judge = OpenAIJudge(url, api_key=key, transport=recorder)
    judge.ask(QUESTION)
    if "letters" not in judge.model_id.revision:
        sys.exit(f"{url}: the server does not know the form that costs least ({judge.model_id}); measure with vLLM.")
    judge.close()
    body = recorder.body.decode()
    marker = json.loads(body)["messages"][1]["content"].split("after the marker ")[1].split()[0]
    return body.replace(marker, "MARKER")


def bare(url: str, key: str | None, template: str) -> Prepared:
    """The same call without us."""
    client = httpx.Client(
        headers={"Authorization": f"Bearer {key}"} if key else {},
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=16),
        timeout=60,
        trust_env=False,
    )

    def prepared() -> Call:
        body = json.loads(template.replace("MARKER", fresh_marker()))
        return lambda: client.post(f"{url}/chat/completions", json=body).raise_for_status().json()

    return prepared


def ours(url: str, key: str | None) -> Prepared:
    judge = OpenAIJudge(url, api_key=key)
    return lambda: lambda: judge.ask(QUESTION)


def timed(prepared: Prepared) -> tuple[float, float]:
    """Wall time and the thread's processor time of one call, in ms."""
    call = prepared()
    start, before = time.perf_counter(), time.thread_time()
    call()
    return (time.perf_counter() - start) * 1e3, (time.thread_time() - before) * 1e3


def measured(systems: dict[str, Prepared], n: int, in_flight: int) -> dict[str, Any]:
    """Latencies in ms of `n` calls of each system, the systems in turn; after 20 calls of each that do not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
    block = BLOCK if in_flight > 1 else 1
    with ThreadPoolExecutor(in_flight) as pool:
        for system in systems.values():
            list(pool.map(timed, [system] * 20))
        for turn in range(-(-n // block)):
            for name, system in list(systems.items())[:: 1 if turn % 2 else -1]:
                times[name] += pool.map(timed, [system] * block)
    row: dict[str, Any] = {"in flight": in_flight, "n": len(times["bare"])}
    for name, spent in times.items():
        p50, p95 = percentiles([wall for wall, _ in spent])
        cpu = statistics.median(cpu for _, cpu in spent)
        row[name] = {"p50": round(p50, 2), "p95": round(p95, 2), "client CPU p50": round(cpu, 2)}
    for p in ("p50", "p95"):
        row[f"{p} ratio"] = round(row["ours"][p] / row["bare"][p], 3)
        row[f"{p} difference ms"] = round(row["ours"][p] - row["bare"][p], 2)
    if in_flight == 1:
        row["median of the paired differences ms"] = round(
            statistics.median(mine - theirs for (mine, _), (theirs, _) in zip(*times.values(), strict=True)), 2
        )
    row["goal met at p50"] = row["p50 ratio"] <= GOAL["ratio"] and row["p50 difference ms"] <= GOAL["ms"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--key")
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    url, key = arguments.url.rstrip("/"), arguments.key
    model = OpenAIJudge(url, api_key=key).models()[0]
    server = httpx.get(f"{url.removesuffix('/v1')}/version", trust_env=False).json()["version"]
    systems = {"ours": ours(url, key), "bare": bare(url, key, recorded(url, key))}
    result = {
        "hardware": hardware(),
        "versions": {name: version(name) for name in ("kidsnanny", "httpx")},
        "server": f"vLLM {server}",
        "model": Path(model).name,
        "goal": GOAL,
        "latency ms": [measured(systems, arguments.n, in_flight) for in_flight in (1, 16)],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / f"judge_overhead-{hardware()}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(target.read_text("utf-8"), target)


if __name__ == "__main__":
    main()
