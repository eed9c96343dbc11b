"""Values of source columns, read in Python as ingest reads them in SQL."""

import datetime
import decimal
import math

import duckdb
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiffin.artifacts.recipe import SourceColumn
from tiffin.recipe import patterns
from tiffin.recipe.values import Unreadable, reader
from tiffin.stages.ingest import forms

NAN = float("nan")


def column(type_, **options):
    return SourceColumn("a", "a", type_, **options)


class TestNumbers:
    @pytest.mark.parametrize(
        "value", [None, "", " ", "n/a", "NULL", "-", "?", "inf", "-Infinity", NAN, math.inf, b"NA"]
    )
    def test_missing_ones(self, value):
        assert reader(column("DOUBLE"))(value) is None

    @pytest.mark.parametrize(
        ("value", "number"),
        [
            (1.5, 1.5), (2, 2), (True, 1), (np.float32(0.5), 0.5), (np.int64(7), 7), (decimal.Decimal("2.50"), 2.5),
            ("1.5", 1.5), (" 12 ", 12), ("+3", 3), ("1e3", 1000.0), ("007", 7), ("$12.50", 12.5), ("(5)", -5), ("12 %", 12),
            ("5.", 5.0), (".5", 0.5), ("\u22122", -2), (b"4", 4),
        ],
    )  # fmt: skip
    def test_plain_ones(self, value, number):
        assert reader(column("DOUBLE"))(value) == number

    @pytest.mark.parametrize(
        ("decimal_", "thousands", "text", "number"),
        [
            (",", ".", "1.234,50 €", 1234.5), (",", "", "12,5", 12.5), (".", ",", "1,234", 1234),
            (",", " ", "1\u202f234,5", 1234.5),
            (".", "'", "1\u2019234.5", 1234.5),
            (",", ".", "-€ 3,00", -3.0), (",", ".", "7", 7),
        ],
    )  # fmt: skip
    def test_marks_of_the_column(self, decimal_, thousands, text, number):
        assert reader(column("DOUBLE", decimal=decimal_, thousands=thousands))(text) == number
        # A number that is typed already has no marks.
        assert reader(column("DOUBLE", decimal=decimal_, thousands=thousands))(1.5) == 1.5

    @pytest.mark.parametrize(
        "value", ["x", "1.2.3", "#REF!", "1_000", "0x1", "१", [1], {"b64": "eA=="}, "1e999", b"\xff"]
    )
    def test_others(self, value):
        with pytest.raises(Unreadable) as raised:
            reader(column("DOUBLE"))(value)
        assert str(value)[:1] in str(raised.value.value)

    def test_whole_numbers_stay_whole(self):
        read = reader(column("BIGINT"))
        assert [type(read(value)) for value in ("3", 3.0, "3.0", 2.5)] == [int, int, int, float]

    def test_missing_values_of_the_user_replace_the_usual_words(self):
        read = reader(column("DOUBLE"), ("-999",))
        assert read("-999") is None
        with pytest.raises(Unreadable):
            read("n/a")

    @given(st.text("0123456789.,'-+()%$€ \u00a0\u2212eE", max_size=8), st.sampled_from(patterns.MARKS))
    @example("1.234,5", (",", "."))
    def test_texts_in_a_form_are_the_numbers_of_sql(self, text, marks):
        form = forms.NumberForm(*marks)
        sql = f"SELECT CASE WHEN {forms.full('x', form.pattern)} THEN {form.value('x', 'DOUBLE')} END FROM (SELECT ? AS x)"
        expected = _connection.execute(sql, [text]).fetchall()[0][0]
        if expected is not None:
            assert reader(column("DOUBLE", decimal=marks[0], thousands=marks[1]))(text) == expected


_connection = duckdb.connect()


@example("\x0b")
@given(
    st.one_of(
        st.text(max_size=6), st.sampled_from(["n/a", " NULL ", "-1.#IND", "(none)", "N.A.", "0000-00-00", "—", "Nan"])
    )
)
def test_words_for_missing_values_are_those_of_sql(text):
    sql = " OR ".join(forms.full("x", pattern) for pattern in (patterns.WORD, patterns.ZERO_DATE))
    expected = _connection.execute(f"SELECT {sql} FROM (SELECT ? AS x)", [text]).fetchall()[0][0]
    read = reader(column("BOOLEAN"))
    try:
        found = read(text) is None
    except Unreadable:
        found = False
    assert found == expected


class TestBooleans:
    @pytest.mark.parametrize(
        ("value", "number"),
        [
            ("", None),
            ("n/a", None),
            ("true", 1),
            ("No", 0),
            (" Y ", 1),
            (True, 1),
            (np.bool_(False), 0),
            (1.0, 1),
            ("0", 0),
        ],
    )
    def test_values(self, value, number):
        assert reader(column("BOOLEAN"))(value) == number

    @pytest.mark.parametrize("value", ["maybe", 2, [True]])
    def test_others(self, value):
        with pytest.raises(Unreadable):
            reader(column("BOOLEAN"))(value)


class TestTexts:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("", None), (None, None), (NAN, None), ("NA", None), (" a ", " a "), ("na", "na"), (3, "3"), (2.5, "2.5"),
            (True, "true"), (np.bool_(True), "true"), (b"\xc3\xa9", "é"), (datetime.time(12), "12:00:00"),
        ],
    )  # fmt: skip
    def test_values(self, value, text):
        assert reader(column("VARCHAR", missing=("NA",)))(value) == text

    @pytest.mark.parametrize("value", [b"\xff", [1], {}])
    def test_others(self, value):
        with pytest.raises(Unreadable):
            reader(column("VARCHAR"))(value)


class TestDates:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("", None), ("n/a", None), ("0000-00-00", None), (np.datetime64("NaT"), None), (" 1.2.2024 ", "1.2.2024"),
            (datetime.date(2024, 2, 1), "2024-02-01"), (datetime.datetime(2024, 2, 1, 3), "2024-02-01T03:00:00"),
            (datetime.datetime(2024, 2, 1, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), "2024-02-01T01:00:00"),
            (np.datetime64("2024-02-01T03:04:05"), "2024-02-01T03:04:05"),
        ],
    )  # fmt: skip
    def test_values(self, value, text):
        assert reader(column("TIMESTAMP"))(value) == text

    @pytest.mark.parametrize("value", [1.5, 3, [1]])
    def test_others(self, value):
        with pytest.raises(Unreadable, match=r"%d\.%m\.%Y"):
            reader(column("DATE", formats=("%d.%m.%Y",)))(value)
