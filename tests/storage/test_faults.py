"""Stores behind a proxy that spoils answers: nothing wrong is returned without an error, and nothing is tried for ever."""

import contextlib
import os
import random
import sys
import time
from collections import Counter

import pytest

from support import faulty_proxy, gcs_emulator, s3_server
from tiffin import storage
from tiffin.errors import Conflict, InputError, StorageError
from tiffin.storage import gcs, s3_connection

# The library of Cloud Storage leaves the connection of a broken download to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")
RUNS_IN = ("data",)

# Raise it to test more: `FAULTS=100 pytest tests/storage/test_faults.py`.
TIMES = int(os.environ.get("FAULTS", "12"))
CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Shorten the waits between attempts."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))


@pytest.fixture(params=["gs", "s3"])
def stored(request, monkeypatch, tmp_path):
    """A bucket of each store behind a proxy: the bucket's URI, a function that puts an object, and the proxy."""
    if request.param == "s3":
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server, variable = s3_server.serve(), "AWS_ENDPOINT_URL"
    else:
        monkeypatch.setattr(gcs, "RETRY_SECONDS", 20.0)
        server, variable = gcs_emulator.serve(), "STORAGE_EMULATOR_HOST"
    with server as bucket, faulty_proxy.serve(bucket.address) as proxy:
        monkeypatch.setenv(variable, proxy.address)
        yield f"{request.param}://bucket", bucket.put, proxy


def planned(seed, share):
    """Return a plan that spoils a share of the answers."""
    plan = random.Random(seed)
    kinds = [plan.choice(faulty_proxy.FAULTS) if plan.random() < share else None for _ in range(1000)]
    # At least one fault for every seed.
    kinds[plan.randrange(2)] = plan.choice(faulty_proxy.FAULTS)
    return lambda number, _method, _path: kinds[number % 1000]


def test_no_download_is_wrong_without_an_error(stored):
    uri, put, proxy = stored
    put("a.parquet", CONTENT)
    download_spoilt(f"{uri}/a.parquet", CONTENT, proxy)


@pytest.mark.parametrize("stored", ["s3"], indirect=True)
def test_no_download_of_an_object_in_parts_is_wrong_without_an_error(stored):
    uri, _, proxy = stored
    content = CONTENT * 20
    client, target = s3_connection.connect(uri), {"Bucket": "bucket", "Key": "a.parquet"}
    upload = client.create_multipart_upload(**target)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**target, UploadId=upload, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate((content[: 5 << 20], content[5 << 20 :]), 1)
    ]
    client.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": parts})
    download_spoilt(f"{uri}/a.parquet", content, proxy)


def download_spoilt(uri, content, proxy):
    """Download an object under one plan of faults after the other, and check how the downloads ended."""
    outcomes = {"right": 0, "error": 0, "wrong": 0}
    for seed in range(TIMES):
        proxy.requests.clear()
        proxy.choose = planned(seed, 0.8 * seed / TIMES)
        try:
            with storage.local_copy(uri) as path:
                outcomes["right" if path.read_bytes() == content else "wrong"] += 1
        except StorageError:
            outcomes["error"] += 1
        assert len(proxy.requests) < 400
    sys.stdout.write(f"{uri} {outcomes} {Counter(proxy.applied)}\n")

    assert outcomes["wrong"] == 0
    assert outcomes["right"] >= TIMES / 3
    assert len(proxy.applied) >= TIMES


@pytest.mark.parametrize("fault", ["flip", "shrink", "cut", "reset"])
def test_a_download_that_is_always_spoilt_is_an_error(stored, fault):
    uri, put, proxy = stored
    put("a.parquet", CONTENT)
    proxy.choose = lambda _number, method, path: fault if method == "GET" and _is_download(path) else None
    with pytest.raises(StorageError, match=f"'{uri}/a.parquet'"), storage.local_copy(f"{uri}/a.parquet"):
        pass

    assert len(proxy.requests) < 400


def _is_download(path):
    return "list-type" not in path and ("alt=media" in path or "/o/" not in path)


def test_what_is_published_is_whole_or_an_error(stored, tmp_path):
    uri, _, proxy = stored
    published = 0
    for seed in range(TIMES):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "a").write_bytes(CONTENT[: 1000 + seed])
        (folder / "b").write_bytes(b"")
        proxy.requests.clear()
        proxy.choose = planned(seed, 0.3 * seed / TIMES)
        try:
            storage.publish_folder(folder, f"{uri}/{seed}")
        except Conflict:
            pytest.fail("a lost answer was taken for another's write")
        except StorageError:
            continue
        proxy.choose = lambda *_: None
        assert storage.read(f"{uri}/{seed}/a")[0] == CONTENT[: 1000 + seed]
        assert storage.read(f"{uri}/{seed}/b")[0] == b""
        published += 1

    assert published >= TIMES / 3


@pytest.mark.parametrize("fault", ["500", "503", "404", "drop", "lose"])
def test_every_operation_ends_when_every_answer_fails(stored, fault, tmp_path):
    uri, put, proxy = stored
    put("x", b"1")
    token = storage.read(f"{uri}/x")[1]
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_bytes(b"1")
    proxy.choose = lambda *_: fault
    for operation in (
        lambda: storage.list_files(f"{uri}/x"),
        lambda: storage.local_copy(f"{uri}/x").__enter__(),
        lambda: storage.compare_and_swap(f"{uri}/x", b"2", token),
        lambda: storage.write_new(f"{uri}/y", b"2"),
        lambda: storage.compare_and_delete(f"{uri}/x", token),
        lambda: storage.delete(f"{uri}/x"),
        lambda: storage.publish_folder(tmp_path / "m", f"{uri}/m"),
        lambda: storage.find(uri, {"x"}),
        lambda: storage.exists(f"{uri}/x"),
        lambda: storage.read(f"{uri}/x"),
    ):
        proxy.requests.clear()
        if fault == "404":
            with contextlib.suppress(StorageError, InputError):
                operation()
        else:
            with pytest.raises(StorageError, match=f"'{uri}"):
                operation()
        assert len(proxy.requests) < 400
