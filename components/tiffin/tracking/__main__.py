"""Create the tables of MLflow in a SQLite database that has none: `python -m tiffin.tracking URI`."""

import sys

from tiffin.errors import reported
from tiffin.tracking.client import client_of

with reported(), client_of(sys.argv[1]):
    pass
