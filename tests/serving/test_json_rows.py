"""Rows from JSON lines, arrays and requests."""

import io
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.serving import json_rows
from tiffin.serving.row_files import open_rows


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with open_rows(str(path)) as source:
        return list(source.rows)


class TestJsonLines:
    def test_empty(self, tmp_path):
        assert read(tmp_path, "a.jsonl", "") == []

    def test_blank_lines_are_not_rows(self, tmp_path):
        rows = read(tmp_path, "a.jsonl", '{"a": 1}\n\n {"a": null}')

        assert [(row.number, row.line, row.values) for row in rows] == [(1, 1, {"a": 1}), (2, 3, {"a": None})]

    @pytest.mark.parametrize(
        ("line", "names"),
        [
            (b"{", ["JSON", "'{'"]),
            (b"[1]", ["JSON object", "'[1]'"]),
            (b"\xff", ["JSON", "'utf-8'"]),
            (b"[" * 100_000, ["JSON", "'[[["]),
            (b"3" * 5000, ["JSON", "'333"]),
        ],
    )
    def test_a_bad_line_is_skipped(self, tmp_path, line, names):
        bad, good = read(tmp_path, "a.jsonl", line + b'\n{"a": 1}\n')

        assert bad.values is None
        assert [name for name in names if name not in bad.error] == []
        assert len(bad.error) < 300
        assert good.values == {"a": 1}

    @pytest.mark.parametrize("number", [b"1e400", b"-1E+999", b"9" * 400 + b".0"])
    def test_a_number_outside_float64(self, tmp_path, number):
        bad, good = read(tmp_path, "a.jsonl", b'{"a": [{"b": ' + number + b'}]}\n{"a": "1e400", "b": 1e300}\n')

        assert number[:40].decode() in bad.error
        assert good.values == {"a": "1e400", "b": 1e300}

    def test_nan_and_infinities_are_numbers(self, tmp_path):
        [row] = read(tmp_path, "a.jsonl", '{"a": [Infinity, -Infinity, NaN]}')

        assert [str(value) for value in row.values["a"]] == ["inf", "-inf", "nan"]

    def test_standard_input(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n')))
        with open_rows("-") as source:
            assert [row.values for row in source.rows] == [{"a": 1}]
            assert source.total is None

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes(self, tmp_path, content):
        rows = read(tmp_path, "a.jsonl", content)

        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert all((row.values is None) == bool(row.error) for row in rows)


def document(content):
    """Return the signature and the values of a document's rows, or None for lines."""
    found = json_rows.read_document(io.BytesIO(content.encode()), "a.json")
    return found and (found[0], [row.values for row in found[1]])


class TestDocuments:
    @pytest.mark.parametrize(
        "content", ["", "\n\n", '{"a": 1}\n{"a": 2}\n', '{"a": 1}', '{"inputs": 1}\n{"inputs": 2}']
    )
    def test_lines_are_not_a_document(self, content):
        assert document(content) is None

    def test_lines_of_which_the_first_is_bad(self, tmp_path):
        bad, good = read(tmp_path, "a.json", '{"a": \n{"a": 1}\n')

        assert bad.values is None
        assert (good.line, good.values) == (2, {"a": 1})

    @pytest.mark.parametrize(
        ("content", "signature", "rows"),
        [
            ("[]", "", []),
            ('[{"a": 1}, {"a": 2}]', "", [{"a": 1}, {"a": 2}]),
            ('\n [\n{"a": 1}\n,\n{"a": 2}\n]\n', "", [{"a": 1}, {"a": 2}]),
            ("[1, [2, 3], null]", "", [1, [2, 3], None]),
            ('{\n  "a": 1\n}', "", [{"a": 1}]),
            ('{"instances": [{"a": 1}]}', "", [{"a": 1}]),
            ('{"signature_name": "s", "instances": [1.5, {"b64": "/w=="}]}', "s", [1.5, b"\xff"]),
            (
                '{"signature_name": "s", "inputs": {"a": [1, 2], "b": [[3], [4]]}}',
                "s",
                [{"a": 1, "b": [3]}, {"a": 2, "b": [4]}],
            ),
            ('{"inputs": {"a": [1, 2], "scale": 3}}', "", [{"a": 1, "scale": 3}, {"a": 2, "scale": 3}]),
            ('{"inputs": {"scale": 3}}', "", [{"scale": 3}]),
            ('{"inputs": [1, 2]}', "", [1, 2]),
            ('{"inputs": {"b64": "YQ"}}', "", [b"a"]),
            ('{"inputs": "x"}', "", ["x"]),
        ],
    )
    def test_arrays_and_requests(self, content, signature, rows):
        assert document(content) == (signature, rows)

    def test_a_request_over_several_lines(self):
        request = {"signature_name": "s", "instances": [{"a": 1}, {"a": 2}]}

        assert document(json.dumps(request, indent=1)) == ("s", request["instances"])

    @pytest.mark.parametrize(
        ("content", "names"),
        [
            ("[1, 2", ["'a.json'", "'[1, 2'"]),
            ("{\n1", ["'a.json'", "'{'"]),
            ('[{"a": 1e999}]', ["'a.json'", "1e999"]),
            ('{"instances": {"a": 1}}', ["'instances'", "{'a': 1}"]),
            ('{"instances": [1], "inputs": [1]}', ["'instances'", "'inputs'", "'a.json'"]),
            ('{"signature_name": 3, "instances": [1]}', ["'signature_name'", "3"]),
            ('{"inputs": {"a": [1], "b": [1, 2]}}', ["'inputs'", "a: 1, b: 2"]),
        ],
    )
    def test_invalid_documents(self, content, names):
        with pytest.raises(InputError) as raised:
            document(content)

        assert [name for name in names if name not in str(raised.value)] == []

    def test_a_document_that_is_too_large(self, monkeypatch):
        monkeypatch.setattr(json_rows, "_MAX_DOCUMENT_BYTES", 1 << 20)
        with pytest.raises(InputError, match=r" 1 MB, .*'a\.json'.*\.jsonl"):
            document(f'["{"x" * (1 << 20)}"]')

    def test_rows_without_a_value(self, tmp_path):
        bad, invalid, good = read(tmp_path, "a.json", '[null, {"b64": 3}, 1]')

        assert (bad.values, invalid.values, good.values) == (None, None, 1)
        assert "null" in bad.error
        assert "'b64'" in invalid.error

    @given(st.lists(st.dictionaries(st.text(), st.none() | st.floats(allow_nan=False) | st.text() | st.integers())))
    def test_any_array_gives_its_rows(self, rows):
        assert document(json.dumps(rows)) == ("", rows)
