"""Where the launcher was: names the one command that took its place."""

from __future__ import annotations

import sys

INSTEAD = (
    "A run on several machines, or on several processes of this one, is now "
    "one command: python -m mtssl_tf.train ... --cluster=local|auto|HOST:PORT "
    "--workers=N (docs/distributed.md). It goes on from your run directory."
)

if __name__ == "__main__":
    print(f"mtssl_tf.distribute.launch: {INSTEAD}", file=sys.stderr)
    sys.exit(2)
