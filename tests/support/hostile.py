"""Names and values that would change a report or a terminal if they were shown as they are."""

import unicodedata

HOSTILE = (
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    '<img src=x onerror="alert(1)">',
    "</td></table><iframe src=//h>",
    "<!-- ",
    "<![CDATA[<b>",
    "<?php x ?>",
    "&lt;b&gt; &#60;b&#62;",
    "a|b | c",
    "`code` ``x``",
    "```\nblock\n```",
    "[a](javascript:alert(1)) ![b](http://h/x.png)",
    "http://h/x www.h.example a@h.example",
    "\\<b\\> \\",
    "line 1\nerror: line 2\r\n# title",
    "\x1b[2J\x1b[H training SUCCEEDED",
    "\x1b]0;title\x07\x1b]8;;http://h\x1b\\link",
    "\x9b2J \x85 \x7f \x00",
    "\u202eevil\u202c \u2066x\u2069 \u200b \ufeff \u2028",
    "[red]x[/red] [link=http://h]y[/link] [/]",
    "\ud800 alone",
    "{x} %s %(x)s $x",
    "1. a",
    "---",
    "+ a",
    "- a\n- b\n\n    code",
)
# Values that a CSV file in UTF-8 can hold on one line.
IN_FILES = tuple(text for text in HOSTILE if "\n" not in text and "\x00" not in text and "\ud800" not in text)


def controls(text: str) -> list[str]:
    """Return the characters of a text that control a terminal or the direction of text, apart from line ends."""
    return [
        letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter != "\n"
    ]
