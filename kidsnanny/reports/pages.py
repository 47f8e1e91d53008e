"""HTML pages that load nothing: the Jinja2 environment that all reports share.

Everything that a template inserts is escaped, and every control, bidi or other invisible character in it is spelled
out. What somebody else wrote goes through `untrusted` as well, so that it cannot reorder what stands around it. Should
markup get in all the same, the Content-Security-Policy of `page.html.j2` allows no script or style but ours, which it
names by their hashes, and loads nothing but `data:` pictures.
"""

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.environment import TemplateStream
    from markupsafe import Markup


def stream(template: str, **values: object) -> "TemplateStream":
    """A page piece by piece; `dump` writes it into a file.

    Args:
        template: its path below the package `kidsnanny`.
        values: its variables; an iterator among them is consumed while the page is written.

    Raises:
        jinja2.UndefinedError: the template uses a variable that is not given.
    """
    return environment().get_template(template).stream(values)


def render(template: str, **values: object) -> "Markup":
    """A page or a part of one, as markup that other templates insert as it is. See `stream`."""
    from markupsafe import Markup

    return Markup(environment().get_template(template).render(values))  # what the template inserted is escaped


@cache
def environment() -> "Environment":
    """Templates anywhere in the package, named by their path below `kidsnanny`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("kidsnanny", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "untrusted": untrusted,
        "words": words,
        "script_json": script_json,
        "fixed": fixed,
        "checksum": checksum,
    }
    made.globals |= {"asset": asset, "plural": plural, "visible": visible}
    return made


def _finalize(value: Any) -> Any:
    return value if hasattr(value, "__html__") else visible(value)


def visible(text: object) -> str:
    """Every control, bidi and other invisible character as [U+XXXX], except the joiners in emoji."""
    if isinstance(text, str) and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else f"[U+{ord(c):04X}]" for c in str(text))


def untrusted(text: object) -> "Markup":
    """Text that somebody else wrote, unable to reorder what stands around it."""
    from markupsafe import Markup

    return Markup("<bdi>{}</bdi>").format(visible(text))


def script_json(value: object) -> "Markup":
    """JSON for a `<script type="application/json">`: no character in it can end the element, begin a comment or is
    invisible."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] if c != "\x7f" else r"\u007f" for c in text)
    return Markup(text)


def words(name: str) -> str:
    """A name with spaces for its underscores."""
    return name.replace("_", " ")


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def plural(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def asset(*names: str) -> "Markup":
    """Our own style sheets or scripts, one after the other; each is named like a template."""
    from markupsafe import Markup

    root = files("kidsnanny")
    return Markup("".join(root.joinpath(*name.split("/")).read_text("utf-8") for name in names))


def checksum(text: str) -> str:
    """The hash by which a Content-Security-Policy names a script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
