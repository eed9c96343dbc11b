"""Markdown that shows texts of users literally."""

import pytest

from tiffin.artifacts.markdown import code, escape, example, table


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>alert(1)</script>", r"&lt;script&gt;alert\(1\)&lt;/script&gt;"),
        ("a|b", r"a\|b"),
        ("`rm`", r"\`rm\`"),
        ("two\nlines\r\n\x00", "two lines"),
        ("[x](javascript:1)", r"\[x\]\(javascript\:1\)"),
        ("![x](y)", r"\!\[x\]\(y\)"),
        ("https://x www.y a@b", r"https\://x www\.y a\@b"),
        ("back\\|slash", r"back\\\|slash"),
        ("*a* _b_ ~c~ &lt; #1", r"\*a\* \_b\_ \~c\~ &amp;lt; \#1"),
        ("\u202eevil", "evil"),
        ("Zürich 年齢", "Zürich 年齢"),
        ("- a", r"\- a"),
        ("---", r"\---"),
        ("1. a", r"1\. a"),
        ("-5.5 + 1", "-5.5 + 1"),
    ],
)
def test_text_of_users_is_escaped(text, escaped):
    assert escape(text) == escaped


@pytest.mark.parametrize(
    ("text", "cut"),
    [("", ""), ("x" * 200, "x" * 200), ("x" * 201, "x" * 200 + "..."), ("|" * 201, "\\|" * 200 + "...")],
)
def test_long_examples_are_cut(text, cut):
    assert example(text) == cut


@pytest.mark.parametrize(
    ("name", "shown"), [("", ""), ("fare", "`fare`"), ("fare_2", "`fare_2`"), ("`a", r"\`a"), ("km %", "km %")]
)
def test_plain_names_are_code(name, shown):
    assert code(name) == shown


def test_a_table_without_rows_has_a_header():
    assert table(("a", "b"), []) == ["| a | b |", "|---|---|"]


def test_a_table_aligns_columns_and_keeps_empty_cells():
    assert table(("a", "b"), [("1", "")], "lr") == ["| a | b |", "|---|---:|", "| 1 | |"]
