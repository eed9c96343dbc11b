"""The whole life of a model on this machine: `tiffin demo --loop`, also run by `make demo-loop`."""

import shutil
from pathlib import Path

from tiffin.commands.browser import open_page
from tiffin.commands.output import echo
from tiffin.errors import InputError
from tiffin.printing import printable


def play(state: str) -> int:
    """Play the life of a model, print its timeline, and open the last report.

    Args:
        state: Folder for all files; what an earlier life left there is removed.

    Raises:
        InputError: The folder has other files.
        TiffinError: An act led to something else than it should.
    """
    from tiffin.local.life import acts
    from tiffin.local.life.inbox import open_inbox
    from tiffin.local.life.surroundings import running
    from tiffin.local.life.timeline import Event, timeline_lines

    def tell(event: Event) -> None:
        lines = timeline_lines([event]) if event.what != "$" else ["", f"$ {event.text}"]
        for line in lines:
            echo(printable(line))

    life = acts.Life(_make_folder(state), tell)
    acts.make_worlds(life)
    acts.train(life)
    with open_inbox() as inbox, running(life.state, life.folder / "prometheus", inbox) as around:
        if around.prometheus:
            life.add("watched", f"by Prometheus at {around.prometheus}, and a webhook at {inbox.address}")
        else:
            life.add(
                "not watched",
                "prometheus is not on PATH, so no alert is shown; Debian has it in the package prometheus",
            )
        acts.usual(life, around)
        acts.airport(life, around, inbox)
        acts.strike(life, around, inbox)
        acts.metres(life, around)
        for title in inbox.notifications:
            life.add("notified", title)
    echo("\nThe life of a model:\n")
    for line in timeline_lines(life.events):
        echo(printable(line))
    report = life.reports[-1]
    if why := open_page(Path(report).resolve().as_uri()):
        echo(f"\nThe report of the last run is not opened, because {why}: {printable(report)}")
    echo(f"See the runs with: tiffin runs list --state {life.state}")
    return 0


def _make_folder(state: str) -> Path:
    """Return an empty folder, without what an earlier life left there."""
    folder, mark = Path(state).resolve(), ".life"
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise InputError(
            f"--state should be a folder of its own for --loop. Received: '{state}', which has other files. Pass another one."
        )
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / mark).touch()
    return folder
