"""Reports as tests read them: parsed, attacked with markup, and opened in a browser."""

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

VOID = {"meta", "link", "img", "input"}


LOADING = {
    "src",
    "href",
    "srcset",
    "poster",
    "action",
    "formaction",
    "data",
    "xlink:href",
    "background",
    "ping",
    "style",
}


ATTACKS = {
    "script": "<script>alert(1)</script>",
    "handler": "\" onerror='alert(1)' x=\"",
    "style": "</style><style>*{display:none}</style>",
    "title": "</title></bdi></svg></article><iframe src=//evil.example>",
    "comment": "<!-- ]]> --> &lt;b&gt; &amp;amp; &#60;",
    "template": "$cards ${script} {number} %s",
    "image": "<img src=x onerror=alert(1)>",
    "bidi": "gnp.\u202egpj\u2066x\u2069\u200f",
    "control": "a\x00b\x1b[31m\x85\u2028\n\tc\ufeff\u00ad",
    "unassigned": "\ue000\U000e0041\ufffe",
}


class Parsed(HTMLParser):
    """The tags with their attributes, in order, the text outside of style and script, the JSON and the data URIs."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self.data: list[str] = []
        self._open: list[str] = []
        self.html = path.read_text("utf-8")
        self.feed(self.html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script" and self.tags[-1][1].get("type") == "application/json":
            self.data.append(data)
        elif inside in {"style", "script"}:
            self.raw[inside] = data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def index(self) -> dict[str, Any]:
        """What a verdict report sorts and filters by."""
        found: dict[str, Any] = json.loads(self.data[0])
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The verdicts of a verdict report, in its order."""
        return [json.loads(line) for block in self.data[1:] for line in block.split("\n")]

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        """What markup can change and text cannot."""
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]

    @property
    def encoded(self) -> list[bytes]:
        """The files of the thumbnails."""
        return [base64.b64decode(str(image["src"]).partition(",")[2]) for image in self.all("img")]

    @property
    def thumbnails(self) -> list[Image.Image]:
        return [Image.open(io.BytesIO(data)) for data in self.encoded]

    @property
    def mosaics(self) -> list[Image.Image]:
        """Those of a verdict report, whose script draws them."""
        packed = [row["mosaic"] for row in self.rows if "mosaic" in row]
        return [Image.frombytes("RGB", (width, height), base64.b64decode(data)) for width, height, data in packed]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Headless Chromium that keeps its console and all its requests."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync"
    flags = [*quiet.split(), "disable-component-update", "hide-scrollbars", f"user-data-dir={tmp_path / 'chromium'}"]
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(service=Service(driver), options=options)  # a given driver: nothing is looked up
    try:
        yield chrome
    finally:
        chrome.quit()


def opened(browser: Any, path: Path, width: int = 1280, scheme: str = "light", script: bool = True) -> Image.Image:
    """Open the report and take its picture."""
    size = {"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
    browser.get(path.as_uri())
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def requests(browser: Any) -> set[str]:
    """Scheme and host of whatever was asked for; chrome: is the browser's own first page."""
    log = " ".join(entry["message"] for entry in browser.get_log("performance"))
    urls = re.findall(r'"Network\.requestWillBeSent".*?"request":\{.*?"url":"(\w+:(?://[^/"]*)?)', log)
    return {url for url in urls if not url.startswith("chrome:")}
