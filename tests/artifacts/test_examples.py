"""The examples artifact: its files and the locations of its shards."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from support.documents import make_manifest
from tiffin.artifacts.examples import (
    Rejected,
    Split,
    read_manifest,
    read_rejected,
    read_sample_rows,
    set_aside,
    shard_name,
    shard_uris,
    write_examples,
)
from tiffin.errors import InputError

REJECTED = (Rejected("data.csv", 3, "fare", "no number", "ü,x"),)
# With line separators of Unicode, which JSON does not escape.
ROWS = [{"fare": 1.5, "company": None}, {"fare": 2.5, "company": "A\u2028B\x85"}]


def write(folder, shards=None, rejected=(), data_root=""):
    scratch = folder / ".scratch"
    for shard in ("train-00000", "eval-00000"):
        path = scratch / "shards" / "data" / f"{shard}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1")
    manifest = make_manifest(splits={"train": Split(1, tuple(shards or [shard_name("train")])), "eval": Split(0, ())})
    manifest = replace(manifest, set_aside=set_aside(rejected))
    manifest = write_examples(folder, manifest, ROWS, rejected, scratch / "shards", data_root)
    shutil.rmtree(scratch)
    return manifest


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_written_artifact_is_read(tmp_path):
    manifest = write(tmp_path, rejected=REJECTED)

    assert files(tmp_path) == [
        "data/eval-00000.parquet", "data/train-00000.parquet", "manifest.json", "rejected.jsonl", "sample_rows.jsonl",
    ]  # fmt: skip
    assert read_manifest(tmp_path) == manifest
    assert read_sample_rows(tmp_path) == ROWS
    assert tuple(read_rejected(tmp_path)) == REJECTED
    assert (tmp_path / "rejected.jsonl").read_text() == (
        '{"source": "data.csv", "line": 3, "column": "fare", "reason": "no number", "text": "ü,x"}\n'
    )


@pytest.mark.parametrize(
    "shard",
    [
        "../../etc/passwd", "../data/train-00000.parquet", "data/../../data/train-00000.parquet", "/etc/passwd",
        "/root/../data/train-00000.parquet", "gs://b/../data/train-00000.parquet", "file:///etc/passwd", "data/train.csv", "",
        "data/train-00000.parquet\n", "data/a/train-00000.parquet", "http://host/x",
    ],
)  # fmt: skip
def test_a_shard_outside_the_artifact_is_refused(tmp_path, shard):
    write(tmp_path, [shard])

    with pytest.raises(InputError, match=rf"manifest\.json.*{re.escape(repr(shard))}"):
        shard_uris(tmp_path, "train")


@pytest.mark.parametrize("home", ["", "/data root/v1/", "gs://bucket/a b/v1/", "s3://bucket/v1/"])
def test_a_shard_of_a_data_root_is_found(tmp_path, home):
    write(tmp_path, [f"{home}{shard_name('train', 12)}"])

    assert shard_uris(tmp_path, "train") == [f"{home or f'{tmp_path}/'}data/train-00012.parquet"]


def test_the_skipped_rows_are_read_from_the_artifact_only(tmp_path):
    write(tmp_path, rejected=REJECTED)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["set_aside"]["listed"] = "/etc/passwd"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert tuple(read_rejected(tmp_path)) == REJECTED


def test_a_retry_replaces_the_skipped_rows(tmp_path):
    write(tmp_path, rejected=REJECTED)
    write(tmp_path)

    assert read_rejected(tmp_path) == []


def test_shards_in_a_data_root(tmp_path):
    (tmp_path / "examples").mkdir()
    manifest = write(tmp_path / "examples", data_root=str(tmp_path / "root"))

    assert manifest.splits["train"].shards == (f"{tmp_path}/root/d1/data/train-00000.parquet",)
    assert files(tmp_path / "examples") == ["manifest.json", "sample_rows.jsonl"]
    assert files(tmp_path / "root" / "d1") == ["complete.json", "data/eval-00000.parquet", "data/train-00000.parquet"]


def test_shards_inside_the_artifact_move_with_it(tmp_path):
    write(tmp_path, shards=["data/train-00000.parquet", "/root/d1/data/x.parquet", "gs://bucket/d1/data/x.parquet"])

    assert shard_uris(tmp_path, "train") == [
        f"{tmp_path}/data/train-00000.parquet", "/root/d1/data/x.parquet", "gs://bucket/d1/data/x.parquet",
    ]  # fmt: skip
    assert shard_uris(tmp_path, "eval") == []


def test_an_unknown_split(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match=r"eval, train\b.*split='test'"):
        shard_uris(tmp_path, "test")


def test_no_sample_rows(tmp_path):
    with pytest.raises(InputError, match=rf"'{tmp_path}/sample_rows\.jsonl'"):
        read_sample_rows(tmp_path)
