"""Where the steps of a run store their artifacts."""

import re

# The folder of an iteration of a loop in a local run, above those of its steps.
_ITERATION = re.compile(r"for-loop-\d+-iteration-\d+")


def split_step(path: str) -> tuple[str, list[str]]:
    """Return the step of a file of a run, and the other names of its path.

    KFP stores artifacts in `<step>/<execution>/<artifact>/`, local runs in `<step>/<artifact>/`, and those of a step in a loop in
    `for-loop-<number>-iteration-<number>/<step>/<artifact>/`; the folder of the iteration is then returned as the execution.

    Args:
        path: Path below the folder of the run.
    """
    names = path.strip("/").split("/")
    place = next((place for place, name in enumerate(names) if not _ITERATION.fullmatch(name)), 0)
    return names[place], [*names[:place], *names[place + 1 :]]


def split_output(uri: str, step: str) -> tuple[str, str]:
    """Return the run that an output of a step belongs to, and the name of the step's folder; empty texts if it has none.

    A step of a nested pipeline may have a number at the end of its name, such as `-2`.

    Args:
        uri: URI of the output: `<run>/<step>/...`.
        step: Name of the step.
    """
    found = re.search(rf"(?P<run>.*?)/(?P<step>{re.escape(step)}(-\d+)?)/", uri)
    return (found["run"], found["step"]) if found else ("", "")
