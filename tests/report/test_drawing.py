"""Charts as SVG."""

import re
import xml.etree.ElementTree as ElementTree

import altair as alt

from tiffin.report.drawing import draw, labels, rows


def chart(**columns):
    return alt.Chart(rows(**columns), width=50, height=50).mark_bar().encode(x="x:N", y="y:Q")


def test_a_chart_without_rows():
    assert draw(chart(x=[], y=[]), "none").startswith("<svg")


def test_marks_have_titles_and_colours_of_the_page():
    svg = draw(chart(x=["a<b>"], y=[2]), "one")

    [title] = [e.text for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert title == "x: a<b>; y: 2"
    assert 'fill="var(--series-1)"' in svg
    assert not re.search(r'(?:fill|stroke)="#', svg)


def test_labels_are_short_and_differ():
    assert labels([]) == []
    assert labels(["", "a", "a", "x" * 30, "x" * 31]) == ["(empty)", "a", "a (2)", "x" * 23 + "…", "x" * 23 + "… (2)"]
