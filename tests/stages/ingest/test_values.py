"""Values of CSV: what is a number, a date or missing, and which rows are set aside."""

import datetime

import pyarrow as pa
import pytest

from tiffin.errors import DataError, InputError
from tiffin.stages.ingest.reading import Reading


@pytest.fixture
def column(ingested):
    """Ingest one column of values, and return its type, its values and the notes."""

    def read(values, **settings):
        options = {name: settings.pop(name) for name in ("max_bad_share",) if name in settings}
        content = "x;row\n" + "".join(f"{value};{number}\n" for number, value in enumerate(values, 5))
        found = ingested(content, reading=Reading(**settings), **options)
        return found.types["x"], [row["x"] for row in found.rows], found.manifest.notes

    return read


def codes(notes):
    return [(note.code, note.column, note.count) for note in notes]


def seconds(*moment):
    return int(datetime.datetime(*moment, tzinfo=datetime.UTC).timestamp())


NUMBERS = [str(number) for number in range(500)]


class TestCodesAreText:
    @pytest.mark.parametrize(
        "values",
        [
            ["41_10", "4_110", "411_0"],
            ["12E4", "13E4", "5E07"],
            ["1e5", "2e5", "12.5"],
            ["0x1F", "0b1"],
            ["05", "17", "23"],
            ["00.5", "1.5"],
            ["\u0661\u0662", "\u0661"],
            ["+491711234567", "+49301234567"],
            ["555-1234", "555-9876"],
            ["(555) 123-4567", "(555) 987-6543"],
            ["1.2.3", "1.2.4"],
            ["192.168.1.1", "10.0.0.1"],
            ["192.168.100.200", "192.168.100.201"],
            ["1.234.567", "1.234.568"],
            ["552 100 554", "552 100 555"],
            ["12:30", "13:45"],
            ["1/2", "3/4"],
            ["3-4", "5-6"],
            ["12-34-56", "65-43-21"],
            ["41.88 -87.63", "41.90 -87.62"],
            ["1 2", "3 4"],
            ["½", "¼"],
            ["$5", "€6"],
            ["5%", "0.05"],
            ["5-", "6-"],
        ],
    )
    def test_whatever_a_database_would_read(self, column, values):
        assert column(values)[:2] == ("STRING", values)

    @pytest.mark.parametrize(
        ("odd", "code"),
        [
            ("05", "LEADING_ZEROS"),
            ("-007", "LEADING_ZEROS"),
            ("12E4", "CODES_KEPT"),
            ("1e-05", "CODES_KEPT"),
            ("+491711234567", "CODES_KEPT"),
            ("D1000", "MIXED_VALUES"),
            ("closed", "MIXED_VALUES"),
            ("41_10", "MIXED_VALUES"),
            ("true", "MIXED_VALUES"),
            ("2024-01-31", "MIXED_VALUES"),
            ("9007199254740993", "LARGE_INTEGERS"),
        ],
    )
    def test_one_among_500_numbers_makes_the_column_text(self, column, odd, code):
        type_, values, notes = column([*NUMBERS, odd])

        assert (type_, values[-1]) == ("STRING", odd)
        assert codes(notes) == [(code, "x", 1)]
        assert notes[0].example.startswith(f"{odd} at ")
        assert notes[0].example.endswith("data.csv:502")
        assert "types" in notes[0].text

    def test_a_rare_class_with_codes_of_its_own_is_kept(self, ingested):
        common = "".join(f"{10_000_000 + i},{i},{'utility' if i % 2 else 'plant'}\n" for i in range(995))
        found = ingested("id,n,kind\n" + common + "".join(f"D{1000 + i},1,design\n" for i in range(5)))

        assert (found.manifest.rows, found.types["id"]) == (1000, "STRING")
        assert [row["id"] for row in found.rows if row["kind"] == "design"] == [f"D{1000 + i}" for i in range(5)]

    def test_a_rare_class_beside_numbers_is_kept(self, column):
        assert column(["0", "1"] * 490 + ["maybe"] * 3)[1].count("maybe") == 3


class TestMissingWords:
    @pytest.mark.parametrize(
        "word",
        ["?", "-", "--", ".", "None", "none", "n/a", "N/A", "NA", "#N/A", "<NA>", "NULL", "null", "NaN", "nan", "nil",
         "missing", "Unknown", "not available", "(null)", r"\N", " ", "\u2013", "#n/a", "NaT"],
    )  # fmt: skip
    @pytest.mark.parametrize(
        ("values", "type_"),
        [
            (NUMBERS[:6], "INT"),
            (["1.5", "2.5"] * 3, "FLOAT"),
            (["2024-01-31"] * 6, "INT"),
            (["true", "false"] * 3, "INT"),
        ],
    )
    def test_of_numbers_dates_and_booleans(self, column, values, type_, word):
        found, kept, notes = column([*values, *[word] * 4])

        assert (found, kept[-4:], None in kept[:-4]) == (type_, [None] * 4, False)
        assert codes(notes) == [("MISSING_WORDS", "x", 4)]
        assert repr(word.strip()) in notes[0].text.replace("\\\\", "\\") or word == r"\N"

    def test_infinite_numbers_are_missing(self, column):
        assert column(["1", "inf", "-Infinity"])[:2] == ("FLOAT", [1.0, None, None])

    def test_of_text_are_those_that_programs_write(self, column):
        words = ["NULL", "null", "NaN", "nan", "N/A", "#N/A", "<NA>", r"\N", "NA"]
        type_, values, notes = column([*words, "None", "unknown", "-", "?", "red"])

        assert (type_, values) == ("STRING", [None] * 9 + ["None", "unknown", "-", "?", "red"])
        assert codes(notes) == [("MISSING_WORDS", "x", 9)]

    @pytest.mark.parametrize("others", [["DE", "FR"], ["USA", "CAN"], ["EU", "US", "DE", "NULL"]])
    def test_na_beside_codes_of_capitals_is_text(self, column, others):
        _, values, notes = column(["NA", *others])

        assert values == ["NA", *(None if other == "NULL" else other for other in others)]
        assert codes(notes)[0] == ("WORDS_KEPT", "x", 1)

    @pytest.mark.parametrize("others", [["de", "fr"], ["red", "US", "blue"], ["1", "2"]])
    def test_na_beside_other_values_is_missing(self, column, others):
        assert column(["NA", *others])[1][0] is None

    def test_are_exactly_those_given(self, column):
        type_, values, notes = column(["-999", "", "NA", "red"], missing_values=("-999",))

        assert (type_, values, notes) == ("STRING", [None, None, "NA", "red"], ())
        assert column(["-999", "7", "?"], missing_values=("-999", "?"))[:2] == ("INT", [None, 7, None])

    def test_given_apply_to_parquet(self, ingested):
        table = pa.table({"a": [-999, 5], "b": ["none", "x"]})
        found = ingested(table, "data.parquet", reading=Reading(missing_values=("-999", "none")))

        assert found.rows == [{"a": None, "b": None}, {"a": 5, "b": "x"}]

    def test_of_declared_text_are_empty_fields_only(self, column):
        assert column(["NA", "?", "", "7"], types={"x": "text"})[:2] == ("STRING", ["NA", "?", None, "7"])

    @pytest.mark.parametrize("given", [(5,), (None,), (True,)])
    def test_should_be_texts(self, column, given):
        with pytest.raises(InputError, match=rf"missing_values.*{given[0]}"):
            column(["1"], missing_values=given)


class TestLocalNumbers:
    @pytest.mark.parametrize(
        ("values", "kept"),
        [
            (["1,234", "850", "12,500"], [1234, 850, 12500]),
            (["1,234,567", "1"], [1234567, 1]),
            (["$1,014.50", "$3"], [1014.5, 3.0]),
            (["5 €", "7,50 €"], [5.0, 7.5]),
            (["£5", "-£6", "£-7"], [5, -6, -7]),
            (["US$5", "US$6"], [5, 6]),
            (["5,5", "6", "0,25"], [5.5, 6.0, 0.25]),
            (["1.234,5", "1.234", "7"], [1234.5, 1234.0, 7.0]),
            (["1 234", "12"], [1234, 12]),
            (["1\u00a0234,5", "12"], [1234.5, 12.0]),
            (["1'234.5", "12"], [1234.5, 12.0]),
            (["1.5%", "20%"], [1.5, 20.0]),
            (["(1,234)", "5", "6,000"], [-1234, 5, 6000]),
            (["($5.50)", "$6", "$7"], [-5.5, 6.0, 7.0]),
            (["\u22125", "6"], [-5, 6]),
        ],
    )
    def test_are_found_from_the_whole_column(self, column, values, kept):
        type_, found, notes = column(values)

        assert (type_, found) == ("FLOAT" if isinstance(kept[0], float) else "INT", kept)
        assert [(note.code, note.column) for note in notes] == [("CONVERTED", "x")]
        assert notes[0].example in values
        assert notes[0].count >= 1

    def test_groups_of_three_digits_follow_the_other_columns(self, ingested):
        content = "x;y\n1,234;{}\n2,500;{}\n"

        assert ingested(content.format("5,5", "6,25")).rows[0] == {"x": 1.234, "y": 5.5}
        assert ingested(content.format("5.5", "6.25")).rows[0] == {"x": 1234, "y": 5.5}
        assert "decimal" in ingested(content.format("5", "6")).manifest.notes[0].text

    @pytest.mark.parametrize(
        ("values", "settings", "kept"),
        [
            (["1,234", "2,500"], {"decimal": ","}, [1.234, 2.5]),
            (["1.234", "2.500"], {"thousands": "."}, [1234, 2500]),
            (["1_234", "5"], {"thousands": "_"}, [1234, 5]),
            (["5,5", "6,5"], {"decimal": "."}, ["5,5", "6,5"]),
            (["1.5", "2.5"], {"decimal": ","}, ["1.5", "2.5"]),
            (["552 100", "552 101"], {"thousands": " "}, [552100, 552101]),
        ],
    )
    def test_marks_given(self, column, values, settings, kept):
        assert column(values, **settings)[1] == kept

    @pytest.mark.parametrize(
        ("settings", "match"),
        [
            ({"decimal": ";"}, "decimal=';'"),
            ({"thousands": "ab"}, "thousands='ab'"),
            ({"thousands": "1"}, "thousands='1'"),
            ({"decimal": ",", "thousands": ","}, "decimal=',', thousands=','"),
        ],
    )
    def test_invalid_marks(self, column, settings, match):
        with pytest.raises(InputError, match=match):
            column(["1"], **settings)

    def test_mixed_marks_are_text_and_told(self, column):
        type_, _, notes = column(["1,5", "2.5", "3,5", "4.5"])

        assert (type_, codes(notes)[0][:2]) == ("STRING", ("UNCLEAR_NUMBERS", "x"))
        assert "data.csv:2" in notes[0].example


class TestLocalDates:
    @pytest.mark.parametrize(
        ("values", "kept"),
        [
            (["01/31/2024", "2/1/2024"], [(2024, 1, 31), (2024, 2, 1)]),
            (["31/01/2024", "01/02/2024"], [(2024, 1, 31), (2024, 2, 1)]),
            (["31.01.2024", "1.2.2024"], [(2024, 1, 31), (2024, 2, 1)]),
            (["01.02.2024", "03.04.2024"], [(2024, 2, 1), (2024, 4, 3)]),
            (["31-12-2024", "01-02-2024"], [(2024, 12, 31), (2024, 2, 1)]),
            (["2024/01/31", "2024/2/1"], [(2024, 1, 31), (2024, 2, 1)]),
            (["31-Jan-2024", "1-May-2024"], [(2024, 1, 31), (2024, 5, 1)]),
            (["31 January 2024", "1 May 2024"], [(2024, 1, 31), (2024, 5, 1)]),
            (["Jan 31, 2024", "May 1, 2024"], [(2024, 1, 31), (2024, 5, 1)]),
            (["1/31/2024 5:00 PM", "2/1/2024 12:00 AM"], [(2024, 1, 31, 17), (2024, 2, 1)]),
            (["31.01.2024 17:30", "01.02.2024 00:00:05"], [(2024, 1, 31, 17, 30), (2024, 2, 1, 0, 0, 5)]),
        ],
    )
    def test_are_found_from_the_whole_column(self, column, values, kept):
        type_, found, notes = column(values)

        assert (type_, found) == ("INT", [seconds(*moment) for moment in kept])
        assert codes(notes) == [("CONVERTED", "x", 2)]

    @pytest.mark.parametrize(
        "values", [["01/02/2024", "03/04/2024"], ["01-02-2024", "12-12-2024"], ["01/31/24", "02/01/24"]]
    )
    def test_that_cannot_be_told_apart_are_text(self, column, values):
        type_, found, notes = column(values)

        assert (type_, found) == ("STRING", values)
        assert codes(notes) == [("AMBIGUOUS_DATES", "x", 2)]
        assert "date_format" in notes[0].text
        assert notes[0].example.endswith("data.csv:2")

    @pytest.mark.parametrize(
        ("values", "format_", "first"),
        [
            (["01/02/2024", "03/04/2024"], "%d/%m/%Y", (2024, 2, 1)),
            (["20240131", "20240201"], "%Y%m%d", (2024, 1, 31)),
            (["01/31/24", "02/01/24"], "%m/%d/%y", (2024, 1, 31)),
            (["31.01.2024 17h", "01.02.2024 18h"], "%d.%m.%Y %Hh", (2024, 1, 31, 17)),
        ],
    )
    def test_format_given(self, column, values, format_, first):
        assert column(values, date_format=format_)[1][0] == seconds(*first)

    def test_format_given_leaves_other_columns_alone(self, column):
        assert column(["1", "2"], date_format="%d/%m/%Y")[:2] == ("INT", [1, 2])
        assert column(["01/31/24", "02/01/24"], date_format="%m/%d/%Y")[0] == "STRING"

    @pytest.mark.parametrize("format_", ["dd.mm.yyyy", "%q", "%"])
    def test_invalid_format(self, column, format_):
        with pytest.raises(InputError, match=f"date_format='{format_}'"):
            column(["1"], date_format=format_)

    def test_logical_type(self, ingested):
        found = ingested("day,moment\n2024-01-31,2024-01-31 10:00\n2024-02-01,2024-02-01 11:00\n")

        assert [column.logical for column in found.manifest.columns] == ["date", "timestamp"]


class TestTypes:
    @pytest.mark.parametrize(
        ("type_", "values", "kept"),
        [
            ("text", ["1", "2"], ["1", "2"]),
            ("integer", ["05", "1.0", "", "?"], [5, 1, None, None]),
            ("integer", ["9007199254740993"], [9007199254740993]),
            ("integer", ["1,234", "$5"], [1234, 5]),
            ("float", ["05", "1e5", "7"], [5.0, 100000.0, 7.0]),
            ("boolean", ["yes", "No", "1", "0", "T"], [1, 0, 1, 0, 1]),
            ("date", ["2024-01-31", "NA"], [seconds(2024, 1, 31), None]),
            ("timestamp", ["31.01.2024 10:00", "2024-01-31T10:00:00+02:00"], [seconds(2024, 1, 31, 10), seconds(2024, 1, 31, 8)]),
        ],
    )  # fmt: skip
    def test_declared(self, column, type_, values, kept):
        assert column(values, types={"x": type_})[1] == kept

    @pytest.mark.parametrize(
        ("type_", "bad"),
        [("integer", "1.5"), ("integer", "9223372036854775808"), ("float", "closed"), ("float", "0x1F"), ("float", "1e999"),
         ("boolean", "2"), ("date", "2024-02-30"), ("timestamp", "12:30")],
    )  # fmt: skip
    def test_a_value_that_does_not_fit_sets_its_row_aside(self, ingested, type_, bad):
        good = "2024-01-31" if type_ in ("date", "timestamp") else "1"
        reading = Reading(types={"x": type_})
        found = ingested("x,y\n" + f"{good},a\n" * 99 + f"{bad},b\n", reading=reading)

        assert [(row.line, row.column, row.text) for row in found.rejected] == [(101, "x", bad)]
        assert codes(found.manifest.notes) == [("ROWS_SET_ASIDE", "x", 1)]
        with pytest.raises(DataError, match=rf"2 of 101.*data\.csv:101.*'{bad}'"):
            ingested("x,y\n" + f"{good},a\n" * 99 + f"{bad},b\n" * 2, reading=reading)

    def test_by_the_new_name(self, ingested):
        assert (
            ingested("zip code,y\n1234,1\n", reading=Reading(types={"zip_code": "text"})).types["zip_code"] == "STRING"
        )

    def test_apply_to_parquet(self, ingested):
        table = pa.table({"a": [1, 2], "b": ["1.5", "x"], "c": [1, 2]})
        reading = Reading(types={"a": "text", "b": "float"})
        found = ingested(table, "data.parquet", reading=reading, max_bad_share=0.5)

        assert found.rows == [{"a": "1", "b": 1.5, "c": 1}]
        assert [(row.line, row.column, row.text) for row in found.rejected] == [(2, "b", "x")]

    @pytest.mark.parametrize(
        ("types", "match"),
        [({"y": "text"}, r"'y'.*x, row"), ({"x": "integre"}, r"'integre'.*'integer'\?"), ({"x": 1}, ": 1")],
    )
    def test_invalid(self, column, types, match):
        with pytest.raises(InputError, match=match):
            column(["1"], types=types)

    def test_ambiguous_dates_need_a_format(self, column):
        with pytest.raises(InputError, match=r"date_format.*'x'.*'01/02/2024'.*%d/%m/%Y.*%m/%d/%Y"):
            column(["01/02/2024"], types={"x": "date"})

    def test_text_of_parquet_stays_text_beside_csv(self, ingested):
        found = ingested({"1.csv": "a\n1\n", "2.parquet": pa.table({"a": ["007"]})})

        assert found.rows == [{"a": "1"}, {"a": "007"}]


class TestSetAside:
    @pytest.mark.parametrize(
        "broken",
        [
            "#REF!",
            "#DIV/0!",
            "#VALUE!",
            "#NAME?",
            "#NUM!",
            "1.2.3",
            "--5",
            "12.",
            "1,,2",
            "1.5e",
            "+",
            "12\ufffd",
        ],
    )
    def test_broken_numbers(self, ingested, broken):
        found = ingested("x;y\n" + "".join(f"{number};a\n" for number in range(250)) + f"{broken};a\n7;b\n")

        assert [(row.line, row.column) for row in found.rejected] == [(252, "x")]
        assert (found.types["x"], found.rows[-1]) == ("INT", {"x": 7, "y": "b"})
        (note,) = found.manifest.notes
        assert (note.code, note.column, note.count) == ("ROWS_SET_ASIDE", "x", 1)
        assert note.example.endswith("data.csv:252")
        assert note.example in note.text.replace("'", "")

    def test_long_rows_are_shortened(self, ingested):
        found = ingested("x,y\n" + "1,a\n" * 200 + "9" * 100 + "\n")
        (note,) = found.manifest.notes

        assert found.rejected[0].text == "9" * 100
        assert f"'{'9' * 37}...'" in note.text

    @pytest.mark.parametrize("broken", ["2024-02-30", "2024-13-01", "2024-01", "#VALUE!"])
    def test_broken_dates(self, column, broken):
        type_, values, notes = column(["2024-01-31"] * 200 + [broken])

        assert (type_, len(values), codes(notes)) == ("INT", 200, [("ROWS_SET_ASIDE", "x", 1)])

    def test_more_than_the_maximum_share_make_the_column_text(self, column):
        type_, values, notes = column(["5"] * 98 + ["#REF!"] * 2)

        assert (type_, len(values), codes(notes)) == ("STRING", 100, [("MIXED_VALUES", "x", 2)])

    def test_points_at_the_end_of_many_numbers_are_their_form(self, column):
        assert column(["1.", "2.5", "3."])[:2] == ("FLOAT", [1.0, 2.5, 3.0])

    def test_notes_for_each_column_and_reason(self, ingested):
        good = "".join(f'{number},"line\nbreak",{number}\n' for number in range(50, 350))
        found = ingested(f"a,b,c\n{good}#REF!,x,1\n1\n2,x,#NUM!\n#REF!,x,#NUM!\n", max_bad_share=0.05)

        assert codes(found.manifest.notes) == [
            ("ROWS_SET_ASIDE", "a", 2), ("ROWS_SET_ASIDE", "", 1), ("ROWS_SET_ASIDE", "c", 1),
        ]  # fmt: skip
        # Each good row has two lines.
        assert [(row.line, row.column) for row in found.rejected] == [(602, "a"), (603, ""), (604, "c"), (605, "a")]
        assert [note.example.rsplit(":", 1)[1] for note in found.manifest.notes] == ["602", "603", "604"]

    def test_in_several_files(self, ingested):
        good = "".join(f"{number},x\n" for number in range(200))
        other = "".join(f"{number};9\n" for number in range(200))
        files = {"1.csv": f"a,b\n{good}#REF!,x\n", "2.csv": f"b;a\n{other}#REF!;#REF!\n"}
        found = ingested(files, max_bad_share=0.02)

        assert [(row.source[-5:], row.line, row.column) for row in found.rejected] == [
            ("1.csv", 202, "a"),
            ("2.csv", 202, "a"),
        ]

    def test_a_header_equal_to_a_broken_value_is_not_its_line(self, ingested):
        found = ingested("x,y\n" + "1,a\n" * 200 + "x,b\n", reading=Reading(types={"x": "integer"}))

        assert [row.line for row in found.rejected] == [202]
