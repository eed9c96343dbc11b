"""Traits of the report stage's components."""

from tiffin.stages.traits import S3, Traits

COMPONENTS = {
    "stop_run": Traits(
        "data",
        gate="gate",
        example=("validate_examples", 'with dsl.If(validate.outputs["valid"] == False):\n        {call}'),
    ),
    "summarize_run": Traits(
        "data",
        needs=(S3,),
        example=("ingest_examples", "{call}\n    with dsl.ExitHandler(summarize):\n        {before}"),
    ),
}
