"""Every code block of the documentation works as it stands."""

import configparser
from pathlib import Path

import click
import pytest
import yaml

from support.code_blocks import NEEDS, PAGES, ROOT, Block, check_block, check_inline, check_types, read_blocks
from tiffin.errors import TiffinError

PARSERS = (yaml.YAMLError, configparser.Error)
BLOCKS = [block for page in PAGES for block in read_blocks(page)]
NEEDY = [block for block in BLOCKS if NEEDS in block.info]


def test_pages_have_blocks() -> None:
    languages = {block.language for block in BLOCKS}

    assert {"sh", "python", "yaml", "ini", "text"} <= languages
    assert len(NEEDY) >= 3
    assert any(block.page == ROOT / "manifests" / "README.md" for block in BLOCKS)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language != "text"], ids=str)
def test_block(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    check_block(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_exist(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    check_inline(page.read_text(), tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Run `make nope`.", "nope"),
        ("`tiffin nope` fails", "nope"),
        ("See `tiffin run --nope`.", "--nope"),
        ("`tiffin schedule nope`", "nope"),
        ("- a list with `pip install 'tiffin[nope]'`", "nope"),
        ("| a table | `make nope` |\n", "nope"),
    ],
)
def test_a_wrong_command_in_the_text_is_found(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, click.UsageError), match=named):
        check_inline(text, tmp_path)


def test_blocks_that_need_a_server_use_what_exists(tmp_path: Path) -> None:
    check_types(NEEDY, tmp_path)


@pytest.mark.parametrize(
    ("language", "code", "named"),
    [
        ("", "tiffin run training", "''"),
        ("bash", "tiffin run training", "bash"),
        ("sh", "tiffin rollback model", "rollback"),
        ("sh", "tiffin rollback --help", "rollback"),
        ("sh", "tiffin run training --nope", "--nope"),
        ("sh", "tiffin run --nope --help", "--nope"),
        ("sh", "tiffin run nope", "nope"),
        ("sh", "tiffin run training --set nope=1", "nope"),
        ("sh", "tiffin run training --set epochs=many", "epochs.*many"),
        ("sh", "tiffin run training --params nope.yaml", "nope.yaml"),
        ("sh", "tiffin submit training --size nope=large", "nope"),
        ("sh", "tiffin submit training --size train=huge", "huge"),
        ("sh", "tiffin schedule nope nightly", "nope"),
        ("sh", "tiffin schedule set nightly training", "cron"),
        ("sh", "tiffin predict --model model", "file"),
        ("sh", "make nope", "nope"),
        ("sh", "make images NOPE=1", "NOPE"),
        ("sh", "kubectl apply -k manifests/overlays/nope", "overlays/nope"),
        ("sh", "kubectl kustomize", "kustomize"),
        ("sh", "export TIFFIN_NOPE=1", "TIFFIN_NOPE"),
        ("sh", "pip install 'tiffin[nope]'", "nope"),
        ("sh", "nope", "nope"),
        ("python", "import tiffin.nope", r"tiffin\.nope"),
        ("python", "from tiffin import ingest_examples\n\ningest_examples(nope=1)", "nope"),
        ("python", "def", "syntax"),
        ('python title="needs a cluster"', "def", "syntax"),
        ("yaml", "a: [1", r"\]"),
        ("json", "{", "line 1"),
        ("toml", "a = [1", "document"),
        ("ini", "a", "section"),
    ],
)
def test_a_wrong_block_is_found(
    language: str, code: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = Block(ROOT / "README.md", 1, language.partition(" ")[0], language, code)

    with pytest.raises((AssertionError, TiffinError, click.UsageError, SyntaxError, ValueError, *PARSERS), match=named):
        check_block(block, tmp_path)


@pytest.mark.parametrize(
    "code",
    [
        'from tiffin.serving import Client\n\nClient("x").rollback("model")\n',
        'from tiffin.serving import Client\n\nClient("x").predict("model", {}, nope=1)\n',
        "from tiffin.serving.nope import Client\n",
    ],
)
def test_a_name_that_does_not_exist_is_found(code: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"block_0.py:\d"):
        check_types([Block(ROOT / "README.md", 1, "python", NEEDS, code)], tmp_path)
