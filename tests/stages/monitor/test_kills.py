"""Monitoring that is killed at any write counts each file of the log once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from support.watched import NOON, draw, write_day, write_hour, write_watched_reference
from tiffin.artifacts.monitoring import read_monitoring
from tiffin.stages.monitor.monitoring import monitor

KILLS = Path(__file__).parents[2] / "support" / "monitor_kills.py"
NOW = NOON - timedelta(minutes=1)


def test_kills(tmp_path):
    reference = write_watched_reference(tmp_path / "reference", rows=1000)
    for name in ("log", "other"):
        write_day(tmp_path / name, rows=360, hours=6)
        write_hour(tmp_path / name, NOON - timedelta(hours=2), draw(np.random.default_rng(1), 30), "b")
    whole = monitor(reference, tmp_path / "whole", log_root=str(tmp_path / "other"), now=NOW)
    command = [
        sys.executable,
        str(KILLS),
        str(reference),
        str(tmp_path / "out"),
        str(tmp_path / "log"),
        NOW.isoformat(),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 8
    found = read_monitoring(tmp_path / "out")
    assert (found.rows, found.files) == (390, 7)
    assert replace(found, new_files=7, late_files=0, status="", notes=()) == replace(whole, status="", notes=())


def test_two_at_once(tmp_path):
    """Both count the same hours; each file is in the result once."""
    reference = write_watched_reference(tmp_path / "reference", rows=1000)
    write_day(tmp_path / "log", rows=2160, hours=36)

    def run(name):
        return monitor(reference, tmp_path / name, log_root=str(tmp_path / "log"), window="36h", now=NOW)

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(run, ("one", "two")))

    assert [one.rows for one in found] == [2160, 2160]
    assert sum(one.new_files for one in found) >= 36
