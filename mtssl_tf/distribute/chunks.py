"""How a flat vector of parameters is cut into messages and spread.

gRPC takes at most 4 MiB a message in TensorFlow's rpc server, so vectors
travel in chunks. A chunk always lives on the same shard of the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses

CHUNK_SIZE = 1_000_000  # floats; ours: with its envelope just below 4 MiB
TRUNK = "trunk"
VALUES = "values"
SLOTS = ("mean_square", "momentum")


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A part of a segment.

    Attributes:
        name: `SEGMENT/INDEX`.
        segment: `trunk`, or a task whose head is in the store.
        start: first float in the segment.
        stop: behind the last one.
        shard: of the store, that has this chunk.
    """

    name: str
    segment: str
    start: int
    stop: int
    shard: int


class ChunkLayout:
    """All chunks of a store."""

    def __init__(
        self,
        segments: Mapping[str, int],
        num_shards: int,
        chunk_size: int = CHUNK_SIZE,
    ) -> None:
        """Cuts segments, given by name and number of floats."""
        self.chunks: list[Chunk] = []
        self.segments = dict(segments)
        self.num_shards = num_shards
        for segment, size in segments.items():
            for index, start in enumerate(range(0, size, chunk_size)):
                self.chunks.append(
                    Chunk(
                        f"{segment}/{index}",
                        segment,
                        start,
                        min(start + chunk_size, size),
                        len(self.chunks) % num_shards,
                    )
                )

    def of_task(self, task: str) -> list[tuple[Chunk, slice]]:
        """Returns the chunks that a task updates, in order.

        Returns:
            Each with its place in the task's vector: the trunk and, where it
            is in the store, behind it the task's head.
        """
        behind_trunk = self.segments[TRUNK]
        return [
            (
                chunk,
                slice(chunk.start, chunk.stop)
                if chunk.segment == TRUNK
                else slice(
                    behind_trunk + chunk.start, behind_trunk + chunk.stop
                ),
            )
            for chunk in self.chunks
            if chunk.segment in (TRUNK, task)
        ]

    def on_shard(self, shard: int) -> list[Chunk]:
        """Returns the chunks of one shard."""
        return [chunk for chunk in self.chunks if chunk.shard == shard]

    def of_segment(self, segment: str) -> list[Chunk]:
        """Returns the chunks of one segment, in order."""
        return [chunk for chunk in self.chunks if chunk.segment == segment]

    def names(self, segment: str, tasks: Iterable[str]) -> list[str]:
        """Returns what is kept of a segment: `values`, and all its slots."""
        owners = tasks if segment == TRUNK else [segment]
        slots = [f"{task}/{slot}" for task in owners for slot in SLOTS]
        return [VALUES, *slots]
