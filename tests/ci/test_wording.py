"""A lint of the tests: they compare codes, values and names, not sentences, so that wording can change.

A literal breaks the rule if it has two plain lower-case words in a row outside quotes and backticks. The lint checks
literals in `match=`, as of `pytest.raises`, and those that an assertion compares with an error's text or a program's output
by `in`, `==`, `startswith`, `endswith` or a regular expression.
Parameters of a test count as literals where it passes them on.
A comment `# contract: <which>` on the line allows a text that others depend on.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# The model server must return TensorFlow Serving's exact error texts, so its tests compare sentences.
EXEMPT = {"model_server"}
# An expression with one of these words in its names is an error's text or a program's output.
TEXTS = {"stderr", "stdout", "output", "out", "err", "message", "messages", "error", "errors", "value"}
METHODS = {"startswith", "endswith"}
PATTERNS = {"re.search", "re.match", "re.fullmatch", "re.findall"}
BREAK = "\0"
PARAMETRISED = """@pytest.mark.parametrize(("x", "m"), [(1, "'a'"), pytest.param("an old", "It should be")])
def test(x, m):
    {}
"""


def read_literal(node: ast.AST) -> str:
    """Return the text of a literal, with `BREAK` in place of everything that is computed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(read_literal, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return read_literal(node.left) + read_literal(node.right)
    return BREAK


def without_regex(pattern: str) -> str:
    """Return a pattern's text, with `BREAK` in place of wildcards, groups and anchors."""
    pattern = re.sub(r"\\[AbBdDsSwWZ]|\.[*+]\??|(?<!\\)\[(?:\\.|[^\]\\])*\]|\(\?[a-z]+\)", BREAK, pattern)
    pattern = re.sub(r"(?<!\\)(?:\(\?[:=!<]*|[()|^$])", BREAK, pattern)
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[?*+]", "", pattern))


def find_words(text: str) -> str | None:
    """Return the first plain words in a row outside quotes and commands, or None."""
    bare = re.sub(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`|\b(?:make|tiffin|pip) [a-z]+", BREAK, text)
    found = re.search(r"(?:(?<=[\s(\0])|^)[a-z]{2,}(?: [a-z]{2,})+(?=[.,;:!?)]*(?:[\s\0]|$))", bare)
    return found and found[0]


def names_in(node: ast.AST) -> set[str]:
    """Return all names and attributes in an expression, and their longer words: `left_out` is no output."""
    names = [(getattr(part, "id", None) or getattr(part, "attr", "")).lower() for part in ast.walk(node)]
    return {*names, *(word for name in names for word in name.split("_") if len(word) > 3)}


def find_patterns(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the values of `match=`, and the patterns in assertions about a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "match")
    for node in find_in_assertions(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PATTERNS:
            yield node.args[0]


def find_comparisons(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what assertions compare with a text: the left side of `in`, both of `==`, the argument of `startswith`."""
    for node in find_in_assertions(tree):
        if isinstance(node, ast.Compare):
            yield node.left
            if isinstance(node.ops[0], ast.Eq | ast.NotEq):
                yield from flatten(node.comparators)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            yield from node.args


def flatten(nodes: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """Yield expressions, and those in tuples and lists."""
    for node in nodes:
        if isinstance(node, ast.List | ast.Tuple):
            yield from flatten(node.elts)
        else:
            yield node


def find_in_assertions(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the expressions of assertions about a text."""
    for found in ast.walk(tree):
        # The names of the whole assertion count: a comprehension takes its lines from such a text.
        if isinstance(found, ast.Assert) and names_in(found.test) & TEXTS:
            yield from ast.walk(found.test)


def find_parameters(function: ast.FunctionDef) -> dict[str, list[ast.expr]]:
    """Return the values of each parameter of a test, as `pytest.mark.parametrize` lists them."""
    found: dict[str, list[ast.expr]] = {}
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.parametrize":
            names = read_names(mark.args[0])
            for row in getattr(mark.args[1], "elts", []):
                values = (row.args if isinstance(row, ast.Call) else getattr(row, "elts", [])) if names[1:] else [row]
                for name, value in zip(names, values, strict=False):
                    found.setdefault(name, []).append(value)
    return found


def read_names(node: ast.expr) -> list[str]:
    names = ast.literal_eval(node)
    return names.replace(" ", "").split(",") if isinstance(names, str) else list(names)


def with_parameters(tree: ast.AST, find: Callable[[ast.AST], Iterator[ast.expr]]) -> Iterator[ast.expr]:
    """Yield the expressions that `find` finds, and the literals in the parameters that they use."""
    yield from find(tree)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and (parameters := find_parameters(function)):
            for name in {part.id for node in find(function) for part in ast.walk(node) if isinstance(part, ast.Name)}:
                yield from flatten(parameters.get(name, []))


def find_sentences(source: str) -> list[tuple[int, str]]:
    """Return the line and the words of each literal that breaks the rule."""
    tree, lines = ast.parse(source), source.splitlines()
    literals = [(node, without_regex(read_literal(node))) for node in with_parameters(tree, find_patterns)]
    literals += [(node, read_literal(node)) for node in with_parameters(tree, find_comparisons)]
    return sorted(
        {
            (node.lineno, words)
            for node, text in literals
            if (words := find_words(text))
            and not any("# contract: " in line for line in lines[node.lineno - 1 : node.end_lineno])
        }
    )


def test_no_source():
    assert find_sentences("") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", None),
        ("fare", None),
        ("exclude.*7", None),
        ("'no such column' in `any old file`", None),
        ("eval, train. Received: split='test'", None),
        ("run `make golden`, make images-push or tiffin compile", None),
        ("a b c", None),
        ("stable.config in gs://bucket", None),
        ("a model's name", None),
        ("It should be 3.", "should be"),
        ("(no such file).", "no such file"),
    ],
)
def test_words_in_a_row(text, words):
    assert find_words(text) == words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("pytest.raises(X, match=r\"'a'\\. .*(7|8)\")", []),
        ('pytest.raises(X, match=re.escape("should be"))', []),
        ('pytest.raises(X, match=r"should.*be")', []),
        ('pytest.raises(X, match=r"(should|be) x")', []),
        ('pytest.raises(X, match=r"fare\\ should be")', ["fare should be"]),
        ('pytest.warns(X, match=f"{name} should be")', ["should be"]),
        ('pytest.raises(X, match="should " + "be")', ["should be"]),
        ('pytest.raises(X, match="should be")  # contract: X', []),
        ('assert "should be" in known', []),
        ("assert f\"'{x}'\" in done.stderr", []),
        ('assert "should be" in str(caught.value)', ["should be"]),
        ('assert "should be" in done', []),
        ('refused(x, match="should be")', ["should be"]),
        ('assert "should be" in str(error)', ["should be"]),
        ('assert all("should be" not in line for line in done.stdout.splitlines())', ["should be"]),
        ('assert "should be" in capsys.readouterr().err', ["should be"]),
        ('assert result.output == "It should be x"', ["should be"]),
        ('assert (done.returncode, done.stderr) == (1, "It should be x")', ["should be"]),
        ('assert done.stderr.startswith("It should be x")', ["should be"]),
        ('assert re.search(r"It should be\\.$", done.stderr)', ["should be"]),
        ('assert re.search(r"should.*be", done.stderr)', []),
        ('assert done.stderr != "fare"', []),
        (PARAMETRISED.format("pytest.raises(X, match=m)"), ["should be"]),
        (PARAMETRISED.format('pytest.raises(X, match=f"{{x}}")'), []),
        (PARAMETRISED.format("assert m in done.stderr"), ["should be"]),
    ],
)
def test_sentences_of_a_source(source, words):
    assert [found for _, found in find_sentences(source)] == words


@pytest.mark.parametrize(
    "folder", sorted({path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")} - EXEMPT)
)
def test_tests_compare_no_sentences(folder):
    top = TESTS / folder
    found = [
        f"{path.relative_to(TESTS.parent)}:{line}: {words}"
        for path in sorted(top.rglob("*.py") if top.is_dir() else [top])
        for line, words in find_sentences(path.read_text())
    ]

    assert not found, "Compare names and values instead:\n" + "\n".join(found)
