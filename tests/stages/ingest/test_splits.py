"""Assignment of rows to splits: a row never changes split."""

import math
import random

import duckdb
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.stages.ingest.sources import Column
from tiffin.stages.ingest.splits import _read_text, check_weights, split_expression

WEIGHTS = {"train": 2, "eval": 1}
NUMBERS = [Column("a", "BIGINT"), Column("b", "VARCHAR")]
ROWS = st.lists(st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.text(max_size=5)), max_size=20)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


def place(connection, rows, columns, weights=WEIGHTS, key=""):
    """Return the split of each row."""
    sql = split_expression(check_weights(weights), columns, key)
    values = [[row[index] for row in rows] for index in range(len(columns))]
    given = ", ".join(f"unnest(?::{column.type}[]) AS {column.name}" for column in columns)
    return [row[0] for row in connection.execute(f"SELECT {sql} FROM (SELECT {given})", values).fetchall()]


# Texts that DuckDB reads as numbers or timestamps, and some that it does not.
READ = [
    "2024-01-31", "2024/1/3", "2024 01 31", "2024\\01\\31", "2024-01-31 10:20:30.5", "2024-1-1 1:1:1+02:30", "-0044-03-15",
    "44-03-15 (BC)", "2024-01-31 10:20 America/New_York", "290000-12-31", "+inf", "-infinity", "-nan", "+-3", "1.5E-10", "-.5",
    "5.", "1_000.5", "  7 ", "6\n", "1e400", "12:30", "0x1A", "1e", "1d5", "4e2f", "20240131", "1,5",
]  # fmt: skip


class TestWeights:
    def test_no_splits(self):
        with pytest.raises(InputError, match=r"splits=\{\}"):
            check_weights({})

    def test_are_scaled_and_sorted(self):
        assert list(check_weights({"train": 3, "eval": 1.0}).items()) == [("eval", 0.25), ("train", 0.75)]

    @pytest.mark.parametrize("name", ["", "a b", "a'b", "../x", "1st"])
    def test_names_must_be_identifiers(self, name):
        with pytest.raises(InputError, match=rf"splits\['{name}'\]\."):
            check_weights({name: 1})

    @pytest.mark.parametrize("weight", [0, -1, math.inf, math.nan, True, "1", None])
    def test_must_be_positive_numbers(self, weight):
        with pytest.raises(InputError, match=rf"splits\['train'\]={weight!r}"):
            check_weights({"train": weight})

    def test_are_respected(self, connection):
        found = place(connection, [(number, "x") for number in range(3000)], NUMBERS, {"a": 5, "b": 3, "c": 2})

        for split, share in {"a": 0.5, "b": 0.3, "c": 0.2}.items():
            # Four standard deviations of the binomial; the hash is deterministic, so the test cannot be flaky.
            assert abs(found.count(split) - 3000 * share) < 4 * math.sqrt(3000 * share * (1 - share))

    def test_a_single_split_has_all_rows(self, connection):
        assert place(connection, [(1, "x"), (None, None)], NUMBERS, {"all": 7}) == ["all", "all"]

    def test_changes_move_as_few_rows_as_possible(self, connection):
        rows = [(number, "x") for number in range(1000)]
        before = place(connection, rows, NUMBERS, {"eval": 1, "train": 2})
        after = place(connection, rows, NUMBERS, {"eval": 1, "train": 4})

        assert {pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]} == {("eval", "train")}


class TestARowKeepsItsSplit:
    @given(rows=ROWS, more=ROWS, order=st.randoms())
    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_when_rows_are_added_and_reordered(self, connection, rows, more, order):
        before = dict(zip(rows, place(connection, rows, NUMBERS), strict=True))
        shuffled = [*rows, *more]
        order.shuffle(shuffled)
        after = dict(zip(shuffled, place(connection, shuffled, NUMBERS), strict=True))

        assert {row: after[row] for row in before} == before

    @given(rows=ROWS)
    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_when_integers_become_floats_and_columns_are_reordered(self, connection, rows):
        before = place(connection, rows, NUMBERS)
        after = place(connection, [(b, a) for a, b in rows], [Column("b", "VARCHAR"), Column("a", "DOUBLE")])

        assert after == before

    def test_when_a_date_becomes_a_timestamp(self, connection):
        days = [(f"2025-01-{day:02d}",) for day in range(1, 32)]
        found = [place(connection, days, [Column("a", type_)]) for type_ in ("DATE", "TIMESTAMP", "TIMESTAMP_NS")]

        assert found[0] == found[1] == found[2]

    @pytest.mark.parametrize(
        ("values", "other"),
        [
            ([str(number) for number in range(300)], ["X0"]),
            ([f"{number / 8}" for number in range(300)], ["none yet"]),
            ([f"2025-01-06 12:00:{second:02d}" for second in range(60)], ["later", "tomorrow", "in the end"]),
            ([f"2025-01-06 12:{minute:02d}:00+02:00" for minute in range(60)], ["later", "tomorrow", "in the end"]),
            (["true", "False", "TRUE"], ["maybe", "perhaps"]),
            (["1234", "77"], ["01234"]),
        ],
    )
    def test_when_another_row_turns_its_column_into_text(self, ingested, values, other):
        def places(values):
            content = "a,b\n" + "".join(f"{value},{n + 5}\n" for n, value in enumerate(values))
            found = ingested(content, splits=WEIGHTS, key="a", max_bad_share=0)
            return found.types["a"], {row["b"]: split for split, rows in found.splits.items() for row in rows}

        before, after = places(values), places(values + other)

        assert (before[0] == "STRING", after[0]) == (False, "STRING")
        assert {row: after[1][row] for row in before[1]} == before[1]

    def test_whatever_the_texts_begin_with(self, connection):
        draw = random.Random(1)
        texts = list(READ)
        for _ in range(50_000):
            text = draw.choice(READ)
            for _ in range(draw.randint(1, 3)):
                at = draw.randrange(len(text) + 1)
                text = (
                    text[:at] + draw.choice("0123456789+-.eE_ :/TZ\\\tinfa(BC)x,") * draw.randint(0, 1) + text[at + 1 :]
                )
            texts.append(text)
        # Without the check of how they begin, which only saves time.
        read = "coalesce(TRY_CAST(x AS DOUBLE)::VARCHAR, TRY_CAST(x AS TIMESTAMPTZ)::TIMESTAMP::VARCHAR)"
        starts = "ascii(ltrim(x)) BETWEEN ascii('+') AND ascii('9')"
        found = connection.execute(
            f"SELECT x, {_read_text('x')}, CASE WHEN {starts} THEN coalesce({read}, x) ELSE x END FROM (SELECT unnest(?) AS x)",
            [[text for text in texts if text.lower() not in ("true", "false")]],
        ).fetchall()

        assert [row for row in found if row[1] != row[2]] == []
        assert sum(text != own for text, own, _ in found) > 10_000

    def test_when_columns_are_derived_and_dropped(self, ingested):
        content = "a,b\n" + "".join(f"{number},{number % 7}\n" for number in range(5, 200))
        plain = ingested(content, splits=WEIGHTS)
        other = ingested(content, splits=WEIGHTS, derive={"c": "a * b"}, exclude=["b"])

        for split in ("train", "eval"):
            assert [row["a"] for row in plain.splits[split]] == [row["a"] for row in other.splits[split]]

    def test_when_csv_becomes_parquet(self, ingested):
        content = "a,b,c,d,e\n" + "".join(
            f"{n},{n / 7},w{n % 5},2025-01-06 12:00:{n % 60:02d},2025-01-06\n" for n in range(100)
        )
        csv = ingested(content, splits=WEIGHTS)
        parquet = ingested(pyarrow.csv.read_csv(ingested.source / "data.csv"), "data.parquet", splits=WEIGHTS)

        assert parquet.splits == csv.splits

    def test_missing_values_differ_from_zero(self, connection):
        rows = [(None, str(number)) for number in range(50)] + [(0, str(number)) for number in range(50)]
        found = place(connection, rows, NUMBERS)

        assert found[:50] != found[50:]


class TestKey:
    def test_that_is_not_a_column(self, ingested):
        with pytest.raises(InputError, match=r"key='customr'.* 'customer'\?"):
            ingested("customer\n1\n", key="customr")

    def test_keeps_its_rows_together(self, connection):
        rows = [(number % 40, str(number)) for number in range(400)]
        found = place(connection, rows, NUMBERS, key="a")

        assert all(
            len({split for row, split in zip(rows, found, strict=True) if row[0] == key}) == 1 for key in range(40)
        )
        assert set(found) == {"train", "eval"}

    def test_may_be_missing_and_dropped(self, ingested):
        found = ingested("k,x\n,1\n,2\n,3\n5,4\n", key="k", exclude=["k"], splits=WEIGHTS)

        assert any({1, 2, 3} <= {row["x"] for row in rows} for rows in found.splits.values())
