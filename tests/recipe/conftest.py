from pathlib import Path

import pytest

from support.ingesting import Ingest

RUNS_IN = ("data",)


@pytest.fixture
def ingested(tmp_path: Path) -> Ingest:
    return Ingest(tmp_path)
