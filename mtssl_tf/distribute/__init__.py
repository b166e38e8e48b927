"""Training over many machines: synchronous inside a task, free between tasks.

The paper's section 4 and Fig. 2, on Ray. Each task is a group of workers that
sum their gradients with `MultiWorkerMirroredStrategy`. The trunk lives in a
store outside all groups, which keeps one RMSProp a task and applies a group's
gradient as soon as it is whole. `docs/distributed.md` is the manual.

    options -> shard -> coordinator -> step -> worker     plain classes
        -> actors -> group -> run                         on Ray
"""
