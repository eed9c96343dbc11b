"""`python -m tiffin.local.server`."""

from tiffin.local.server import main

if __name__ == "__main__":
    main()
