"""Console scripts: `mtssl-train` does what `python -m mtssl_tf.train` does.

By the same way: a command takes end signals in its first lines, before its
imports, and is `__main__` to the processes that it spawns.
"""

from __future__ import annotations

import functools
import runpy


def _run(module: str) -> None:
    runpy.run_module(module, run_name="__main__", alter_sys=True)


train = functools.partial(_run, "mtssl_tf.train")
export = functools.partial(_run, "mtssl_tf.export")
embed = functools.partial(_run, "mtssl_tf.embed")
masks = functools.partial(_run, "mtssl_tf.masks")
doctor = functools.partial(_run, "mtssl_tf.doctor")
report = functools.partial(_run, "mtssl_tf.report")
