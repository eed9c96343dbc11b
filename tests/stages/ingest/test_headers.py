"""Whether a CSV file has a line of column names, and names set instead."""

import re

import pytest

from tiffin.errors import DataError, InputError
from tiffin.stages.ingest.first_lines import First, kind_of_first_line
from tiffin.stages.ingest.reading import Reading

IRIS = "5.1,3.5,1.4,0.2,Iris-setosa\n4.9,3.0,1.4,0.2,Iris-setosa\n7.0,3.2,4.7,1.4,Iris-versicolor\n"
NAMES = ("a", "b", "c", "d", "e")


def notes(found):
    return [note.code for note in found.manifest.notes]


class TestKindOfFirstLine:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            # Texts above numbers or dates.
            ("a,b;1,x;2,y", First.NAMES),
            ("day,n;2025-01-06,1;2025-01-07,2", First.NAMES),
            ("price;$1.50;$2.00", First.NAMES),
            ("id,2019-01,2019-02;DE,1.5,2.5;FR,2.5,3.5", First.NAMES),
            ("population,2019,2020;5,1.5,2.5;6,2.5,3.5", First.NAMES),
            ("a;?;5;NA;6", First.NAMES),
            # Numbers above numbers.
            ("5,3;4,2;1,9", First.VALUES),
            ("5;6;7", First.VALUES),
            ("5.1,3.5,setosa;4.9,3.0,setosa", First.VALUES),
            ("39, State-gov, 77516;50, Self-emp, 83311;38, State-gov, 215646", First.VALUES),
            ("2025-01-06,7;2025-01-07,9", First.VALUES),
            ("1,0,1;0,1,1;1,1,0", First.VALUES),
            ("1,2,3;4,5,6;7,8,9", First.VALUES),
            ("?,5,x;4,2,y;1,9,x", First.VALUES),
            ("1,2", First.VALUES),
            # Texts that occur again.
            ("p,x,s,n;e,x,s,y;e,b,s,w;p,x,y,w", First.VALUES),
            ("yes;no;yes;no", First.VALUES),
            # Numbers in order above others.
            ("country,2019,2020;DE,1.5,2.5;FR,2.5,3.5", First.ORDERED),
            (",0,1,2;x,7,3,9;y,4,4,1", First.ORDERED),
            ("400,401.5,402,408,411,412.5;3,1,2,7,5,0;3,9,2,7,5,0", First.ORDERED),
            # Texts above other texts.
            ("a,b;x,y;z,w", First.UNKNOWN),
            ("a,b", First.UNKNOWN),
            ("a,b;,;,", First.UNKNOWN),
        ],
    )
    def test_from_the_rows_below(self, content, kind):
        first, *rows = [row.split(",") for row in content.split(";")]

        assert kind_of_first_line(first, rows) is kind


class TestAuto:
    def test_a_file_without_a_header(self, ingested):
        with pytest.raises(
            InputError, match=r"data\.csv'.*'5\.1, .*Iris-setosa'.*header=no.*column_names.* 5 .*header=yes"
        ):
            ingested(IRIS)

    def test_years_as_names_are_told(self, ingested):
        found = ingested("country,2019,2020\nDE,1.5,2.5\nFR,2.5,3.5\n")

        assert (list(found.types), notes(found)) == (["country", "c_2019", "c_2020"], ["HEADER", "COLUMNS_RENAMED"])

    @pytest.mark.parametrize("delimiter", [",", ";"])
    def test_row_names_without_a_name_as_in_r(self, ingested, delimiter):
        found = ingested("mpg,cyl\nMazda,21,6\nFiat,22.5,4\nVolvo,21.4,\n".replace(",", delimiter))

        assert (found.types, notes(found)) == ({"mpg": "FLOAT", "cyl": "INT"}, ["HEADER", "ROW_NUMBERS"])
        assert sorted(row["mpg"] for row in found.rows) == [21, 21.4, 22.5]

    def test_row_names_that_are_typed_are_kept(self, ingested):
        found = ingested("mpg,cyl\n7,21,6\n9,22.5,4\n", reading=Reading(types={"column0": "integer"}))

        assert found.types == {"column0": "INT", "mpg": "FLOAT", "cyl": "INT"}

    @pytest.mark.parametrize(
        ("content", "reading"),
        [
            ("My report,by me\na,b,c\n1,2,3\n4,5,6\n", Reading()),
            ("a,b\n1,2,3\n4,5,6\n7,8\n", Reading()),
            ("a,b\n7,1,2\n8,3,4\n1,2,3,4\n", Reading()),
            ("1,2\n1,2,3\n4,5,6\n", Reading(header="no")),
        ],
    )
    def test_other_rows_with_a_value_more_are_unreadable(self, ingested, content, reading):
        with pytest.raises(DataError):
            ingested(content, reading=reading, max_bad_share=0.5)

    def test_a_delimiter_at_the_end_of_every_row_is_no_value(self, ingested):
        assert ingested("a,b\n1,2,\n3,4,\n").types == {"a": "INT", "b": "INT"}

    def test_a_second_file_without_a_header(self, ingested):
        with pytest.raises(InputError, match=r"2\.csv'.*header=no"):
            ingested({"1.csv": "a,b\n1,2\n", "2.csv": "3,4\n5,6\n"})

    def test_is_not_asked_of_parquet(self, ingested):
        import pyarrow as pa

        assert ingested(pa.table({"1": [1, 2], "2": [3, 3]}), "d.parquet").types == {"c_1": "INT", "c_2": "INT"}


class TestSettings:
    def test_no_header(self, ingested):
        found = ingested(IRIS, reading=Reading(header="no"))

        assert list(found.types) == ["column1", "column2", "column3", "column4", "column5"]
        assert (found.manifest.rows, notes(found)) == (3, ["HEADER"])

    def test_a_header_of_numbers(self, ingested):
        found = ingested(IRIS, reading=Reading(header="yes"))

        assert (found.manifest.rows, notes(found)) == (2, ["COLUMNS_RENAMED"])
        assert list(found.manifest.renamed) == ["5.1", "3.5", "1.4", "0.2", "Iris-setosa"]

    @pytest.mark.parametrize("header", ["no", "auto"])
    def test_names_of_a_file_without_a_header(self, ingested, header):
        found = ingested(IRIS, reading=Reading(header=header, column_names=NAMES), label="e")

        assert (list(found.types), found.manifest.rows) == (list(NAMES), 3)
        assert notes(found) == (["HEADER"] if header == "auto" else [])

    @pytest.mark.parametrize("header", ["yes", "auto"])
    def test_names_in_place_of_a_header(self, ingested, header):
        found = ingested("v,w,x,y,z\n" + IRIS, reading=Reading(header=header, column_names=NAMES))

        assert (list(found.types), found.manifest.rows) == (list(NAMES), 3)
        assert notes(found) == (["HEADER"] if header == "auto" else [])

    def test_names_equal_to_the_header(self, ingested):
        found = ingested("a,b\nx,y\n", reading=Reading(column_names=("a", "b")))

        assert (found.rows, notes(found)) == ([{"a": "x", "b": "y"}], [])

    def test_names_where_the_header_cannot_be_told(self, ingested):
        with pytest.raises(InputError, match=r"header.*yes.*no.*data\.csv'.*'v, w'"):
            ingested("v,w\nx,y\n", reading=Reading(column_names=("a", "b")))

    def test_names_for_repeated_ones(self, ingested):
        found = ingested("a,a\n1,2\n", reading=Reading(header="yes", column_names=("a", "b")))

        assert (found.rows, notes(found)) == ([{"a": 1, "b": 2}], [])

    @pytest.mark.parametrize(
        ("reading", "received"),
        [
            (Reading(header="maybe"), "header='maybe'"),
            (Reading(column_names=("a", 7)), ": 7"),
            (Reading(column_names=("a", " ")), ": ' '"),
            (Reading(column_names=("a", "a")), ": 'a' 2"),
            (Reading(column_names=("a", "b")), "2 .* 5 "),
        ],
    )
    def test_that_are_invalid(self, ingested, reading, received):
        with pytest.raises(InputError, match=r"(header|column_names) .*" + received):
            ingested(IRIS, reading=reading)


class TestQuotes:
    @pytest.mark.parametrize("header", ['a,"b"x', '"a"x,b', 'a,"b', '"a" ,b'])
    def test_that_do_not_end_at_the_delimiter(self, ingested, header):
        with pytest.raises(InputError, match=rf"','.*{re.escape(repr(header))}.*data\.csv'"):
            ingested(f"{header}\n1,2\n3,4\n")

    def test_inside_a_name(self, ingested):
        found = ingested('a,"b ""c""\nd"\n1,2\n')

        assert list(found.manifest.renamed) == ['b "c"\nd']
