"""`python -m tiffin.local.server`."""

import sys

from tiffin.local.server import main

if __name__ == "__main__":
    sys.exit(main())
