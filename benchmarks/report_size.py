"""The HTML report of many pictures: its size, the memory that it takes to write, and how fast a browser is with it.

    pip install '.[test]'          # and Debian's chromium and chromium-driver
    python benchmarks/report_size.py [--pictures 10000] [--repeats 7]

The verdicts are those of the real pipeline on drawn pictures, with labels, reasons and text in a mix like an album's:
2 % unsafe, 6 % for review, 5 % with something noted, three in ten with one to twelve lines of text. They go through
`VerdictReport` in a process of its own, without models, so that its peak memory is the report's.

A headless Chromium with a fresh profile opens the page in each repeat. Times are the page's own: until the first
contentful paint, until the end of the load event, and for the first search right after it; then a second search and a
filter by cause, each until the frame after it is painted; then the safe ones are unfolded and scrolled to their end.

Writes `benchmarks/results/report_size-HARDWARE.json`.
"""

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardware import hardware
from PIL import Image, ImageDraw

from kidsnanny import Pipeline, Verdict, __version__
from kidsnanny.records import Box, NotInspected, Reason, TextLine
from kidsnanny.reports.verdict_report import VerdictReport

DRAWN = 60
"""Different pictures; they are repeated under other names."""
SIZE = (640, 480)
WORDS = (
    "the rain had stopped before anyone looked up and the garden smelled of earth again while two children counted "
    "snails under a wooden table and their aunt read the last page of a long letter aloud"
).split()

IN_PAGE = """
const done = arguments[arguments.length - 1];
const painted = () => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
const timed = async (act) => {
  const start = performance.now();
  act();
  const script = performance.now() - start;
  await painted();
  return [script, performance.now() - start];
};
const search = document.getElementById("search");
const find = (text) => () => {
  search.value = text;
  search.dispatchEvent(new Event("input"));
};
const cause = document.getElementById("cause");
(async () => {
  const found = {};
  const navigation = performance.getEntriesByType("navigation")[0];
  found.first_contentful_paint_ms = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  found.load_ms = navigation.loadEventEnd;
  [found.first_search_script_ms, found.first_search_ms] = await timed(find("snails"));
  found.found = document.getElementById("shown").textContent;
  [found.next_search_script_ms, found.next_search_ms] = await timed(find("garden"));
  find("")();
  [found.filter_script_ms, found.filter_ms] = await timed(() => {
    cause.selectedIndex = 1;
    cause.dispatchEvent(new Event("change"));
  });
  cause.selectedIndex = 0;
  cause.dispatchEvent(new Event("change"));
  const safe = document.querySelector(".safe .group");
  [found.unfold_safe_script_ms, found.unfold_safe_ms] = await timed(() => safe.click());
  [found.to_the_end_script_ms, found.to_the_end_ms] = await timed(() => scrollTo(0, document.body.scrollHeight));
  await painted();
  found.rows_drawn = document.querySelectorAll("article").length;
  done(found);
})();
"""


def draw(folder: Path) -> list[Path]:
    """Pictures of coloured shapes."""
    paths = []
    for number in range(DRAWN):
        chance = random.Random(number)
        image = Image.new("RGB", SIZE, tuple(chance.randrange(256) for _ in range(3)))
        pen = ImageDraw.Draw(image)
        for _ in range(25):
            x, y, side = chance.randrange(SIZE[0]), chance.randrange(SIZE[1]), chance.randrange(20, 200)
            colour = tuple(chance.randrange(256) for _ in range(3))
            (pen.ellipse if chance.random() < 0.5 else pen.rectangle)((x, y, x + side, y + side), fill=colour)
        paths.append(folder / f"{number:03}.jpg")
        image.save(paths[-1], quality=85)
    return paths


def mixed(base: Verdict, number: int) -> Verdict:
    """The same verdict under another name, with a label and a text."""
    chance = random.Random(number)
    kind = chance.random()
    update: dict[str, Any] = {"source": f"album/2024-{number % 12 + 1:02}/IMG_{number:05}.jpg"}
    if kind < 0.08 or chance.random() < 0.3:
        rows = range(chance.randint(1, 12))
        said = [" ".join(chance.choices(WORDS, k=chance.randint(2, 8))) for _ in rows]
        update["text"] = tuple(
            TextLine(text=text, confidence=0.97, box=Box(40, 30 + 36 * row, 600, 56 + 36 * row))
            for row, text in enumerate(said)
        )
    lines = update.get("text", ())
    if kind < 0.02:
        score = round(chance.uniform(0.7, 1), 3)
        by: dict[str, Any] = {"score": score, "what": lines[0].text, "words": tuple(lines[0].text.split()[:1])}
        found = Reason(category="harassment", channel="text", source="detector", box=lines[0].box, **by)
        update |= {"label": "unsafe", "action": "block", "reasons": (found,)}
        update["scores"] = {**base.scores, "harassment": score}
    elif kind < 0.03:
        score = round(chance.uniform(0.4, 0.7), 3)
        seen = {"what": "FEMALE_BREAST_EXPOSED", "box": Box(100, 80, 300, 260)}
        found = Reason(category="nudity", channel="image", source="detector", score=score, **seen)
        update |= {"label": "review", "action": "warn", "reasons": (found,)}
        update["scores"] = {**base.scores, "nudity": score}
    elif kind < 0.08:
        why = "text on 4.2% of the frame could not be read" if kind < 0.065 else "text in Thai script"
        missed = NotInspected(part="text", reason=why, frame=0)
        update |= {"label": "review", "action": "warn", "not_inspected": (missed,)}
    elif kind < 0.13:
        update["noted"] = (NotInspected(part="text", reason="text in Greek script", frame=0, minor=True),)
    return base.model_copy(update={"label": "safe", "action": "show", "reasons": (), "not_inspected": ()} | update)


def verdicts(folder: Path, count: int) -> Iterator[tuple[Path, Verdict]]:
    """As many as wanted, one at a time."""
    bases = [Verdict.from_json(line) for line in (folder / "bases.jsonl").read_bytes().splitlines()]
    paths = sorted(folder.glob("*.jpg"))
    for number in range(count):
        yield paths[number % DRAWN], mixed(bases[number % DRAWN], number)


def peak_memory() -> int:
    """Kilobytes that this process has had resident at most; `ru_maxrss` would count its parent's from before exec."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def write(folder: Path, count: int, originals: bool) -> dict[str, Any]:
    """Write the report in this process: its seconds, bytes and memory."""
    first = next(verdicts(folder, 1))
    with VerdictReport(folder / "warm.html") as report:
        report.add(*first)
    before = peak_memory()
    path = folder / f"report-{count}{'-originals' if originals else ''}.html"
    start = time.perf_counter()
    with VerdictReport(path, originals=originals) as report:
        for source, verdict in verdicts(folder, count):
            report.add(source, verdict)
        added = time.perf_counter()
    ended = time.perf_counter()
    peak = peak_memory()
    return {
        "pictures": count,
        "bytes": path.stat().st_size,
        "seconds_to_add": round(added - start, 2),
        "seconds_to_finish": round(ended - added, 2),
        "peak_rss_mb": round(peak / 1024, 1),
        "peak_rss_mb_above_one_picture": round((peak - before) / 1024, 1),
    }


def renderers(root: int) -> float:
    """Megabytes of the renderers below a process that are theirs alone: the largest is the page's."""
    parents: dict[int, int] = {}
    sizes: dict[int, float] = {0: 0.0}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if b"--type=renderer" in (entry / "cmdline").read_bytes():
                lines = (entry / "smaps_rollup").read_text().splitlines()
                sizes[int(entry.name)] = sum(int(one.split()[1]) for one in lines if one.startswith("Private_")) / 1024
        except (OSError, ValueError):
            continue  # it has ended

    def below(process: int) -> bool:
        while process and process != root:
            process = parents.get(process, 0)
        return process == root

    return max(size for process, size in sizes.items() if not process or below(process))


def opened(path: Path) -> dict[str, Any]:
    """What a fresh Chromium measures in the page."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        quiet = "headless no-sandbox disable-gpu no-first-run disable-background-networking disable-sync"
        for flag in (*quiet.split(), f"user-data-dir={profile}", "window-size=1280,900"):
            options.add_argument(f"--{flag}")
        service = Service("/usr/bin/chromedriver")
        chrome = webdriver.Chrome(service=service, options=options)
        try:
            chrome.get(path.as_uri())
            chrome.set_script_timeout(60)
            found: dict[str, Any] = chrome.execute_async_script(IN_PAGE)
            chrome.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
            chrome.execute_cdp_cmd("Performance.enable", {})
            metrics = {
                one["name"]: one["value"] for one in chrome.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            }
            found["js_heap_mb"] = metrics["JSHeapUsedSize"] / 2**20
            found["renderer_private_mb"] = renderers(service.process.pid)
            return found
        finally:
            chrome.quit()


def spread(values: list[Any]) -> Any:
    """Median, smallest and largest of numbers; of texts the one that all are."""
    if isinstance(values[0], str):
        (only,) = set(values)
        return only
    return {part: round(of(values), 1) for part, of in (("median", statistics.median), ("min", min), ("max", max))}


def main() -> None:
    """Draw, look, write, open, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/report_size-HARDWARE.json")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--originals", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        print(json.dumps(write(options.write, options.pictures, options.originals)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Pipeline() as pipeline:
            bases = [verdict.model_dump_json() for verdict in pipeline.stream(draw(folder))]
        (folder / "bases.jsonl").write_text("\n".join(bases) + "\n", "utf-8")

        def written(count: int, *more: str) -> dict[str, Any]:
            command = [sys.executable, __file__, "--write", name, "--pictures", str(count), *more]
            result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            return result

        tenth = options.pictures // 10
        result = {
            "hardware": hardware(),
            "version": __version__,
            "written": [written(tenth), written(options.pictures)],
            "written_with_originals": written(tenth, "--originals"),
        }
        repeats = [opened(folder / f"report-{options.pictures}.html") for _ in range(options.repeats)]
        result["repeats"] = options.repeats
        result["in_chromium"] = {key: spread([one[key] for one in repeats]) for key in repeats[0]}
    out = options.out or Path(__file__).parent / "results" / f"report_size-{hardware()}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
