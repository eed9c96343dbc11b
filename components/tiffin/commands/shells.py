"""Completion in bash of values after `=`, which bash treats as a word of its own."""

from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

# Do not add a space after `key=`: its value follows.
_NO_SPACE = "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n\n    return 0\n"


class JoinedBash(BashComplete):
    """Completion in bash that puts `key`, `=` and `value` together before click sees them."""

    source_template = BashComplete.source_template.replace("    return 0\n", _NO_SPACE)
    _typed = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words and the incomplete one; of `key=value`, bash replaces only the part after `=`."""
        words, incomplete = super().get_completion_args()
        if incomplete == "=":
            words, incomplete = [*words, "="], ""
        if len(words) >= 2 and words[-1] == "=" and not words[-2].startswith("-"):
            self._typed = f"{words[-2]}="
            words = words[:-2]
        return _join(words), self._typed + incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script."""
        return super().format_completion(CompletionItem(item.value.removeprefix(self._typed), type=item.type))


def _join(words: list[str]) -> list[str]:
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def use_joined_bash() -> None:
    """Make click complete with this module's class in bash."""
    add_completion_class(JoinedBash)
