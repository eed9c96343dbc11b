"""Completion in a shell: through click's classes, and once in bash itself."""

import subprocess
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, ShellComplete

from support.command_line import TIFFIN
from tiffin.authoring.compilation import component_names, load_spec, pipeline_names
from tiffin.authoring.listing import list_parameters
from tiffin.commands.main import COMMANDS, main
from tiffin.commands.shells import JoinedBash


def completed(line: str) -> list[str]:
    """Return the values that complete the last word of a line, as click finds them for zsh and fish."""
    *words, incomplete = line.split(" ")
    return [
        item.value
        for item in ShellComplete(main, {}, "tiffin", "_TIFFIN_COMPLETE").get_completions(words[1:], incomplete)
        if item.type == "plain"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tiffin ", list(COMMANDS)),
        ("tiffin s", ["submit", "schedule", "serve", "sample"]),
        ("tiffin report --c", ["--card"]),
        ("tiffin run ", pipeline_names()),
        ("tiffin run tr", ["training"]),
        ("tiffin run x", []),
        ("tiffin submit t", ["training"]),
        ("tiffin publish t", ["training"]),
        ("tiffin schedule set nightly t", ["training"]),
        ("tiffin compile trai", ["train_model", "training"]),
        ("tiffin compile ", sorted([*component_names(), *pipeline_names()])),
        ("tiffin run training --set ", [f"{name}=" for name in list_parameters("training")]),
        ("tiffin run training --set da", ["data=", "date_format=", "data_root="]),
        ("tiffin run training --set task=", [f"task={one}" for one in ("auto", "binary", "multiclass", "regression")]),
        ("tiffin submit training --set task=m", ["task=multiclass"]),
        ("tiffin schedule set nightly training --set task=m", ["task=multiclass"]),
        ("tiffin run training --set label=x --set ta", ["task="]),
        ("tiffin run training --set label=", []),
        ("tiffin run training --set nope=", []),
        ("tiffin run nope --set ", []),
        ("tiffin run none.yaml --set ", []),
        ("tiffin run training --stop", ["--stop-server"]),
    ],
)
def test_words_are_completed(line: str, expected: list[str]) -> None:
    assert sorted(completed(line)) == sorted(expected)


def test_the_parameters_of_a_spec_are_completed(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(load_spec("training").content)

    assert completed(f"tiffin run {path} --set ta") == ["task="]
    assert completed(f"tiffin run {path} --set task=b") == ["task=binary"]


@pytest.mark.parametrize("line", ["tiffin run ", "tiffin run x --params ", "tiffin predict ", "tiffin run x --state "])
def test_names_of_files_are_completed(line: str) -> None:
    *words, incomplete = line.split(" ")
    found = ShellComplete(main, {}, "tiffin", "_TIFFIN_COMPLETE").get_completions(words[1:], incomplete)

    assert "file" in {item.type for item in found}


def test_the_script_for_bash_is_clicks_without_a_space_after_a_key() -> None:
    assert BashComplete.source_template.count("    return 0\n") == 1
    assert "compopt -o nospace" in JoinedBash.source_template


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("tiffin cl", ["clean"]),
        ("tiffin run tr", ["training"]),
        ("tiffin run training --set hid", ["hidden_units="]),
        # bash treats `=` as a word, and replaces only what follows it.
        ("tiffin run training --set task=", ["auto", "binary", "multiclass", "regression"]),
        ("tiffin run training --set task=mu", ["multiclass"]),
        ("tiffin run training --set label=x --set task=b", ["binary"]),
        ("tiffin run training --set label=x --set ta", ["task="]),
        ("tiffin run training --set label=", []),
    ],
)
def test_bash_completes(line: str, replies: list[str]) -> None:
    # The words as readline splits them.
    words = [part for word in line.replace("=", " = ").split(" ") for part in [word] if part or line.endswith(" ")]
    if line.endswith("="):
        words = [word for word in words if word]
    script = f"""
        PATH={Path(TIFFIN).parent}:$PATH
        eval "$(_TIFFIN_COMPLETE=bash_source tiffin)"
        complete -p tiffin >/dev/null || exit 3
        compopt() {{ :; }}  # works only while bash completes a line
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _tiffin_completion tiffin
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert done.stdout.split() == replies
