"""One self-contained HTML page from templates: no network, no scripts."""

from __future__ import annotations

import base64
import functools
import pathlib
from typing import Any

import jinja2

from mtssl_tf import version

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"


def render(template: str, **values: Any) -> str:
    """Returns a page.

    Args:
        template: name of one that extends `base.html`.
        **values: for it. Texts are escaped.
    """
    text = _environment().get_template(template).render(values)
    # Names of files may hold bytes that are no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


def inlined(picture: pathlib.Path) -> str:
    """Returns a PNG file as the address of an <img>.

    Raises:
        OSError: it cannot be read.
    """
    data = base64.b64encode(picture.read_bytes()).decode()
    return f"data:image/png;base64,{data}"


def is_whole_png(path: pathlib.Path) -> bool:
    """Returns whether a PNG is there to its end: kills tore older ones."""
    if not path.is_file():
        return False
    contents = path.read_bytes()
    return contents.startswith(_PNG_START) and contents.endswith(_PNG_END)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = version.VERSION
    environment.filters["inlined"] = inlined
    return environment
