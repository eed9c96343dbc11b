"""The generated pages, and the check of the built site."""

import html
import re
from pathlib import Path

import click
import pytest
import yaml

from generation.__main__ import COPIES
from generation.__main__ import main as main_of_generation
from generation.commands import write_commands
from generation.functions import write_functions
from generation.offline import find_foreign
from support.code_blocks import ROOT, known_variables
from tiffin.authoring.compilation import component_names
from tiffin.commands.main import main
from tiffin.errors import TiffinError
from tiffin.recipe.functions import ALLOWED, TYPES
from tiffin.stages import find_components
from tiffin.version import __version__

# Set inside pods or for libraries; no reader sets them.
INTERNAL = {"TIFFIN_TRACK", "TIFFIN_ATTEMPT", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"}
INTERNAL |= {"AWS_DEFAULT_REGION"}
SERVERS = {"MLFLOW_BACKEND_STORE_URI", "MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}


def commands(group: click.Group, context: click.Context) -> list[tuple[str, click.Command]]:
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        inner = click.Context(command, parent=context, info_name=name)
        found.append((inner.command_path, command))
        if isinstance(command, click.Group):
            found += commands(command, inner)
    return found


def names(option: click.Option) -> str:
    return " / ".join(", ".join(f"`{name}`" for name in side) for side in (option.opts, option.secondary_opts) if side)


def unescape(text: str) -> str:
    return re.sub(r"\\([*\[\]])", r"\1", html.unescape(text))


def test_the_page_has_every_function_and_type_of_derived_columns() -> None:
    listed = set(re.findall(r"`([^`]+)`", write_functions()))

    assert listed >= ALLOWED | TYPES


def test_the_page_has_every_command_and_option() -> None:
    page = write_commands()
    sections = dict(re.findall(r"^#+ (tiffin [\w ]+)\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL))
    known = commands(main, click.Context(main, info_name="tiffin"))

    assert list(sections) == [path for path, _ in known]
    for path, command in known:
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden and "--debug" not in option.opts:
                about = re.search(rf"^{re.escape(names(option))}.*\n:   (.*)$", sections[path], re.MULTILINE)
                assert about, option.opts
                assert (option.help or "") in unescape(about[1])
                assert ("Default: " in about[1]) is (bool(option.show_default) and not option.is_flag)
                assert about[1].endswith("Required.") is option.required
                assert ("repeated" in about[1]) is option.multiple
                assert option.envvar is None or f"`{option.envvar}`" in about[1]
        usage = " ".join([path, *command.collect_usage_pieces(click.Context(command))])
        assert f"```text\n{usage}\n```" in sections[path]
    assert "--poll" not in page
    assert not re.search(r"(?<!\\)\[default", page), "it would be a link"
    assert "Default: `8500`." in sections["tiffin serve"]
    assert "From 1 to 65535." in sections["tiffin serve"]


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whose tags name Python objects."""


def test_the_navigation_has_every_page(pages: Path) -> None:
    def find_pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        children = entry.values() if isinstance(entry, dict) else entry
        return [page for child in children for page in find_pages(child)]  # type: ignore[attr-defined]

    listed = find_pages(yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)["nav"])
    written = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    components = [f"reference/components/{name}/README.md" for name in component_names()]

    assert [page for page in listed if page.count("/") == 3] == components
    assert set(written) <= set(listed)
    assert len(listed) == len(set(listed))
    assert [page for page in listed if not (pages / page).is_file()] == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    assert main_of_generation(["pages", str(folder)]) == 0
    return folder


def test_the_index_names_every_component_with_its_image(pages: Path) -> None:
    index = (pages / "reference" / "components" / "README.md").read_text()
    named = dict(re.findall(r"^\| \[(\w+)\]\(\1/README\.md\) \| \w.* \| `([\w/:.]+)` \|$", index, re.MULTILINE))

    assert named == {name: f"tiffin/{row.environment}:{__version__}" for name, row in find_components().items()}


def test_pages_of_other_folders_are_copied(pages: Path) -> None:
    for page, source in COPIES.items():
        assert Path(page).stem in source.lower()
        copied, written = (pages / page).read_text(), (ROOT / source).read_text()
        # Links into docs/ lead to the same pages of the site.
        links = re.findall(r"\]\(\.\./([^)#]+)", copied)
        assert [link for link in links if not (pages / link).is_file()] == []
        assert copied.replace("](../", "](../docs/") == written
    assert not (pages / "generation").exists()


def test_the_page_of_variables_is_complete() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text()
    named = set(re.findall(r"`((?:TIFFIN|KF_PIPELINES|MINIO|AWS|MLFLOW)_\w+)`", page))
    # IAP's own, which kfp reads, are described by its documentation.
    known = {name for name in known_variables() if not name.startswith("KF_PIPELINES_APP_")} - INTERNAL - SERVERS

    assert named == known


def test_the_page_of_errors_is_complete() -> None:
    def tree(error: type) -> set[str]:
        return {error.__name__}.union(*(tree(inner) for inner in error.__subclasses__()))

    [members] = re.findall(r"members: \[(.*)\]", (ROOT / "docs" / "reference" / "errors.md").read_text())

    assert set(members.split(", ")) >= {name for name in tree(TiffinError) if not name.startswith("_")}


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<script src="//cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img src="http://example.com/x.png">',
        '<div style="background: url(https://example.com/x.png)"></div>',
        '<pre class="mermaid"><code>graph LR</code></pre>',
    ],
)
def test_what_a_page_loads_from_another_host_is_found(html: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(html)

    [found] = find_foreign(tmp_path)

    assert found.startswith("index.html: ")


def test_a_style_sheet_that_loads_from_another_host_is_found(tmp_path: Path, capsys) -> None:
    (tmp_path / "index.html").touch()
    (tmp_path / "a.css").write_text("@import 'https://a.example/b.css'; x { background: url(\"//c.example/d\") }")

    assert find_foreign(tmp_path) == ["a.css: //c.example/d", "a.css: https://a.example/b.css"]
    assert main_of_generation(["check", str(tmp_path)]) == 1
    assert "a.css: //c.example/d" in capsys.readouterr().err


def test_links_and_own_files_are_not_foreign(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="https://example.com">x</a><link rel="canonical" href="https://x.example/"><script src="a.js"></script>'
        '<img src="data:image/png;base64,AA"><svg xmlns="http://www.w3.org/2000/svg"></svg>'
    )

    assert find_foreign(tmp_path) == []
    assert main_of_generation(["check", str(tmp_path)]) == 0


@pytest.mark.parametrize("arguments", [["pages", "{}"], ["check", "{}"], ["build", "{}"], ["check"]])
def test_wrong_arguments_change_nothing(arguments: list[str], tmp_path: Path) -> None:
    """A folder with other files is not overwritten, and a folder without a site does not pass the check."""
    (tmp_path / "kept.md").touch()

    with pytest.raises(SystemExit) as ended:
        main_of_generation([argument.format(tmp_path) for argument in arguments])

    assert ended.value.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept.md"]
