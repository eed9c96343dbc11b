"""Draw charts of Altair as SVG, without a browser, in colours that the page sets.

The SVG has no script and loads nothing. Its colours are CSS variables, so that one drawing fits a light and a dark page, and
each mark has a title, which browsers show when the pointer is over it.
"""

import re
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

# The Vega-Lite whose schema the installed Altair follows; vl-convert has several.
_VEGA_LITE = re.sub(r"^v(\d+\.\d+).*", r"\1", alt.SCHEMA_VERSION)
_SVG = "http://www.w3.org/2000/svg"
_FONT = "system-ui, sans-serif"
INK, FAINT, LINE = "var(--ink)", "var(--faint)", "var(--line)"
# Colours of series, in order.
SERIES = tuple(f"var(--series-{number})" for number in range(1, 5))

_CONFIG = {
    "background": "transparent",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": FAINT, "titleColor": INK, "gridColor": LINE, "domainColor": FAINT, "tickColor": FAINT,
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 150,
    },
    "legend": {"labelColor": INK, "title": None, "labelFontSize": 11, "orient": "top", "symbolType": "square"},
    "title": {"color": INK, "fontSize": 12, "fontWeight": "normal", "anchor": "start"},
    "range": {"category": list(SERIES)},
    "bar": {"color": SERIES[0]}, "line": {"color": SERIES[0], "strokeWidth": 2}, "rule": {"color": FAINT},
    "point": {"color": SERIES[0], "filled": True, "size": 40}, "text": {"color": INK},
}  # fmt: skip


def rows(**columns: Any) -> alt.Data:
    """Return columns of equal length as the data of a chart."""
    names = list(columns)
    return alt.Data(values=[dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)])


def draw(chart: alt.TopLevelMixin, name: str) -> str:
    """Return a chart as an SVG element for an HTML page.

    Args:
        chart: Chart of Altair with inline data.
        name: Name that no other chart of the page has: letters, digits and `-`. IDs of the SVG start with it.
    """
    # The specification is ours and not checked against the schema: that takes longer than the drawing.
    specification = chart.to_dict(validate=False)
    specification["config"] = _CONFIG
    drawn = vl_convert.vegalite_to_svg(specification, vl_version=_VEGA_LITE)
    return _embedded(drawn, name)


def _embedded(drawn: str, name: str) -> str:
    """Return an SVG that can stand beside others in one page."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - drawn here, with all texts escaped
    for element in root.iter():
        title = element.attrib.pop("aria-label", "")
        if element.get("role") == "graphics-symbol" and title:
            ElementTree.SubElement(element, f"{{{_SVG}}}title").text = title
        for attribute in [a for a in element.attrib if a.startswith("aria-") or a == "role"]:
            del element.attrib[attribute]
        for attribute, value in element.attrib.items():
            if attribute == "id":
                element.set("id", f"{name}-{value}")
            elif value.startswith("url(#"):
                element.set(attribute, value.replace("url(#", f"url(#{name}-"))
    root.attrib.pop("version", None)
    root.set("class", "chart")
    root.set("role", "img")
    return ElementTree.tostring(root, encoding="unicode")
