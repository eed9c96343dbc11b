"""The help of a command that takes a pipeline: the pipelines, or the parameters of the pipeline that is named."""

import json
from typing import Any

import click

from tiffin.authoring.listing import list_parameters, list_pipelines
from tiffin.kubeflow.options import RunCommand

_ARGUMENTS = "tiffin.arguments"
# Parameters that no step takes unchanged, such as those of a condition.
_OTHERS = "Other parameters"


class PipelineCommand(RunCommand):
    """A command whose help lists the pipelines, or with a pipeline in its arguments, that pipeline's parameters."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments for `--help`, which click evaluates before all others."""
        ctx.meta[_ARGUMENTS] = list(args)
        if ctx.resilient_parsing and args and args[-1].startswith("-"):
            # While a shell completes the value of the last option, click would stop at it, before the pipeline is known.
            args = args[:-1]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of the command, or of the pipeline that the arguments name."""
        given, _, _ = self.make_parser(ctx).parse_args(args=list(ctx.meta.get(_ARGUMENTS, [])))
        pipeline = given.get("pipeline")
        if isinstance(pipeline, str):
            _write_pipeline(pipeline, ctx, formatter)
        else:
            super().format_help(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the pipelines, then the options."""
        with formatter.section(f"Pipelines (`{ctx.command_path} PIPELINE --help` lists the parameters)"):
            formatter.write_dl(list(list_pipelines().items()))
        super().format_options(ctx, formatter)


def _write_pipeline(pipeline: str, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    from tiffin.authoring.compilation import load_spec

    spec = load_spec(pipeline)
    formatter.write_usage(ctx.command_path, f"{pipeline} [OPTIONS]")
    with formatter.indentation():
        for text in (
            list_pipelines().get(pipeline, ""),
            f"The steps of {spec.name} and their parameters, which --set NAME=VALUE and --params FILE.yaml set. "
            f"`{ctx.command_path} --help` lists the options.",
        ):
            if text:
                formatter.write_paragraph()
                formatter.write_text(text)
    order = [*list_parameters(pipeline), *spec.parameters]
    left = dict(sorted(spec.parameters.items(), key=lambda item: order.index(item[0])))
    titles = {name: [step.title for step in spec.steps if name in step.inputs.values()] for name in left}
    for title in [*(step.title for step in spec.steps), _OTHERS]:
        names = [name for name in left if (titles[name] or [_OTHERS])[0] == title]
        rows = [_row(left.pop(name), titles[name][1:]) for name in names]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _row(parameter: Any, more: list[str]) -> tuple[str, str]:
    from tiffin.specs.interfaces import type_name

    kind = "|".join(map(str, parameter.literals)) or type_name(parameter.type)
    facts = ["required" if parameter.default is None else f"default: {_text(parameter.default)}"]
    facts += [f"also for {', '.join(more)}"] if more else []
    return f"{parameter.name} {kind}", f"{' '.join(parameter.description.split())}  [{'; '.join(facts)}]".strip()


def _text(default: Any) -> str:
    if default in ("", [], {}):
        return "empty"
    return default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
