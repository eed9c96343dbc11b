from pathlib import Path

from tiffin.local.step_logs import error_line, tail, tidy_log

EXECUTOR = "[KFP Executor 2026-11-27 11:28:09,960 INFO]: "
LOG = (
    f"{EXECUTOR}Looking for component `train` in --component_module_path `/tmp/x.py`\n"
    f'{EXECUTOR}Loading KFP component "train" from /tmp/x.py (directory "/tmp" and module name "x")\n'
    f"{EXECUTOR}Got executor_input:\n"
    '{\n    "inputs": {\n        "a": {}\n    }\n}\n'
    "epoch 1: loss 0.5\r\n"
    f"{EXECUTOR}a message that the component logged\n"
    '{\n    "own": 1\n}\n'
    f"{EXECUTOR}Wrote executor output file to /x/executor_output.json.\n"
)


def test_a_tail_omits_the_lines_of_every_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 100_000 + LOG.encode() + b"\nI0000 port.cc\none\n\xff two\n")

    assert tail(tmp_path / "none") == []
    assert tail(log, 2) == ["one", "\ufffd two"]
    assert error_line(log) is None


def test_a_tidy_log_has_only_the_lines_of_the_step(tmp_path: Path) -> None:
    log = tmp_path / "log"
    own = f'epoch 1: loss 0.5\r\n{EXECUTOR}a message that the component logged\n{{\n    "own": 1\n}}\n'.encode()
    log.write_bytes(LOG.encode() + b"\xff\x00 last line")
    for _ in range(2):  # a retry appends to a log that is tidy already
        tidy_log(log)
        assert log.read_bytes() == own + b"\xff\x00 last line"

    log.write_bytes(log.read_bytes() + b"\n" + LOG.encode())
    tidy_log(log)
    assert log.read_bytes() == own + b"\xff\x00 last line\n" + own
