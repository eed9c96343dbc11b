"""Typed artifacts: one module each, with file names, dataclasses, one writer and one reader.

An artifact is a folder:

    examples       manifest.json; data/<split>-<shard>.parquet unless the shards are stored in a data root;
                   sample_rows.jsonl: a few rows; rejected.jsonl: skipped rows with line number and reason
    statistics     statistics.binpb: tensorflow.metadata.v0.DatasetFeatureStatisticsList, one dataset per split
    schema         schema.pbtxt: tensorflow.metadata.v0.Schema
    anomalies      anomalies.json: whether the examples are valid, and every anomaly
    model          saved_model/: the SavedModel; training.json: its training data and settings
    evaluation     verdict.json: metrics, checks and the verdict of the gate
    registration   registration.json: the registered model version
    deployment     deployment.json: the deployed version and its address
    summary        summary.json: the whole run

JSON is UTF-8 with sorted keys, so the same content has the same bytes. `statistics`, `schema` and `shards` import
packages that only the images contain.
"""
