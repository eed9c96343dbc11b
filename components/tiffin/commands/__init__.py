from tiffin.errors import needs_extra, reported


def start() -> None:
    """Run the command line, or name the extra to install where its packages are missing."""
    with reported(1), needs_extra("sdk"):
        from tiffin.commands.main import main
    main()
