"""Puts the repository's pages into the site that `mkdocs build` makes.

mkdocs reads one folder. Ours lie in `docs/` and beside it, and link to each
other and to scripts as they do in a clone; so the site has them all where the
clone has them. README.md is thereby the home page. The page on the Python
names is made here, from `mtssl_tf/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
import pathlib

from mkdocs.config import defaults
from mkdocs.structure import files as files_lib

import mtssl_tf

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PATTERNS = (
    "*.md",
    "docs/**/*",
    "examples/*",
    "Dockerfile",
    "LICENSE",
)
_API_PAGE = "docs/api.md"
_API_HEAD = """# Python

What `import mtssl_tf` gives. Names are imported at their first use, since
TensorFlow takes seconds.
"""


def on_files(
    files: files_lib.Files, config: defaults.MkDocsConfig
) -> files_lib.Files:
    """Returns the site's files: the theme's, and all of ours.

    mkdocs calls it by this name.
    """
    kept = [file for file in files if file.src_dir != config.docs_dir]
    ours = [
        files_lib.File.generated(config, name, abs_src_path=str(_ROOT / name))
        for name in _names()
    ]
    api = files_lib.File.generated(config, _API_PAGE, content=_api_page())
    return files_lib.Files([*kept, *ours, api])


def _names() -> Iterator[str]:
    for pattern in _PATTERNS:
        for path in sorted(_ROOT.glob(pattern)):
            if path.is_file():
                yield str(path.relative_to(_ROOT))


def _api_page() -> str:
    """Returns a page with a directive of mkdocstrings for each name."""
    entries = []
    for name, (module, attribute) in sorted(mtssl_tf._HOMES.items()):
        options = f"    options:\n      heading: mtssl_tf.{name}\n"
        entries.append(f"\n::: {module}.{attribute}\n{options}")
    return _API_HEAD + "".join(entries)
