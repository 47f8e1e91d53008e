"""Text into HTML that loads nothing: what our reports share."""

import base64
import hashlib
import html


def checksum(text: str) -> str:
    """What a Content-Security-Policy calls the script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def escape(text: object) -> str:
    """Escaped, with every control, bidi and other invisible character spelled out (but the joiners in emoji)."""
    visible = (c if c.isprintable() or c in "\u200c\u200d" else f"[U+{ord(c):04X}]" for c in str(text))
    return html.escape("".join(visible), quote=True)


def untrusted(text: object) -> str:
    """Escaped, and unable to reorder what stands around it."""
    return f"<bdi>{escape(text)}</bdi>"


def words(name: str) -> str:
    return escape(name.replace("_", " "))


def plural(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def fold(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>{content}</details>\n"
