"""The next step after a failed call, by its method and code."""

import pytest

from tiffin.serving import wire
from tiffin.serving.failures import failure

CODES = (
    *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
RELOAD = "HandleReloadConfigRequest"


@pytest.mark.parametrize("method", [*wire.METHODS, "predict", "metadata"])
@pytest.mark.parametrize("code", CODES)
def test_every_error_names_the_call_and_has_a_next_step(method, code):
    error = failure(method, "m", "host:1", code, "")
    start, _, advice = str(error).partition(f"{code}: no details. ")

    assert error.code == code
    assert [name for name in (method, "'m'", "host:1") if name not in start] == []
    assert advice.endswith(".")


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("detail", ["", "Serving signature x", "Unrecognized servable version label: x"])
def test_hints_about_rows_and_signatures_are_for_predictions(code, detail):
    for method in (RELOAD, "GetModelStatus", "GetModelMetadata"):
        hint = str(failure(method, "m", "host:1", code, detail)).rpartition(f"{code}: ")[2]
        assert "rows" not in hint
        assert "types" not in hint


@pytest.mark.parametrize(
    ("method", "code", "detail", "hint"),
    [
        ("Predict", "DEADLINE_EXCEEDED", "", "--timeout"),
        ("GetModelStatus", "DEADLINE_EXCEEDED", "", "timeout_seconds"),
        (RELOAD, "DEADLINE_EXCEEDED", "", "log"),
        (RELOAD, "FAILED_PRECONDITION", "Request to assign label to version 9 of model m", "label"),
        (RELOAD, "INVALID_ARGUMENT", "Illegal to list model m", "config"),
        (RELOAD, "PERMISSION_DENIED", "", "config"),
        ("Predict", "INVALID_ARGUMENT", "Unrecognized servable version label: x", "labels"),
        ("Predict", "INVALID_ARGUMENT", "input size does not match signature", "types"),
        ("Predict", "FAILED_PRECONDITION", 'Serving signature key "s" not found.', "signature"),
        ("Predict", "FAILED_PRECONDITION", 'Serving signature key "explain" not found.', "Tiffin"),
        ("predict", "INVALID_ARGUMENT", 'Serving signature name: "s" not found in signature def', "signature"),
        ("Classify", "INVALID_ARGUMENT", "No signature was found with the name: s", "signature"),
        ("Regress", "INVALID_ARGUMENT", "Expected one input Tensor.", "tf.Examples"),
        ("Predict", "INVALID_ARGUMENT", "Key: a.  Data types don't match.", "3.0"),
    ],
)
def test_hints(method, code, detail, hint):
    last = str(failure(method, "m", "host:1", code, detail)).removesuffix(".").rpartition(". ")[2]

    assert hint in last


def test_the_message_of_the_server_is_one_line():
    assert "\n" not in str(failure("Predict", "m", "host:1", "INTERNAL", "one\n\t two"))
    assert "one two." in str(failure("Predict", "m", "host:1", "INTERNAL", "one\n\t two"))


def test_a_known_reason_replaces_the_message():
    assert str(failure("Predict", "", "host:1", "UNAVAILABLE", "detail", "Reason.")).endswith("UNAVAILABLE: Reason.")
