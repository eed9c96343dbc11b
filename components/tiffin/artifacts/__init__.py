"""Typed artifacts: one module for each, with its file names, its dataclasses, one writer and one reader.

An artifact is a folder:

    examples       manifest.json; data/<split>-<shard>.parquet unless the shards live under a data root;
                   sample_rows.jsonl: a few rows; rejected.jsonl: rows set aside, with line and reason
    statistics     statistics.binpb: tensorflow.metadata.v0.DatasetFeatureStatisticsList, one dataset per split
    schema         schema.pbtxt: tensorflow.metadata.v0.Schema
    anomalies      anomalies.json: whether the examples are valid, and every anomaly
    model          saved_model/: the SavedModel; training.json: what it was trained on and how
    evaluation     verdict.json: metrics, checks and the verdict of the gate
    registration   registration.json: the version in the registry
    deployment     deployment.json: what serves where
    summary        summary.json: the whole run

JSON is UTF-8 with sorted keys, so the same content has the same bytes. `statistics`, `schema` and `shards` import what
only the images have.
"""
