"""The catalogue: a Markdown page for each compiled component, with an example that needs only kfp.

Examples are wired by the components' descriptions: an input described as `Output of X` comes from the component X.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tiffin.specs.interfaces import Interface, Port
from tiffin.stages import find_components
from tiffin.version import __version__

PAGE = "README.md"

# Values of the text inputs of these names in the examples, so that they run unchanged on the sample data.
_VALUES = {
    "label": "late",
    "model_name": "deliveries",
    "gate": "validation",
    "reason": "Two columns are missing.",
    "pipeline": "example",
}

_LINE = 100


def write_page(name: str, interfaces: Mapping[str, Interface]) -> str:
    """Return the page of one component.

    Args:
        name: Name of the component.
        interfaces: Interfaces of all components by name; the example also uses the upstream components.
    """
    interface = interfaces[name]
    summary, _, rest = interface.description.partition("\n")
    paragraphs = [
        f"# {name}",
        _escape(summary),
        *([_escape(" ".join(rest.split()))] if rest.strip() else []),
        f"Version: {__version__}. Image: `{interface.image}`.",
        "## Inputs",
        _table(["name", "type", "default", "description"], [_input_row(port) for port in interface.inputs]),
        "## Outputs",
        _table(
            ["name", "type", "description"],
            [[f"`{port.name}`", f"`{port.type}`", _linked(port.description)] for port in interface.outputs],
        )
        if interface.outputs
        else "None.",
        "## Example",
        "Requires only kfp. Run it in the directory that contains `components/`; the compiled pipeline uses sample data.",
        f"```python\n{write_example(name, interfaces)}```",
    ]
    return "\n\n".join(paragraphs) + "\n"


def write_index(interfaces: Mapping[str, Interface]) -> str:
    """Return the index page: all components, and how to load them.

    Args:
        interfaces: Interfaces of all components by name.
    """
    rows = [
        [f"[{name}]({name}/{PAGE})", _escape(interface.description.partition("\n")[0]), f"`{interface.image}`"]
        for name, interface in sorted(interfaces.items())
    ]
    last = max(interfaces)
    return f"""# Components

Version: {__version__}.
Each folder contains a `component.yaml`, which any KFP v2 pipeline can load, and its documentation.

{_table(["component", "description", "image"], rows)}

Load a component with kfp from a file, a URL or a string:

```python
from kfp import components

{last} = components.load_component_from_file("components/{last}/component.yaml")
{last} = components.load_component_from_url("https://example.com/components/{last}/component.yaml")
{last} = components.load_component_from_text(open("components/{last}/component.yaml").read())
```
"""


def write_example(name: str, interfaces: Mapping[str, Interface]) -> str:
    """Return a program that compiles a pipeline of this component and its upstream components.

    Args:
        name: Name of the component.
        interfaces: Interfaces of all components by name.
    """
    order: list[str] = []
    row = find_components()[name]
    before, pattern = row.example
    if before:
        _add_with_sources(before, interfaces, order)
    _add_with_sources(name, interfaces, order)
    loads = "\n".join(
        f'{used} = components.load_component_from_file("components/{used}/component.yaml")' for used in order
    )
    parameters: dict[str, str] = {}
    values = {**_VALUES, **row.example_values}
    calls = {used: _call(interfaces[used], order, values, parameters) for used in order}
    last = calls.pop(name)
    if before:
        inside = calls.pop(before) if "{before}" in pattern else ""
        last = pattern.format(call=last, before=inside)
    body = "\n    ".join([*calls.values(), last])
    signature = ", ".join(f"{parameter}: {type_name}" for parameter, type_name in parameters.items())
    return (
        "from kfp import compiler, components, dsl\n\n"
        f"{loads}\n\n\n"
        "@dsl.pipeline\n"
        f"def example({signature}):\n    {body}\n\n\n"
        'compiler.Compiler().compile(example, "example.yaml")\n'
    )


def find_sources(port: Port) -> list[str]:
    """Return the components that an input comes from, as its description names them; may be empty."""
    match = re.match(r"Output of (\w+(?: or \w+)*)", port.description)
    return match[1].split(" or ") if match else []


def _find_collected(port: Port) -> tuple[str, str] | None:
    """Return output and component of an input that collects the outputs of a loop; None for any other."""
    match = re.match(r"Output (\w+) of (\w+) of all parts", port.description)
    return (match[1], match[2]) if match else None


def _add_with_sources(name: str, interfaces: Mapping[str, Interface], order: list[str]) -> None:
    if name in order:
        return
    left_out = find_components()[name].alternatives
    for port in interfaces[name].inputs:
        for source in find_sources(port)[:1] if port.name not in left_out else []:
            _add_with_sources(source, interfaces, order)
    order.append(name)


def _call(interface: Interface, order: Sequence[str], values: Mapping[str, str], parameters: dict[str, str]) -> str:
    """Return the statement that creates the component's task, and add inputs without a value to `parameters`."""
    arguments = list(_arguments(interface, order, values, parameters))
    statement = f"{_task(interface.name)} = {interface.name}({', '.join(arguments)})"
    if len(statement) + 4 <= _LINE:
        return statement
    lines = "".join(f"        {argument},\n" for argument in arguments)
    return f"{_task(interface.name)} = {interface.name}(\n{lines}    )"


def _arguments(
    interface: Interface, order: Sequence[str], values: Mapping[str, str], parameters: dict[str, str]
) -> Iterator[str]:
    for port in interface.inputs:
        if port.name in find_components()[interface.name].alternatives:
            continue
        sources = [source for source in find_sources(port) if source in order]
        if (collected := _find_collected(port)) and collected[1] in order:
            yield f'{port.name}=dsl.Collected({_task(collected[1])}.outputs["{collected[0]}"])'
        elif sources:
            yield f'{port.name}={_task(sources[0])}.outputs["{port.name}"]'
        elif port.type == "str" and port.name in values:
            yield f"{port.name}={_literal(values[port.name])}"
        elif port.is_required:
            parameters[port.name] = f"dsl.Input[dsl.{port.type}]" if port.is_artifact else port.type
            yield f"{port.name}={port.name}"


def _task(component: str) -> str:
    return component.partition("_")[0]


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _input_row(port: Port) -> list[str]:
    if port.type == "PipelineTaskFinalStatus":
        default = "set by KFP"
    else:
        default = "required" if port.is_required else f"`{_literal(port.default)}`"
    return [f"`{port.name}`", f"`{port.type}`", default, _linked(port.description)]


def _linked(description: str) -> str:
    """Return a description for a table, with links to the components that it names."""
    sources = find_sources(Port("", "", description, False))
    text = _escape(description)
    for source in sources:
        text = re.sub(rf"\b{source}\b", f"[{source}](../{source}/{PAGE})", text, count=1)
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    # Underscores inside a word need no escape. The site's Markdown does not know the escape of "<", GitHub's knows both.
    return re.sub(r"([|*\[\]])", r"\\\1", text.replace("<", "&lt;"))
