"""Open a page in the browser of the user, if there is one."""

import os
import sys
import webbrowser


def open_page(url: str) -> str:
    """Open a page, and return why it was not opened; empty if it was."""
    if not sys.stdout.isatty():
        return "standard output is not a terminal"
    # Without a display, Python would open a browser for text in this terminal.
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys():
        return "this machine has no display"
    try:
        return "" if webbrowser.open(url) else "no browser was found"
    except webbrowser.Error as error:
        return str(error)
