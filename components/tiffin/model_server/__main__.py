"""Entry point of `python -m tiffin.model_server`."""

from tiffin.model_server import main

if __name__ == "__main__":
    main()
