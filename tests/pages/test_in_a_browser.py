"""Both pages in headless Chromium: nothing overflows, no picture is broken.

Needs the package playwright, and a Chromium: its own (`playwright install
chromium`), one on PATH, or the one that MTSSL_CHROMIUM names.
"""

import os
import shutil

import pytest
import written_run
import written_tables

from mtssl_tf import report
from mtssl_tf.pages import tables_record
from tools.reproduction import record

pytestmark = pytest.mark.long

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LONG = "a_name_that_goes_on_and_on_without_a_break_" * 4


@pytest.fixture(scope="module")
def browser():
    """A browser, or the reason why there is none."""
    api = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("MTSSL_CHROMIUM") or next(
        filter(None, map(shutil.which, _NAMES)), None
    )
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox"]
            )
        except api.Error as error:
            reason = str(error).strip().splitlines()[0]
            pytest.skip(f"no Chromium; set MTSSL_CHROMIUM: {reason}")
        yield opened
        opened.close()


def _page_of_a_run(tmp_path_factory):
    """Writes one with long words everywhere, many dots, a mix and an alarm."""
    folder = tmp_path_factory.mktemp("runs") / _LONG[:120]
    message = {"step": 7, "split": "health", "message": f"{_LONG} is wrong."}
    cosines = {"step": 8, "split": "cosines", "cosines": {_LONG: -0.51234567}}
    written = [
        *written_run.lines([4e13, *([2.0, 0.5] * 60)], [1.9, 0.6, 9.0]),
        *written_run.lines(task="task_of_another_version"),
        message,
        cosines,
    ]
    written_run.write(folder, written, command=f"train --images=/{_LONG * 3}")
    (picture,) = (folder / "pictures").iterdir()
    shutil.copy(picture, folder / "pictures" / "mixing_weights.png")
    return folder, 2


def _page_of_tables(tmp_path_factory):
    """Writes one with every cell, figure and picture."""
    options = written_tables.options(tmp_path_factory.mktemp("tables"))
    written_tables.write(options)
    found = record.build(written_tables.PARTS, options, lambda each: "")
    tables_record.save(found, options.out)
    return options.out, 5


@pytest.fixture(scope="module", params=[_page_of_a_run, _page_of_tables])
def page_of(request, tmp_path_factory):
    """Address of a page, and how many pictures it has."""
    folder, num_pictures = request.param(tmp_path_factory)
    report.write_report(folder)
    return (folder / report.FILE).as_uri(), num_pictures


@pytest.mark.parametrize("width_px", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_whole(browser, page_of, width_px, scheme):
    address, num_pictures = page_of
    page = browser.new_page(
        viewport={"width": width_px, "height": 800}, color_scheme=scheme
    )
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") == width_px
    # Nothing is wider than its place, but for what may be scrolled.
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(e =>"
        " e.getBoundingClientRect().right > innerWidth + 1"
        " && !e.closest('.wide')).map(e => e.outerHTML.slice(0, 90))"
    )
    assert wide == []
    # No column is so narrow that its words stand letter under letter.
    heights = page.evaluate(
        "[...document.querySelectorAll('.results th, .results td')]"
        ".map(e => e.getBoundingClientRect().height)"
    )
    assert max(heights, default=0) < 100
    sizes = page.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(sizes) == num_pictures and all(sizes)
    ink, paper = page.evaluate(
        "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
    )
    assert _light(paper) > 0.9 if scheme == "light" else _light(paper) < 0.2
    assert abs(_light(ink) - _light(paper)) > 0.6
    assert all(url == address or url.startswith("data:") for url in asked)
    assert said == []
    page.close()


def _light(color):
    """Returns the mean of rgb(r, g, b), in [0, 1]."""
    values = color.removeprefix("rgb(").removesuffix(")").split(",")
    return sum(map(int, values)) / 3 / 255
