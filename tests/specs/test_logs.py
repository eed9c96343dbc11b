"""Lines of a step's log, and its error."""

import pytest

from tiffin.specs.logs import error_line, step_lines

LOG = """\
I1127 11:30:00.000000      17 main.go:67] Setting log level to: '1'
I1127 11:30:00.100000      17 launcher_v2.go:151] ExecutorInput: {
  "inputs": {
    "parameterValues": {}
  }
}
[KFP Executor 2026-11-27 11:30:01,000 INFO]: --component_module_path is not specified. Looking for component `train` in
[KFP Executor 2026-11-27 11:30:01,000 INFO]: Got executor_input:
{
    "inputs": {
    }
}
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1 gpu.cc:1] gpu

[KFP Executor 2026-11-27 11:30:02,000 INFO]: epoch 1 of 8
\x1b[1;31m{"loss": 0.5}\x1b[0m
error: label='late'
F1127 11:30:03.000000      17 main.go:49] failed to execute component: exit status 65
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "train.py", line 1, in <module>
KeyError: 'a'
F1127 11:30:03.000000      17 main.go:49] failed to execute component: exit status 1
"""


def test_the_lines_of_kfp_and_tensorflow_are_removed() -> None:
    assert step_lines(LOG) == [
        "[KFP Executor 2026-11-27 11:30:02,000 INFO]: epoch 1 of 8",
        '{"loss": 0.5}',
        "error: label='late'",
        "F1127 11:30:03.000000      17 main.go:49] failed to execute component: exit status 65",
    ]


def test_an_input_that_is_cut_does_not_hide_later_lines() -> None:
    head = LOG.partition('    "inputs": {\n    }\n}\n')[0]
    cut = f"{head}F1127 11:30:03.000000      17 main.go:49] out of disk\nafter\n"

    assert step_lines(cut)[-2:] == ["F1127 11:30:03.000000      17 main.go:49] out of disk", "after"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOG, "label='late'"),
        (TRACEBACK, "KeyError: 'a'"),
        ("loss 0.5", None),
        ("", None),
    ],
)
def test_the_error_is_found_before_the_lines_of_the_launcher(text: str, expected: str | None) -> None:
    assert error_line(step_lines(text)) == expected
