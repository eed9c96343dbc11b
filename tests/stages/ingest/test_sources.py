"""Reading files: delimiters, column names, types and unreadable rows."""

import datetime
import gzip
import io
import math
import random
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import gcs_emulator, s3_server
from support.ingesting import Ingest
from tiffin.errors import DataError, InputError
from tiffin.stages.ingest.reading import Reading

# The last two rows are swapped: a column that counts the rows is left out.
GOOD = "a,b\n" + "".join(f"{number},x{number % 3}\n" for number in (*range(298), 299, 298))


class TestEmpty:
    @pytest.mark.parametrize(("content", "empty"), [("", "file"), ("\n\n", "line"), ("\na,b\n1,2\n", "line")])
    def test_a_file_without_a_header(self, ingested, content, empty):
        with pytest.raises(InputError, match=rf"data\.csv'.* {empty}\."):
            ingested(content)

        assert ingested.left() == []

    @pytest.mark.parametrize("content", ["a,b\n", "a,b", '"a",b\r\n'])
    def test_a_header_only(self, ingested, content):
        with pytest.raises(DataError, match=r"'.*data\.csv'"):
            ingested(content)

        assert ingested.left() == []

    def test_parquet_without_rows(self, ingested):
        with pytest.raises(DataError, match=r"'.*data\.parquet'"):
            ingested(pa.table({"a": pa.array([], pa.int64())}), "data.parquet")

    def test_gzip_of_an_empty_file(self, ingested):
        with pytest.raises(InputError, match=r"data\.csv\.gz'.* file\."):
            ingested(gzip.compress(b""), "data.csv.gz")

    def test_no_data(self, ingested):
        with pytest.raises(InputError, match=r"data=''.*--set"):
            ingested()

    def test_a_missing_file(self, ingested):
        ingested.write(GOOD, "trips.csv")
        with pytest.raises(InputError, match=r"trip\.csv'.*'trips\.csv'\?"):
            ingested(data=str(ingested.source / "trip.csv"))


class TestDialect:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_detects_the_delimiter(self, ingested, delimiter):
        found = ingested(GOOD.replace(",", delimiter))

        assert found.rows[4] == {"a": 4, "b": "x1"}

    @pytest.mark.parametrize(
        ("name", "character"), [("semicolon", ";"), ("tab", "\t"), ("\\t", "\t"), ("pipe", "|"), ("@", "@")]
    )
    def test_accepts_the_delimiter_by_name_or_character(self, ingested, name, character):
        assert ingested(GOOD.replace(",", character), reading=Reading(delimiter=name)).types == {
            "a": "INT",
            "b": "STRING",
        }

    def test_decimal_commas_are_not_delimiters(self, ingested):
        assert ingested("a;b\n1,5;2,5\n3,5;4\n").rows == [{"a": 1.5, "b": 2.5}, {"a": 3.5, "b": 4.0}]

    def test_commas_inside_quotes_are_not_delimiters(self, ingested):
        assert ingested('a;"b, c, d"\n1;2\n').manifest.renamed == {"b, c, d": "b__c__d"}

    def test_the_wrong_delimiter(self, ingested):
        with pytest.raises(InputError, match=r"data\.csv'.*';'.*'a,b'.*delimiter=','"):
            ingested(GOOD, reading=Reading(delimiter=";"))

    def test_a_delimiter_that_is_not_detected(self, ingested):
        with pytest.raises(InputError, match=r"data\.csv'.*'a\^b'.*delimiter='\^'"):
            ingested(GOOD.replace(",", "^"))

    @pytest.mark.parametrize("content", ["price_($)\n1\n2\n", "a-b\n1-2\n3-4\n", "a^b\n", "mail@\nx@y\nnone\n"])
    def test_a_single_column_is_valid(self, ingested, content):
        if content == "a^b\n":
            with pytest.raises(DataError, match=r"data\.csv'"):
                ingested(content)
        else:
            assert len(ingested(content).manifest.columns) == 1

    @pytest.mark.parametrize("delimiter", ["::", '"', "\n", "a", "1"])
    def test_an_invalid_delimiter(self, ingested, delimiter):
        with pytest.raises(InputError, match=rf"comma.*tab.*delimiter={re.escape(repr(delimiter))}"):
            ingested(GOOD, reading=Reading(delimiter=delimiter))

    @pytest.mark.parametrize(
        "content", [GOOD.encode(), b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()]
    )
    def test_byte_order_marks_and_carriage_returns_are_ignored(self, ingested, content):
        found = ingested(content)

        assert (found.types, found.manifest.rows) == ({"a": "INT", "b": "STRING"}, 300)
        assert found.rows[0] == {"a": 0, "b": "x0"}

    def test_a_title_above_the_header(self, ingested):
        with pytest.raises(DataError, match=r": 2 of 2.*data\.csv:2: .*'a,b,c'"):
            ingested("My report\na,b,c\n1,2,3\n")

    @pytest.mark.parametrize("name", ["trips[1].csv", "a*.csv", "it's.csv", "what?.csv", "two words.csv"])
    def test_any_file_name(self, ingested, name):
        assert ingested(GOOD, name).manifest.rows == 300


class TestTypes:
    @pytest.mark.parametrize(
        ("values", "type_", "kept"),
        [
            (["1", "-2", "+3"], "INT", [1, -2, 3]),
            (["9007199254740992", "-9007199254740992"], "INT", [2**53, -(2**53)]),
            (["9007199254740993", "1"], "STRING", ["9007199254740993", "1"]),
            (["12345678901234567890", "1"], "STRING", ["12345678901234567890", "1"]),
            (["1.5e-3", "2", "1e3"], "FLOAT", [0.0015, 2.0, 1000.0]),
            (["0.5", "1e-05"], "FLOAT", [0.5, 0.00001]),
            (["1.5", "2", "1e3"], "STRING", ["1.5", "2", "1e3"]),
            (["1", "NaN", "inf"], "FLOAT", [1.0, None, None]),
            (["01234", "1"], "STRING", ["01234", "1"]),
            (["0", "10", "0.5"], "FLOAT", [0.0, 10.0, 0.5]),
            (["true", "False", "TRUE"], "INT", [1, 0, 1]),
            (["true", "1"], "STRING", ["true", "1"]),
            (["1970-01-01", "2025-01-06"], "INT", [0, 1736121600]),
            (["2025-01-06 12:00:00", "1969-12-31 23:59:59.5"], "INT", [1736164800, -1]),
            (["2025-01-06T12:00:00+02:00", "2025-01-06T10:00:00Z"], "INT", [1736157600, 1736157600]),
            (["2025-01-06 12:00:00 Europe/Berlin", "2025-01-06 10:00:00"], "INT", [1736161200, 1736157600]),
            (["12:30", "0:15"], "STRING", ["12:30", "0:15"]),
            (["0x1F", "0b1"], "STRING", ["0x1F", "0b1"]),
            (["yes", "no"], "STRING", ["yes", "no"]),
            (["#1", "# 2"], "STRING", ["#1", "# 2"]),
            (["straße", "日本"], "STRING", ["straße", "日本"]),
        ],
    )
    def test_a_column_has_the_type_of_its_values(self, ingested, values, type_, kept):
        found = ingested("x,y\n" + "".join(f"{value},1\n" for value in values))

        assert found.types["x"] == type_
        assert [row["x"] for row in found.rows] == kept

    def test_missing_values(self, ingested):
        words = ["", "NA", "N/A", "NULL", "null", "NaN", "nan"]
        found = ingested("x,y\n" + "".join(f"{word},a\n" for word in words) + "7,None\n")

        assert [row["x"] for row in found.rows] == [None] * 7 + [7]
        assert found.rows[-1]["y"] == "None"

    def test_an_empty_column_is_text(self, ingested):
        assert ingested("x,y\n,1\n,2\n").types == {"x": "STRING", "y": "INT"}

    def test_a_few_bad_values_do_not_change_the_type(self, ingested):
        numbers = "".join(f"{number},1\n" for number in range(5, 104))
        found = ingested(f"x,y\n{numbers}#REF!,1\n")

        assert found.types["x"] == "INT"
        assert [(row.line, row.column) for row in found.rejected] == [(101, "x")]

    def test_more_bad_values_make_it_text(self, ingested):
        numbers = "".join(f"{number},1\n" for number in range(98))
        found = ingested(f"x,y\n{numbers}#REF!,1\n--5,1\n")

        assert (found.types["x"], found.rejected) == ("STRING", [])

    @pytest.mark.parametrize("share", [0.5, 1])
    def test_words_are_text_whatever_the_maximum_share(self, ingested, share):
        assert ingested("x,y\na,2025-01-06\nb,c\n3,d\n", max_bad_share=share).types == {"x": "STRING", "y": "STRING"}

    def test_a_column_may_have_an_internal_name(self, ingested):
        found = ingested("tiffin_split,train\n1,x\n2,y\n")

        assert found.rows == [{"tiffin_split": 1, "train": "x"}, {"tiffin_split": 2, "train": "y"}]


class TestBadRows:
    RAGGED = 'a,b\n1,"x\ny"\n2\n3,z,q\n4,"w\nw"\n1.2.3,\n' + "".join(f"{number},k\n" for number in range(5))

    @pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
    def test_are_listed_with_the_line_number_of_the_file(self, ingested, name):
        content = self.RAGGED.encode()
        found = ingested(gzip.compress(content) if name.endswith(".gz") else content, name, max_bad_share=0.4)

        assert [(row.line, row.text) for row in found.rejected] == [(4, "2"), (5, "3,z,q"), (8, "1.2.3")]
        assert [(row.column, row.reason) for row in found.rejected] == [
            ("", "too few values"), ("", "too many values"), ("a", "not a number"),
        ]  # fmt: skip
        assert all(row.source == str(ingested.source / name) for row in found.rejected)
        assert found.manifest.set_aside.rows == 3
        assert [row["b"] for row in found.rows] == ["x\ny", "w\nw", "k", "k", "k", "k", "k"]

    def test_with_two_errors_count_once(self, ingested):
        good = "".join(f"{number},{number}\n" for number in range(300))
        found = ingested(f"a,b\n{good}#REF!,#NUM!\n#REF!,#NUM!,z\n")

        assert [row.line for row in found.rejected] == [302, 303]

    @pytest.mark.parametrize(("bad", "passes"), [(3, True), (4, False)])
    def test_are_accepted_up_to_the_maximum_share(self, ingested, bad, passes):
        content = "a,b\n" + "1,x\n" * (300 - bad) + "1\n" * bad
        if passes:
            assert ingested(content).manifest.set_aside.rows == bad
        else:
            with pytest.raises(DataError, match=r"1\.00%.*max_bad_share.*: 4 of 300, 1\.33%.*data\.csv:298: "):
                ingested(content)
            assert ingested.left() == []

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_the_maximum_share_is_from_0_to_1(self, ingested, share):
        with pytest.raises(InputError, match=rf"max_bad_share={share}"):
            ingested(GOOD, max_bad_share=share)

    def test_may_be_all_rows_with_a_maximum_share_of_1(self, ingested):
        found = ingested("a,b\n1\n2\n", max_bad_share=1)

        assert (found.manifest.rows, found.manifest.set_aside.rows) == (0, 2)

    def test_the_first_thousand_are_listed(self, ingested):
        found = ingested("a,b\n1,2\n" + "1\n" * 1200, max_bad_share=1)

        assert (len(found.rejected), found.manifest.set_aside.rows) == (1000, 1200)

    def test_a_stray_quote_rejects_one_row(self, ingested):
        found = ingested(GOOD + '2,"a"b\n3,x"y\n4,"q""r"\n')

        assert [(row.line, row.text) for row in found.rejected] == [(302, '2,"a"b')]
        assert [row["b"] for row in found.rows[-2:]] == ['x"y', 'q"r']

    @pytest.mark.parametrize("after", [1, 300, 100_000])
    def test_an_unclosed_quote_does_not_drop_rows_silently(self, ingested, after):
        with pytest.raises(DataError, match=r'data\.csv:302: 1,"x'):
            ingested(GOOD + '1,"x\n' + "5,k\n" * after, max_bad_share=1)

    def test_an_unclosed_quote_in_the_last_row_rejects_one_row(self, ingested):
        assert [row.line for row in ingested(GOOD + '1,"x\n').rejected] == [302]

    def test_a_line_longer_than_two_megabytes(self, ingested):
        found = ingested(GOOD + f'1,"{"x" * 2_100_000}"\n2,y\n')

        assert [row.line for row in found.rejected] == [302]
        assert found.rows[-1] == {"a": 2, "b": "y"}

    def test_in_several_files(self, ingested):
        found = ingested({"1.csv": GOOD + "1\n", "2.csv": GOOD + "2\n3,4,5\n"})

        assert [(row.source[-5:], row.line) for row in found.rejected] == [
            ("1.csv", 302),
            ("2.csv", 302),
            ("2.csv", 303),
        ]


class TestSeveralFiles:
    def test_are_read_in_name_order(self, ingested):
        found = ingested({"b.csv": "x,y\n3,c\n", "a.csv": "x,y\n1,a\n", "sub/c.csv.gz": gzip.compress(b"x,y\n4,d\n")})

        assert [row["x"] for row in found.rows] == [1, 3, 4]
        assert [source.uri[len(str(ingested.source)) :] for source in found.manifest.sources] == [
            "/a.csv", "/b.csv", "/sub/c.csv.gz",
        ]  # fmt: skip

    def test_by_a_glob(self, ingested):
        for name in ("a1.csv", "a2.csv", "b1.csv"):
            ingested.write(f"x\n{name[1]}\n", name)

        assert [row["x"] for row in ingested(data=f"{ingested.source}/a?.csv").rows] == [1, 2]

    @pytest.mark.parametrize("table", [False, True])
    def test_a_file_name_with_glob_characters_is_not_expanded(self, ingested, table):
        def content(number):
            return pa.table({"x": [number]}) if table else f"x\n{number}\n"

        path = ingested.write(content(1), "day[1]*.csv")
        ingested.write(content(2), "day1*.csv")
        ingested.write(content(3), "day1.csv")

        assert ingested(data=str(path)).rows == [{"x": 1}]

    def test_may_differ_in_column_order_and_delimiter(self, ingested):
        found = ingested({"1.csv": "a,b\n1,x\n", "2.csv": "b;a\ny;2\n"})

        assert found.rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]

    def test_with_different_columns(self, ingested):
        with pytest.raises(InputError, match=r"2\.csv',.*1\.csv'.* b, c\."):
            ingested({"1.csv": "a,b\n1,x\n", "2.csv": "a,c\n2,y\n"})

    @pytest.mark.parametrize("names", [("1.csv", "2.csv"), ("2.csv", "1.csv")])
    def test_integers_in_one_and_floats_in_another_are_floats(self, ingested, names):
        found = ingested({names[0]: "a\n1\n2\n", names[1]: "a\n1.5\n2.5\n"})

        assert found.types == {"a": "FLOAT"}
        assert sorted(row["a"] for row in found.rows) == [1.0, 1.5, 2.0, 2.5]

    def test_an_empty_column_in_one_has_the_type_of_the_others(self, ingested):
        assert ingested({"1.csv": "a,b\n,x\n", "2.csv": "a,b\n5,x\n"}).types == {"a": "INT", "b": "STRING"}

    def test_numbers_in_one_and_words_in_another_are_text(self, ingested):
        assert ingested({"1.csv": "a\n1\n", "2.csv": "a\nx\n"}).types == {"a": "STRING"}

    def test_of_parquet_are_widened(self, ingested):
        found = ingested(
            {"1.parquet": pa.table({"a": [1, 2], "b": [None, None]}), "2.parquet": pa.table({"a": [1.5], "b": ["x"]})}
        )

        assert found.rows == [{"a": 1.0, "b": None}, {"a": 2.0, "b": None}, {"a": 1.5, "b": "x"}]

    def test_of_parquet_with_incompatible_types(self, ingested):
        with pytest.raises(InputError, match=r"'a', BIGINT in '.*1\.parquet' and VARCHAR in '.*2\.parquet'"):
            ingested({"1.parquet": pa.table({"a": [1]}), "2.parquet": pa.table({"a": ["x"]})})

    def test_csv_beside_parquet(self, ingested):
        found = ingested({"1.csv": "a,b\n1,x\n", "2.parquet": pa.table({"b": ["y"], "a": [2.5]})})

        assert found.rows == [{"a": 1.0, "b": "x"}, {"a": 2.5, "b": "y"}]

    def test_in_a_bucket(self, ingested):
        with gcs_emulator.serve() as bucket:
            bucket.put("trips/a.csv", b"a,b\n1,x\n")
            bucket.put("trips/b.csv.gz", gzip.compress(b"a,b\n2,y\n3\n"))
            found = ingested(data=f"gs://{bucket.name}/trips", max_bad_share=0.5)

        assert found.rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        assert [(row.source, row.line) for row in found.rejected] == [("gs://bucket/trips/b.csv.gz", 3)]
        assert all(source.generation for source in found.manifest.sources)

    def test_in_a_bucket_on_s3(self, ingested, tmp_path):
        pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
        pq.write_table(pa.table({"a": [2]}), tmp_path / "2.parquet")
        with s3_server.serve() as store:
            for name in ("1.parquet", "2.parquet"):
                store.put(f"trips/{name}", (tmp_path / name).read_bytes())
            store.put("trips/readme.txt", b"not data")
            found = ingested(data=f"s3://{store.name}/trips/*.parquet")

        assert found.rows == [{"a": 1}, {"a": 2}]
        assert [source.uri for source in found.manifest.sources] == [
            "s3://bucket/trips/1.parquet", "s3://bucket/trips/2.parquet",
        ]  # fmt: skip


class TestParquet:
    def test_types(self, ingested):
        noon = datetime.datetime(2025, 1, 6, 12)
        found = ingested(
            pa.table(
                {
                    "flag": [True],
                    "narrow": pa.array([7], pa.int8()),
                    "single": pa.array([1.5], pa.float32()),
                    "price": [Decimal("1.25")],
                    "day": [datetime.date(2025, 1, 6)],
                    "moment": [noon],
                    "zoned": pa.array([noon], pa.timestamp("us", "Europe/Berlin")),
                    "time": [datetime.time(12)],
                    "category": pa.array(["q"]).dictionary_encode(),
                    "bytes": [b"ab"],
                    "nothing": pa.nulls(1),
                }
            ),
            "data.parquet",
        )
        # An old pyarrow writes times of day as UTC into the file.
        time = "12:00:00+00" if int(pa.__version__.split(".")[0]) < 15 else "12:00:00"

        assert found.rows == [
            {
                "flag": 1, "narrow": 7, "single": 1.5, "price": 1.25, "day": 1736121600, "moment": 1736164800,
                "zoned": 1736164800, "time": time, "category": "q", "bytes": "ab", "nothing": None,
            }
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("values", "type_"),
        [
            (pa.array([[1]]), r"BIGINT\[\]"),
            (pa.array([[Decimal("1.5")]]), r"DECIMAL\(2,1\)\[\]"),
            (pa.array([{"x": 1}]), r"STRUCT\(x BIGINT\)"),
            (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), r"MAP\(VARCHAR, BIGINT\)"),
        ],
    )
    def test_nested_types(self, ingested, values, type_):
        table = pa.table({"a": values, "b": [2]})
        with pytest.raises(InputError, match=rf"column 'a' .* {type_}\..*exclude"):
            ingested(table, "data.parquet")

        assert ingested.left() == []
        assert ingested(table, "data.parquet", exclude=["a"]).rows == [{"b": 2}]

    def test_is_detected_by_its_content(self, ingested):
        buffer = io.BytesIO()
        pq.write_table(pa.table({"a": [1]}), buffer)

        assert ingested(buffer.getvalue(), "data.bin").rows == [{"a": 1}]

    def test_damaged(self, ingested):
        buffer = io.BytesIO()
        pq.write_table(pa.table({"a": list(range(100_000))}), buffer)
        whole = buffer.getvalue()
        middle = len(whole) // 3
        noise = random.Random(1).randbytes(2000)
        for content in (
            b"",
            b"a,b\n1,2\n",
            whole[: len(whole) // 2],
            whole[:middle] + noise + whole[middle + 2000 :],
            whole[:-200] + noise[:192] + whole[-8:],
        ):
            with pytest.raises(InputError, match=r"data\.parquet'.*Parquet"):
                ingested(content, "data.parquet")
            assert ingested.left() == []


class TestRangesOfTimes:
    def test_dates_beyond_those_of_timestamps_are_read(self, ingested):
        days = [0, 109_000_000, -109_000_000, None]
        found = ingested(
            pa.table({"day": pa.array(days, pa.int32()).cast(pa.date32()), "x": [1, 2, 3, 4]}), "data.parquet"
        )

        assert [row["day"] for row in found.rows] == [None if day is None else 86400 * day for day in days]

    def test_timestamps_beyond_the_range_are_refused(self, ingested):
        # Milliseconds: the year 296,675.
        times = pa.array([0, 9_300_000_000_000_000], pa.int64()).cast(pa.timestamp("ms"))
        with pytest.raises(InputError, match=r"294247.*data\.parquet'"):
            ingested(pa.table({"time": times}), "data.parquet")
        assert ingested.left() == []


class TestFiniteNumbers:
    @pytest.mark.parametrize("type_", [pa.float64(), pa.float32()])
    @pytest.mark.parametrize(
        "values", [[], [None, None], [1.5, float("nan")], [float("-inf"), 0.5], [float("inf"), None]]
    )
    def test_others_are_missing(self, ingested, values, type_):
        rows = [*values, 0.25]
        found = ingested(pa.table({"x": pa.array(rows, type_), "row": range(len(rows))}), "data.parquet")

        assert [row["x"] for row in sorted(found.rows, key=lambda row: row["row"])] == [
            None if value is None or not math.isfinite(value) else value for value in rows
        ]

    def test_the_version_is_that_of_the_values(self, ingested, tmp_path):
        def version(number, values):
            table = pa.table({"x": pa.array(values, pa.float64()), "y": ["a", "b"]})
            return Ingest(tmp_path / str(number))(table, "data.parquet").manifest.version

        with_nan, with_none, other = (version(*pair) for pair in enumerate([[1.5, math.nan], [1.5, None], [1.5, 2.0]]))

        assert with_nan == with_none != other


class TestLargeNumbers:
    TABLE = pa.table({"id": pa.array([1, (1 << 64) - 1], pa.uint64()), "x": [1, 2]})

    @pytest.mark.parametrize(
        ("values", "type_"),
        [
            ([1, (1 << 64) - 1], pa.uint64()),
            ([1, (1 << 53) + 1], pa.int64()),
            ([-(1 << 53) - 1, None], pa.int64()),
            ([Decimal(1), Decimal(12345678901234567890)], pa.decimal128(20, 0)),
        ],
    )
    def test_beyond_the_integers_of_a_float_are_text(self, ingested, values, type_):
        found = ingested(pa.table({"id": pa.array(values, type_)}), "data.parquet")

        assert [row["id"] for row in found.rows] == [None if value is None else str(value) for value in values]
        assert [(note.code, note.column, note.count) for note in found.manifest.notes] == [("LARGE_INTEGERS", "id", 1)]

    def test_stay_integers_where_declared(self, ingested):
        table = pa.table({"id": [1, (1 << 53) + 1]})
        found = ingested(table, "data.parquet", reading=Reading(types={"id": "integer"}))

        assert found.rows == [{"id": 1}, {"id": (1 << 53) + 1}]

    def test_may_be_derived_from_and_dropped(self, ingested):
        found = ingested(self.TABLE, "data.parquet", derive={"name": "CAST(id AS VARCHAR)"}, exclude=["id"])

        assert [row["name"] for row in found.rows] == ["1", "18446744073709551615"]

    def test_that_fit_are_kept(self, ingested):
        assert ingested(pa.table({"id": pa.array([7, None], pa.uint64())}), "data.parquet").rows[0] == {"id": 7}
