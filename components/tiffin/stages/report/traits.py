"""Traits of the report stage's component."""

from tiffin.stages.traits import S3, Traits

COMPONENTS = {
    "summarize_run": Traits(
        "data",
        needs=(S3,),
        example=("ingest_examples", "{call}\n    with dsl.ExitHandler(summarize):\n        {before}"),
    ),
}
