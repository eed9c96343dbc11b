"""Draw charts of Altair as SVG, without a browser, in colours that the page sets.

The SVG has no script and loads nothing. Its colours are CSS variables, so that one drawing fits a light and a dark page, and
each mark has a title, which browsers show when the pointer is over it.
"""

import math
import re
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

from tiffin.printing import printable

WIDTH, HEIGHT = 280, 210
# The Vega-Lite whose schema the installed Altair follows; vl-convert has several.
_VEGA_LITE = re.sub(r"^v(\d+\.\d+).*", r"\1", alt.SCHEMA_VERSION)
_SVG = "http://www.w3.org/2000/svg"
INK, FAINT, LINE, PAPER = "var(--ink)", "var(--faint)", "var(--line)", "var(--paper)"
# Colours of series, in order.
SERIES = tuple(f"var(--series-{number})" for number in range(1, 5))
_LONGEST_LABEL = 24

_CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "padding": {"left": 8, "right": 8, "top": 4, "bottom": 2},
    "view": {"stroke": None},
    "axis": {
        "labelColor": FAINT, "titleColor": INK, "gridColor": LINE, "domainColor": FAINT, "tickColor": FAINT,
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 150, "tickCount": 5,
        "labelOverlap": True,
    },
    "legend": {"labelColor": INK, "title": None, "labelFontSize": 11, "orient": "top", "symbolType": "square"},
    "range": {"category": list(SERIES)},
    "bar": {"color": SERIES[0]}, "line": {"color": SERIES[0], "strokeWidth": 2}, "rule": {"color": FAINT},
    "point": {"color": SERIES[0], "filled": True, "size": 40}, "text": {"color": INK},
}  # fmt: skip


def rows(**columns: Any) -> alt.Data:
    """Return columns of equal length as the data of a chart."""
    names = list(columns)
    return alt.Data(values=[dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)])


def labels(texts: list[str]) -> list[str]:
    """Return texts as labels of an axis: short, not empty, and all different."""
    found: list[str] = []
    for text in map(printable, texts):
        short = text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
        label, number = short or "(empty)", 1
        while label in found:
            number += 1
            label = f"{short} ({number})"
        found.append(label)
    return found


def choose(test: str, colour: str, other: str) -> alt.ColorValue:
    """Return a colour for the rows that pass a test of Vega, such as `datum.mean < 0`, and another one for the others.

    The class itself is given, since Altair looks for the class of `alt.condition` for milliseconds.
    """
    return alt.ColorValue(other, condition={"test": test, "value": colour})


def draw(chart: Any, name: str) -> str:
    """Return a chart as an SVG element for an HTML page.

    Args:
        chart: Chart of Altair with inline data.
        name: Name that no other chart of the page has: letters, digits and `-`. IDs of the SVG start with it.
    """
    # The specification is ours and not checked against the schema: that takes longer than the drawing.
    specification = _printable(chart.to_dict(validate=False))
    specification["config"] = _CONFIG
    return _embedded(vl_convert.vegalite_to_svg(specification, vl_version=_VEGA_LITE), name)


def _printable(value: Any) -> Any:
    """Return a specification that is JSON, with control characters, which SVG cannot have, escaped."""
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # which Vega-Lite leaves out
    return printable(value) if isinstance(value, str) else value


def _embedded(drawn: str, name: str) -> str:
    """Return an SVG that can stand beside others in one page."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - drawn here, with all texts escaped
    for element in list(root.iter()):
        title = element.attrib.pop("aria-label", "")
        if title and element.tag != f"{{{_SVG}}}g":  # a mark, not a group of them or an axis
            ElementTree.SubElement(element, f"{{{_SVG}}}title").text = title
        for attribute in [a for a in element.attrib if a.startswith("aria-") or a in ("role", "version")]:
            del element.attrib[attribute]
        for attribute, value in element.attrib.items():
            if attribute == "id":
                element.set("id", f"{name}-{value}")
            elif value.startswith("url(#"):
                element.set(attribute, value.replace("url(#", f"url(#{name}-"))
    root.set("class", "chart")
    root.set("role", "img")
    return ElementTree.tostring(root, encoding="unicode")
