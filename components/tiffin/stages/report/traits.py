"""Traits of the report stage's component."""

from tiffin.stages.traits import S3, Traits

COMPONENTS = {
    "summarize_run": Traits(
        "model",
        late_imports=("tiffin.report.report", "tiffin.report.card"),
        needs=(S3,),
        example=("ingest_examples", "{call}\n    with dsl.ExitHandler(summarize):\n        {before}"),
    ),
}
