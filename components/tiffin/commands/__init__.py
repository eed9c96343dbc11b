"""The command line."""

from typing import NoReturn

from tiffin.errors import needs_extra, reported


def start() -> NoReturn:
    """Run the command line; where its packages are not installed, name the extra that has them."""
    with reported(1), needs_extra("sdk"):
        from tiffin.commands.main import main
    main()
