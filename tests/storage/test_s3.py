"""S3, against a server over HTTP; `test_storage` has the rules of all stores."""

import base64
import errno
import multiprocessing
import os
import subprocess
import sys

import pytest

from support import counting, forks, s3_server
from tiffin import storage
from tiffin.errors import Conflict, InputError, StorageError, TiffinError
from tiffin.storage import checksums, s3_connection, s3_transfers

RUNS_IN = ("data",)

KEYS = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET"}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """Hide the developer's credentials and those of a cloud machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def store():
    with s3_server.serve() as served:
        yield served


def listed(location):
    return [file.uri.removeprefix("s3://bucket/") for file in storage.list_files(location)]


class TestListFiles:
    def test_an_empty_bucket_has_no_data(self, store):
        with pytest.raises(InputError, match="'s3://bucket'"):
            storage.list_files("s3://bucket")

    def test_an_object_is_one_file(self, store):
        store.put("a.csv", b"12345")
        store.put("a.csv.bak", b"")

        assert storage.list_files("s3://bucket/a.csv") == [storage.SourceFile("s3://bucket/a.csv", 5)]

    @pytest.mark.parametrize("location", ["s3://bucket/d", "s3://bucket/d/", "S3://bucket/d"])
    def test_a_folder_is_listed_recursively_and_sorted(self, store, location):
        for name in ("d/b.csv", "d/a.csv", "d/sub/c.csv", "d/_SUCCESS", "d/.part", "d/_tmp/x.csv", "d/empty/", "e.csv"):
            store.put(name, b"")

        assert listed(location) == ["d/a.csv", "d/b.csv", "d/sub/c.csv"]

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.csv", ["a1.csv", "b2.csv"]),
            ("a?.csv", ["a1.csv"]),
            ("[!a]*.csv", ["b2.csv"]),
            ("d/*.csv", ["d/c.csv"]),
            ("*/*.csv", ["d/c.csv"]),
            ("**/*.csv", ["a1.csv", "b2.csv", "d/c.csv", "d/e/f.csv"]),
            ("_*", ["_x.csv"]),
        ],
    )
    def test_a_glob_matches_objects(self, store, pattern, expected):
        for name in ("a1.csv", "b2.csv", "n.txt", "_x.csv", ".h.csv", "d/c.csv", "d/e/f.csv"):
            store.put(name, b"")

        assert listed(f"s3://bucket/{pattern}") == expected

    def test_a_glob_without_a_match(self, store):
        store.put("a.csv", b"")
        with pytest.raises(InputError, match=r"'s3://bucket/\*\.parquet'.*'\*\*'"):
            storage.list_files("s3://bucket/*.parquet")

    @pytest.mark.parametrize(("given", "meant"), [("trip.csv", "trips.csv"), ("d/trip", "d/trips"), ("dd/x", "")])
    def test_the_error_suggests_the_closest_name(self, store, given, meant):
        store.put("trips.csv", b"")
        store.put("d/trips/a.csv", b"")
        hint = rf" '{meant.rpartition('/')[2]}'\?" if meant else r"\.$"
        with pytest.raises(InputError, match=rf"'s3://bucket/{given}'[^']*{hint}"):
            storage.list_files(f"s3://bucket/{given}")

    def test_a_folder_without_a_name_is_skipped(self, store):
        store.put("d/a.csv", b"x")
        store.put("d//b.csv", b"y")

        assert listed("s3://bucket/d") == ["d/a.csv"]
        assert storage.read_text("s3://bucket/d//b.csv") == "y"

    def test_special_characters_in_a_name(self, store):
        store.put("d/a b%20ä+.csv", b"x")
        [file] = storage.list_files("s3://bucket/d")

        assert file.uri == "s3://bucket/d/a b%20ä+.csv"
        assert storage.read_text(file.uri) == "x"


class TestRead:
    def test_the_token_changes_with_the_content(self, store):
        assert storage.read("s3://bucket/a/b") is None
        assert not storage.exists("s3://bucket/a")

        store.put("a/b", b"one")
        first = storage.read("s3://bucket/a/b")
        store.put("a/b", b"two")

        assert (first[0], storage.read("s3://bucket/a/b")[0]) == (b"one", b"two")
        assert first[1] != storage.read("s3://bucket/a/b")[1]
        assert storage.exists("s3://bucket/a")
        assert storage.exists("s3://bucket/a/b")

    def test_find(self, store):
        for name in ("r/1/x.json", "r/2/sub/x.json", "r/2/y.json", "rr/x.json", "x.json"):
            store.put(name, b"{}")

        assert storage.find("s3://bucket/r", {"x.json"}) == ["s3://bucket/r/1/x.json", "s3://bucket/r/2/sub/x.json"]
        assert storage.find("s3://bucket/none", {"x.json"}) == []

    def test_a_local_copy_of_an_object_is_temporary(self, store):
        content = os.urandom((16 << 20) + 3)
        store.put("d/a.parquet", content)
        with storage.local_copy("s3://bucket/d/a.parquet") as path:
            assert path.name == "a.parquet"
            assert path.read_bytes() == content
        assert not path.parent.exists()

    def test_an_object_that_is_replaced_before_its_download_is_read_again(self, store):
        store.put("a", b"one")
        store.before_read.append(lambda: store.put("a", b"two"))
        with storage.local_copy("s3://bucket/a") as path:
            assert path.read_bytes() == b"two"

    def test_an_object_that_is_replaced_before_every_download(self, store, monkeypatch):
        monkeypatch.setattr(s3_connection, "ATTEMPTS", 3)
        store.put("a", b"0")
        store.before_read = [lambda: store.put("a", os.urandom(9))] * 9
        with pytest.raises(StorageError, match=r"'s3://bucket/a'.* replaced"):
            storage.read("s3://bucket/a")

        assert len(store.before_read) == 6

    def test_a_forked_process_can_read(self, store):
        """A warm interpreter imports pyarrow, and may use it, before it forks for a step."""
        store.put("a", b"x")
        assert storage.read_text("s3://bucket/a") == "x"
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(storage.read_text, ["s3://bucket/a"]) == "x"


class TestChecksums:
    """What a download is verified with. The server computes an MD5, and a CRC32 of what Tiffin uploads."""

    OTHER = base64.b64encode(b"1234").decode()

    @pytest.fixture(autouse=True)
    def attempts(self, monkeypatch):
        monkeypatch.setattr(s3_connection, "ATTEMPTS", 3)

    def test_an_etag_of_other_content(self, store):
        store.put("a", b"x")
        store.spoil("a", b"y")
        store.before_read = [lambda: None] * 9
        with pytest.raises(StorageError, match=r"'s3://bucket/a'.* checksum"):
            storage.read("s3://bucket/a")

        assert len(store.before_read) == 6

    @pytest.mark.parametrize("name", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
    def test_a_checksum_of_other_content(self, store, name):
        store.put("a", b"x")
        store.described = {f"x-amz-checksum-{name}": self.OTHER}
        with pytest.raises(StorageError, match=r"'s3://bucket/a'.* checksum"), storage.local_copy("s3://bucket/a"):
            pass

    def test_the_checksum_of_an_encrypted_object(self, store):
        store.put("a", b"123456789")
        store.described = {
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-checksum-crc64nvme": base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode(),
        }
        assert storage.read_text("s3://bucket/a") == "123456789"

        store.spoil("a", b"123456788")
        with pytest.raises(StorageError, match="checksum"):
            storage.read_text("s3://bucket/a")

    def test_without_a_checksum_two_downloads_must_agree(self, store):
        store.put("a", b"x")
        store.described = {"x-amz-server-side-encryption": "aws:kms"}
        store.before_read = [lambda: None] * 9
        assert storage.read_text("s3://bucket/a") == "x"

        assert len(store.before_read) == 7

    @pytest.mark.parametrize("kinds", [{}, {"ChecksumAlgorithm": "SHA256"}, {"ChecksumAlgorithm": "CRC32"}], ids=str)
    def test_an_object_that_others_uploaded_in_parts(self, store, kinds):
        content = os.urandom((5 << 20) + 7)
        client, target = s3_connection.connect("s3://bucket"), {"Bucket": "bucket", "Key": "a"}
        upload = client.create_multipart_upload(**target, **kinds)["UploadId"]
        parts = []
        for number, part in enumerate((content[: 5 << 20], content[5 << 20 :]), 1):
            tag = client.upload_part(**target, UploadId=upload, PartNumber=number, Body=part, **kinds)
            sums = {key: value for key, value in tag.items() if key.startswith("Checksum") and key != "ChecksumType"}
            parts.append({"PartNumber": number, "ETag": tag["ETag"], **sums})
        client.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": parts})
        if kinds:  # moto leaves out the number of parts
            [(name, value)] = [
                (key, value)
                for key, value in client.head_object(**target, ChecksumMode="ENABLED").items()
                if key in ("ChecksumSHA256", "ChecksumCRC32")
            ]
            store.described = {f"x-amz-checksum-{name.removeprefix('Checksum').lower()}": f"{value}-2"}
        store.before_read = [lambda: None] * 9
        assert storage.read("s3://bucket/a")[0] == content
        assert len(store.before_read) == 8

        store.spoil("a", content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(StorageError, match="checksum"):
            storage.read("s3://bucket/a")


class TestPublishFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("whole.json", "data/train.parquet", "data/deep/x"):
            (tmp_path / "shards" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "shards" / name).write_bytes(name.encode())
        return tmp_path / "shards"

    def test_files_at_the_top_are_uploaded_last(self, store, folder):
        storage.publish_folder(folder, "s3://bucket/root/d1")

        written = [path for method, path in store.requests if method in ("PUT", "POST")]
        assert store.content("root/d1/data/deep/x") == b"data/deep/x"
        assert len(store.names()) == 3
        assert written[-1] == "/bucket/root/d1/whole.json"

    def test_the_same_content_again_and_other_content(self, store, folder):
        storage.publish_folder(folder, "s3://bucket/1")
        store.requests.clear()
        storage.publish_folder(folder, "s3://bucket/1/")
        assert "PUT" not in {method for method, _ in store.requests}

        (folder / "whole.json").write_bytes(b"Whole.json")
        with pytest.raises(Conflict, match="'s3://bucket/1'"):
            storage.publish_folder(folder, "s3://bucket/1")
        assert store.content("1/whole.json") == b"whole.json"

    @pytest.mark.parametrize("size", [(5 << 20) + 3, 10 << 20])
    def test_a_large_file_is_uploaded_in_parts(self, store, folder, monkeypatch, size):
        monkeypatch.setattr(s3_transfers, "PART_BYTES", 5 << 20)
        content = os.urandom(size)
        (folder / "big").write_bytes(content)
        storage.publish_folder(folder, "s3://bucket/1")
        written = [path for method, path in store.requests if method in ("PUT", "POST")]

        assert store.content("1/big") == content
        assert written.count("/bucket/1/big") == 4
        with storage.local_copy("s3://bucket/1/big") as path:
            assert path.read_bytes() == content
        storage.publish_folder(folder, "s3://bucket/1")

    def test_a_large_upload_that_fails_is_aborted(self, store, folder, monkeypatch):
        monkeypatch.setattr(s3_transfers, "PART_BYTES", 5 << 20)
        (folder / "data" / "deep" / "x").write_bytes(bytes(6 << 20))
        store.before_write = [lambda: None, lambda: store.refusals.append((403, "AccessDenied"))]
        with pytest.raises(StorageError, match=r"'s3://bucket/1'.*\(403\)"):
            storage.publish_folder(folder, "s3://bucket/1")

        assert store.unfinished() == 0
        assert store.names() == []

    def test_an_upload_that_arrives_spoilt_is_refused(self, store, folder, monkeypatch):
        monkeypatch.setattr(checksums, "sent", lambda _file: {"ContentMD5": base64.b64encode(bytes(16)).decode()})
        with pytest.raises(StorageError, match=r"'s3://bucket/1'.* checksum"):
            storage.publish_folder(folder, "s3://bucket/1")

        assert store.names() == []

    def test_lost_answers(self, store, folder, monkeypatch):
        monkeypatch.setattr(s3_transfers, "PART_BYTES", 5 << 20)
        (folder / "big").write_bytes(bytes(6 << 20))
        store.lose_answers = 3
        storage.publish_folder(folder, "s3://bucket/1")

        assert len(store.names()) == 4

    def test_processes_publish_the_same_content(self, store, folder):
        with forks.pool(3) as pool:
            pool.starmap(storage.publish_folder, [(folder, "s3://bucket/1")] * 3)

        assert len(store.names()) == 3

    def test_another_process_publishes_other_content_at_the_same_time(self, store, folder):
        store.before_write = [lambda: store.put("1/data/train.parquet", b"other")]
        with pytest.raises(Conflict, match=r"'s3://bucket/1/data/train\.parquet'"):
            storage.publish_folder(folder, "s3://bucket/1")

        assert store.content("1/data/train.parquet") == b"other"

    def test_a_store_without_conditional_writes(self, store, folder):
        store.before_write = [lambda: store.refusals.append((501, "NotImplemented"))]
        storage.publish_folder(folder, "s3://bucket/1")

        assert len(store.names()) == 3

    def test_an_additional_file_is_a_conflict(self, store, folder):
        store.put("1/other", b"")
        with pytest.raises(Conflict):
            storage.publish_folder(folder, "s3://bucket/1")

    def test_an_interrupted_publication_is_completed(self, store, folder):
        store.put("1/data/deep/x", b"data/deep/x")
        storage.publish_folder(folder, "s3://bucket/1")

        assert len(store.names()) == 3


class TestSharedState:
    def test_only_the_expected_version_is_replaced(self, store):
        uri = "s3://bucket/c"
        first = storage.compare_and_swap(uri, b"1", None)
        second = storage.compare_and_swap(uri, b"2", first)
        for expected in (first, None, '"0"'):
            with pytest.raises(Conflict, match=f"'{uri}'"):
                storage.compare_and_swap(uri, b"3", expected)

        assert storage.read(uri) == (b"2", second)
        with pytest.raises(Conflict, match="'s3://bucket/none'"):
            storage.compare_and_swap("s3://bucket/none", b"", first)

    def test_a_retry_recognises_its_own_success(self, store):
        for content, lost in ((b"1", 1), (b"2", 2)):
            found = storage.read("s3://bucket/c")
            store.lose_answers = lost
            token = storage.compare_and_swap("s3://bucket/c", content, found and found[1])

            assert storage.read("s3://bucket/c") == (content, token)

    @pytest.mark.parametrize("times", [1, 2])
    def test_a_retry_recognises_its_success_of_a_version_that_was_replaced(self, store, times):
        """The answer is lost, and others replace the object before the retry."""
        tags = []

        def overtake():
            for number in range(times):
                tags.append(storage.read("s3://bucket/c")[1])
                storage.compare_and_swap("s3://bucket/c", b"other %d" % number, tags[-1])

        store.lose_answers, store.after_loss = 1, [overtake]
        token = storage.compare_and_swap("s3://bucket/c", b"one", None)

        assert token == tags[0]
        assert storage.read("s3://bucket/c")[0] == b"other %d" % (times - 1)

    def test_a_retry_does_not_take_the_same_content_of_another_for_its_own(self, store):
        store.put("c", b"1")
        with pytest.raises(Conflict):
            storage.compare_and_swap("s3://bucket/c", b"1", None)

    def test_processes_lose_no_update_when_answers_are_lost(self, store):
        storage.write_new("s3://bucket/count", b"0")
        store.lose_answers = 12
        with forks.pool(4) as pool:
            pool.starmap(counting.add_ones, [("s3://bucket/count", 6)] * 4)

        assert store.lose_answers == 0
        assert storage.read_text("s3://bucket/count") == "24"

    def test_delete(self, store):
        for name in ("a", "ab", "d/x", "d/e/y", "d2/z"):
            store.put(name, b"1")
        for name in ("a", "d", "never"):
            storage.delete(f"s3://bucket/{name}")

        assert store.names() == ["ab", "d2/z"]

    @pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "minio://bucket"])
    def test_a_root_is_not_deleted(self, uri):
        with pytest.raises(InputError, match=f"'{uri}'"):
            storage.delete(uri)

    def test_only_the_expected_version_is_deleted(self, store):
        token = storage.compare_and_swap("s3://bucket/c", b"1", None)
        with pytest.raises(Conflict):
            storage.compare_and_delete("s3://bucket/c", '"0"')
        assert store.names() == ["c"]

        store.lose_answers = 1
        storage.compare_and_delete("s3://bucket/c", token)
        assert store.names() == []


class TestSettings:
    def test_the_variable_for_s3_takes_precedence(self):
        with s3_server.serve(AWS_ENDPOINT_URL_S3="ADDRESS", AWS_ENDPOINT_URL="http://127.0.0.1:9", **KEYS) as store:
            store.put("a", b"x")
            assert storage.read_text("s3://bucket/a") == "x"

    def test_kubeflows_store_has_its_own_keys(self):
        with s3_server.serve(
            MINIO_ENDPOINT_URL="ADDRESS", MINIO_ACCESS_KEY="KEY", MINIO_SECRET_KEY="SECRET",
            AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_ACCESS_KEY_ID="users", AWS_SECRET_ACCESS_KEY="users",
        ) as store:  # fmt: skip
            store.put("a", b"x")
            assert storage.read_text("minio://bucket/a") == "x"

    def test_kubeflows_keys_are_not_sent_to_other_stores(self):
        denied = pytest.raises(StorageError, match=r"\(403\).*AWS_ACCESS_KEY_ID")
        with s3_server.serve(AWS_ENDPOINT_URL="ADDRESS", MINIO_ACCESS_KEY="KEY", MINIO_SECRET_KEY="SECRET"), denied:
            storage.read("s3://bucket/a")

    def test_the_default_address_of_kubeflows_store(self, monkeypatch):
        with s3_server.serve() as store:
            store.put("a", b"x")
            address = store.address
            monkeypatch.setattr(s3_connection, "STORE", address)
            monkeypatch.delenv("AWS_ENDPOINT_URL")
            assert storage.read_text("minio://bucket/a") == "x"

    @pytest.mark.parametrize(
        ("address", "shown"),
        [("minio:9000", "minio:9000"), ("http://me:pass@minio:9000", "…@minio:9000"), ("ftp://minio", "ftp://minio")],
    )
    def test_an_invalid_address(self, monkeypatch, address, shown):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(InputError, match=r"AWS_ENDPOINT_URL.* http://host:port") as caught:
            storage.read("s3://bucket/a")

        assert shown in str(caught.value)
        assert "pass" not in str(caught.value)


class TestFailures:
    @pytest.mark.parametrize("status", [500, 503])
    def test_a_transient_failure_is_retried(self, store, status):
        store.put("a", b"x")
        store.refusals = [(status, "SlowDown")] * 2

        assert storage.read_text("s3://bucket/a") == "x"

    def test_a_bucket_in_another_region_is_found(self, store):
        store.put("a", b"x")
        store.refusals = [(301, "PermanentRedirect")]

        assert storage.read_text("s3://bucket/a") == "x"

    def test_no_bucket(self, store):
        for attempt in (lambda: storage.list_files("s3://other/x"), lambda: storage.find("s3://other", {"x"})):
            with pytest.raises(StorageError, match=r"'other' \(404\).* http://127"):
                attempt()
        with pytest.raises(StorageError, match=r"'s3://bucket/a'.*\(404\)"), storage.local_copy("s3://bucket/a"):
            pass

    @pytest.mark.parametrize(
        ("refusal", "names"),
        [
            ((403, "AccessDenied"), ["(403)", "'bucket'", "AWS_ACCESS_KEY_ID"]),
            ((403, "SignatureDoesNotMatch"), ["Authentication", "AWS_ACCESS_KEY_ID"]),
            ((400, "ExpiredToken"), ["Authentication", "AWS_ACCESS_KEY_ID"]),
            ((400, "AuthorizationHeaderMalformed"), ["'bucket'", "Set AWS_REGION"]),
            ((403, "RequestTimeTooSkewed"), ["clock"]),
            ((400, "Odd"), ["(400)", "AWS_ACCESS_KEY_ID", "AWS_REGION"]),
            ((500, "InternalError"), ["InternalError", "(500)"]),
        ],
    )
    def test_a_refusal_names_the_reason_and_the_setting(self, store, monkeypatch, refusal, names):
        monkeypatch.setattr(s3_connection, "ATTEMPTS", 1)
        store.refusals = [refusal]
        with pytest.raises(StorageError, match="'s3://bucket/d'") as caught:
            storage.find("s3://bucket/d", {"x"})

        for name in names:
            assert name in str(caught.value)

        assert s3_server.SECRET not in str(caught.value)

    @pytest.mark.parametrize("scheme", ["s3", "minio"])
    def test_network_down(self, monkeypatch, scheme):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setattr(s3_connection, "ATTEMPTS", 1)
        with pytest.raises(StorageError, match=r" http://127\.0\.0\.1:9 .*AWS_ENDPOINT_URL"):
            storage.read(f"{scheme}://bucket/x")

    @pytest.mark.parametrize("uri", ["s3://B_ucket!/a", "s3://a/b c"])
    def test_an_invalid_bucket(self, store, uri):
        bucket = uri.split("/")[2]
        with pytest.raises(StorageError, match=rf"'{uri}'.* '{bucket}'") as caught:
            storage.read(uri)

        assert "\n" not in str(caught.value)

    def test_a_bucket_in_place_of_an_object(self, store):
        with pytest.raises(StorageError, match="'s3://bucket'") as caught:
            storage.read("s3://bucket")

        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("variables", [{"AWS_PROFILE": "nowhere"}, {"AWS_ACCESS_KEY_ID": "half"}])
    def test_incomplete_credentials_name_their_variable(self, store, monkeypatch, variables):
        for name in KEYS:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(TiffinError, match=r"AWS_PROFILE='nowhere'|AWS_SECRET_ACCESS_KEY"):
            storage.read("s3://bucket/a")

    def test_a_public_bucket_needs_no_credentials(self, store, monkeypatch):
        for name in KEYS:
            monkeypatch.delenv(name)
        store.put("a", b"x")
        store.key = ""

        assert storage.read_text("s3://bucket/a") == "x"

    def test_a_name_with_an_error_code(self, store, monkeypatch):
        monkeypatch.setattr(s3_connection, "ATTEMPTS", 1)
        store.refusals = [(503, "SlowDown")]
        with pytest.raises(StorageError, match=r"AccessDenied'.*503") as caught:
            storage.read("s3://bucket/AccessDenied")

        assert "(403)" not in str(caught.value)

    def test_a_full_disk_of_this_machine(self, store, tmp_path):
        store.put("a", b"x" * 100_000)
        script = (
            "import resource, signal, sys; from pathlib import Path; from tiffin.storage import s3\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
            "try: s3.download('s3://bucket/a', Path(sys.argv[1]))\n"
            "except s3.StorageError as error: print(error)\n"
        )
        command = [sys.executable, "-c", script, tmp_path / "a"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)

        assert os.strerror(errno.EFBIG) in done.stdout
        assert "'s3://bucket/a'" in done.stdout
