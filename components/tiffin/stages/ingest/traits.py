"""Traits of the ingest stage's components."""

from tiffin.stages.traits import S3, Traits

COMPONENTS = {"ingest_examples": Traits("data", needs=(S3,))}
