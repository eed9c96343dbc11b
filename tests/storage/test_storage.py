import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import counting, forks, gcs_emulator
from tiffin import storage
from tiffin.errors import Conflict, InputError, StorageError
from tiffin.storage import objects


@pytest.fixture
def bucket():
    with gcs_emulator.serve() as served:
        yield served


@pytest.fixture(params=["disk", "gcs"])
def root(request, tmp_path):
    """The same rules hold on local disk and on Cloud Storage."""
    if request.param == "disk":
        yield str(tmp_path / "root")
    else:
        with gcs_emulator.serve() as served:
            yield f"gs://{served.name}/root"


def put(root, *names):
    for name in names:
        storage.write_new(f"{root}/{name}", name.encode())


def interrupt(*_):
    raise KeyboardInterrupt


def listed(root, location):
    return [file.uri.removeprefix(root + "/") for file in storage.list_files(location)]


class TestListFiles:
    def test_an_empty_folder_has_no_data(self, tmp_path):
        with pytest.raises(InputError, match=rf"'{tmp_path}'.*'_'"):
            storage.list_files(str(tmp_path))

    def test_a_file_is_one_file(self, root):
        put(root, "a.csv", "a.csv.bak")
        [file] = storage.list_files(f"{root}/a.csv")

        assert (file.uri, file.size_bytes) == (f"{root}/a.csv", 5)
        assert bool(file.generation) == root.startswith("gs://")

    def test_a_folder_is_listed_recursively_and_sorted(self, root):
        put(root, "d/b.csv", "d/a.csv", "d/sub/c.csv", "d/_SUCCESS", "d/.part", "d/_tmp/x.csv", "d/.git/y.csv", "e.csv")

        assert listed(root, f"{root}/d") == ["d/a.csv", "d/b.csv", "d/sub/c.csv"]
        assert listed(root, f"{root}/d/") == ["d/a.csv", "d/b.csv", "d/sub/c.csv"]

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.csv", ["a1.csv", "b2.csv"]),
            ("a?.csv", ["a1.csv"]),
            ("[!a]*.csv", ["b2.csv"]),
            ("[ab][12].*", ["a1.csv", "b2.csv"]),
            ("*/*.csv", ["d/c.csv"]),
            ("**/*.csv", ["a1.csv", "b2.csv", "d/c.csv", "d/e/f.csv"]),
            ("_*", ["_x.csv"]),
        ],
    )
    def test_a_glob_matches_files(self, root, pattern, expected):
        put(root, "a1.csv", "b2.csv", "n.txt", "_x.csv", ".h.csv", "d/c.csv", "d/e/f.csv")

        assert listed(root, f"{root}/{pattern}") == expected

    def test_a_glob_without_a_match(self, root):
        put(root, "a.csv")
        with pytest.raises(InputError, match=r"\*\.parquet'.*'\*\*'"):
            storage.list_files(f"{root}/*.parquet")

    def test_the_error_suggests_the_closest_name(self, root):
        put(root, "trips.csv")
        with pytest.raises(InputError, match=r"trip\.csv'.*'trips\.csv'\?"):
            storage.list_files(f"{root}/trip.csv")

    def test_a_missing_folder(self, root):
        with pytest.raises(InputError, match=rf"'{root}/absent/trip\.csv'"):
            storage.list_files(f"{root}/absent/trip.csv")

    def test_file_uri(self, tmp_path):
        put(str(tmp_path), "a b.csv")

        assert storage.list_files(f"file://{tmp_path}/a%20b.csv")[0].uri == f"{tmp_path}/a b.csv"

    def test_a_name_with_wildcards(self, tmp_path):
        put(str(tmp_path), "a[1].csv")

        assert listed(str(tmp_path), f"{tmp_path}/a[1].csv") == ["a[1].csv"]

    def test_a_cycle_of_links(self, tmp_path):
        put(str(tmp_path), "d/a.csv")
        (tmp_path / "d" / "again").symlink_to(tmp_path / "d")

        assert listed(str(tmp_path), f"{tmp_path}/d") == ["d/a.csv"]

    def test_a_pipe_is_refused(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match=rf"'{tmp_path}/pipe'.* pipe"):
            storage.list_files(str(tmp_path / "pipe"))

    @pytest.mark.parametrize(
        ("location", "pattern"),
        [
            ("", r"file://, gs://, s3:// .*Received: ''"),
            ("ftp://b/x", r"file://, gs://, s3:// .*'ftp://b/x'"),
            ("gs://", r"gs://bucket/name.*'gs://'"),
            ("s3://", r"S3 .*s3://bucket/name.*'s3://'"),
            ("minio:///x", r"MinIO .*minio://bucket/name.*'minio:///x'"),
            ("file://host/x", r"file:///.*'file://host/x'"),
            ("s3://AKIA1:hunter2@bucket/x", r"'s3://\*\*\*@bucket/x'"),
            ("s3://AKIA1:hun/ter2@bucket/x", r"'s3://\*\*\*@bucket/x'"),
            ("gs://hunter2@bucket/x", r"'gs://\*\*\*@bucket/x'"),
            ("a\0b", r"file://, gs://, s3:// .*'a\\x00b'"),
        ],
    )
    def test_other_locations_are_refused(self, location, pattern):
        with pytest.raises(InputError, match=pattern):
            storage.list_files(location)

    @pytest.mark.parametrize("uri", ["gs://bucket/a@b", "gs://bucket/a:b@c/d"])
    def test_a_name_may_contain_an_at_sign(self, uri):
        assert storage._resolve(uri)[0] is not None


class TestCompareAndSwap:
    def test_absent(self, root):
        assert storage.read(f"{root}/x") is None
        assert not storage.exists(f"{root}/x")

    def test_only_the_version_that_was_read_is_replaced(self, root):
        uri = f"{root}/a/x.config"
        first = storage.compare_and_swap(uri, b"one", None)
        assert storage.read(uri) == (b"one", first)

        second = storage.compare_and_swap(uri, b"two", first)
        assert storage.read(uri) == (b"two", second)

        for stale in (first, None):
            with pytest.raises(Conflict, match=f"'{uri}'"):
                storage.compare_and_swap(uri, b"three", stale)
        assert storage.read_text(uri) == "two"

    def test_a_deleted_file(self, root):
        token = storage.compare_and_swap(f"{root}/x", b"one", None)
        storage.delete(f"{root}/x")
        with pytest.raises(Conflict):
            storage.compare_and_swap(f"{root}/x", b"two", token)

    def test_write_new_writes_once(self, root):
        storage.write_new(f"{root}/h/1.json", b"{}")
        with pytest.raises(Conflict, match=rf"'{root}/h/1\.json'.* exists"):
            storage.write_new(f"{root}/h/1.json", b"{}")

    def test_processes_lose_no_update(self, root):
        uri = f"{root}/count"
        storage.write_new(uri, b"0")
        with forks.pool(4) as pool:
            pool.starmap(counting.add_ones, [(uri, 6)] * 4)

        assert storage.read_text(uri) == "24"

    def test_only_the_lock_remains_beside_a_file(self, tmp_path):
        storage.write_new(f"{tmp_path}/x", b"1")

        assert sorted(os.listdir(tmp_path)) == [".lock", "x"]

    def test_a_retry_recognises_its_own_success(self, bucket):
        bucket.lose_answers = 1
        token = storage.compare_and_swap("gs://bucket/x", b"one", None)

        assert storage.read("gs://bucket/x") == (b"one", token)

    @pytest.mark.parametrize("times", [1, 2])
    def test_a_retry_recognises_its_success_of_a_version_that_was_replaced(self, bucket, times):
        """The answer is lost, and others replace the object before the retry."""

        def overtake():
            for _ in range(times):
                found = storage.read("gs://bucket/x")
                storage.compare_and_swap("gs://bucket/x", b"other", found[1])

        bucket.lose_answers, bucket.after_loss = 1, [overtake]
        token = storage.compare_and_swap("gs://bucket/x", b"one", None)

        assert storage.read("gs://bucket/x")[0] == b"other"
        assert token == str(min(object.generation for object in bucket.replaced))

    def test_processes_lose_no_update_when_answers_are_lost(self, bucket):
        storage.write_new("gs://bucket/count", b"0")
        bucket.lose_answers = 12
        with forks.pool(4) as pool:
            pool.starmap(counting.add_ones, [("gs://bucket/count", 6)] * 4)

        assert bucket.lose_answers == 0
        assert storage.read_text("gs://bucket/count") == "24"

    def test_only_the_expected_version_is_deleted(self, root):
        token = storage.compare_and_swap(f"{root}/x", b"1", None)
        other = storage.compare_and_swap(f"{root}/x", b"2", token)
        with pytest.raises(Conflict, match=f"'{root}/x'"):
            storage.compare_and_delete(f"{root}/x", token)
        assert storage.exists(f"{root}/x")

        storage.compare_and_delete(f"{root}/x", other)
        assert not storage.exists(f"{root}/x")

    def test_a_retry_does_not_take_the_same_content_of_another_for_its_own(self, bucket):
        bucket.put("x", b"one")
        with pytest.raises(Conflict):
            storage.compare_and_swap("gs://bucket/x", b"one", None)

    def test_an_object_without_content_is_an_error_after_some_attempts(self, bucket):
        bucket.put("x", b"one")
        bucket.no_content = True
        with pytest.raises(StorageError, match=r"'gs://bucket/x'.*\(404\)"):
            storage.read("gs://bucket/x")

        assert sum(path.startswith("/download/") for _, path in bucket.requests) == 6

    def test_an_object_replaced_while_it_is_read_is_read_again(self, bucket):
        bucket.put("x", b"one")
        bucket.replace_before_download = [b"two"]

        assert storage.read("gs://bucket/x")[0] == b"two"


class TestPublishFolder:
    @pytest.fixture
    def model(self, tmp_path):
        put(str(tmp_path / "model"), "saved_model.pb", "variables/variables.index", "variables/deep/x")
        (tmp_path / "model" / ".lock").unlink(missing_ok=True)
        for lock in (tmp_path / "model").rglob(".lock"):
            lock.unlink()
        return tmp_path / "model"

    def test_all_files_are_published(self, model, root):
        storage.publish_folder(model, f"{root}/versions/1")

        assert listed(root, f"{root}/versions/1") == [
            "versions/1/saved_model.pb",
            "versions/1/variables/deep/x",
            "versions/1/variables/variables.index",
        ]
        assert storage.read_text(f"{root}/versions/1/variables/deep/x") == "variables/deep/x"

    def test_the_same_content_again_and_other_content(self, model, root):
        storage.publish_folder(model, f"{root}/1")
        storage.publish_folder(model, f"{root}/1")
        (model / "saved_model.pb").write_bytes(b"savEd_model.pb")
        with pytest.raises(Conflict, match=f"'{root}/1'"):
            storage.publish_folder(model, f"{root}/1")

        assert storage.read_text(f"{root}/1/saved_model.pb") == "saved_model.pb"

    def test_an_additional_file_is_a_conflict(self, model, root):
        storage.publish_folder(model, f"{root}/1")
        (model / "variables" / "deep" / "x").unlink()
        with pytest.raises(Conflict):
            storage.publish_folder(model, f"{root}/1")

    def test_an_interrupted_publication_is_removed(self, model, tmp_path):
        left = tmp_path / "root" / ".1.unfinished-abc"
        put(str(left), "saved_model.pb")
        assert storage.find(str(tmp_path / "root"), {"saved_model.pb"}) == []

        storage.publish_folder(model, str(tmp_path / "root" / "1"))

        assert sorted(os.listdir(tmp_path / "root")) == [".lock", "1"]

    def test_a_failed_copy_is_removed(self, model, tmp_path):
        (model / "broken").symlink_to(tmp_path / "nowhere")
        with pytest.raises(StorageError, match=rf"read '{model}/broken'"):
            storage.publish_folder(model, str(tmp_path / "root" / "1"))

        assert os.listdir(tmp_path / "root") == [".lock"]

    def test_an_interrupted_upload_is_completed(self, model, bucket):
        bucket.put("1/variables/variables.index", b"variables/variables.index")
        storage.publish_folder(model, "gs://bucket/1")

        assert len(bucket.objects) == 3

    def test_files_at_the_top_are_uploaded_last(self, model, bucket):
        storage.publish_folder(model, "gs://bucket/1")

        assert list(bucket.objects)[-1] == "1/saved_model.pb"

    def test_a_large_file_is_uploaded_in_parts(self, tmp_path, bucket):
        content = os.urandom(9 << 20)  # above 8 MiB the library uses a resumable upload
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "big").write_bytes(content)
        storage.publish_folder(tmp_path / "m", "gs://bucket/1")

        assert bucket.objects["1/big"].content == content
        assert "PUT" in {method for method, _ in bucket.requests}

    def test_a_lost_response_is_retried(self, model, bucket):
        bucket.lose_answers = 2
        storage.publish_folder(model, "gs://bucket/1")

        assert len(bucket.objects) == 3

    @pytest.mark.parametrize("make", [False, True])
    def test_nothing_to_publish(self, tmp_path, root, make):
        if make:
            (tmp_path / "m").mkdir()
        with pytest.raises(InputError, match=rf"'{tmp_path}/m'.* {'empty' if make else 'folder'}"):
            storage.publish_folder(tmp_path / "m", f"{root}/1")

    def test_processes_publish_the_same_content(self, model, root):
        with forks.pool(3) as pool:
            pool.starmap(storage.publish_folder, [(model, f"{root}/1")] * 3)

        assert len(storage.list_files(f"{root}/1")) == 3


class TestLocalCopy:
    def test_a_local_file_is_itself(self, tmp_path):
        (tmp_path / "a").write_bytes(b"x")
        with storage.local_copy(f"file://{tmp_path}/a") as path:
            assert path == tmp_path / "a"
        assert path.exists()

    def test_a_local_copy_of_an_object_is_temporary(self, bucket):
        content = os.urandom(3 << 20)
        bucket.put("d/a.parquet", content)
        with storage.local_copy("gs://bucket/d/a.parquet") as path:
            assert path.name == "a.parquet"
            assert storage.digest(path) == hashlib.sha256(content).hexdigest()
        assert not path.parent.exists()

    def test_a_corrupted_download_is_refused(self, bucket):
        bucket.put("a", b"content")
        bucket.corrupt = True
        with pytest.raises(StorageError, match=r"'gs://bucket/a'.* checksum"), storage.local_copy("gs://bucket/a"):
            pass

    def test_absent(self, root):
        absent = pytest.raises(StorageError, match=rf"No such.*'{root}/a'|'{root}/a'.*\(404\)")
        with absent, storage.local_copy(f"{root}/a"):
            pass


class TestFailures:
    def test_a_transient_failure_is_retried(self, bucket):
        bucket.put("a", b"x")
        bucket.failures = [503, 429]

        assert storage.read_text("gs://bucket/a") == "x"

    def test_no_bucket(self, bucket):
        with pytest.raises(StorageError, match=r"'gs://other/x'.*'other' \(404\)"):
            storage.list_files("gs://other/x")
        with pytest.raises(StorageError, match=r"'gs://other/x'.*'other' \(404\)"):
            storage.write_new("gs://other/x", b"")

    def test_forbidden(self, bucket):
        bucket.forbidden = True
        with pytest.raises(StorageError, match=r"'gs://bucket/x'.*\(403\).*Storage Object User.*'bucket'"):
            storage.read("gs://bucket/x")

    def test_network_down(self, monkeypatch):
        from tiffin.storage import gcs

        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
        monkeypatch.setattr(gcs, "RETRY_SECONDS", 0.2)
        with pytest.raises(StorageError, match=r"'gs://bucket/x'.*STORAGE_EMULATOR_HOST"):
            storage.read("gs://bucket/x")
        with pytest.raises(StorageError, match=r"'gs://bucket/x'.*STORAGE_EMULATOR_HOST"):
            storage.compare_and_swap("gs://bucket/x", b"", None)

    def test_no_credentials(self, tmp_path):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
        script = "from tiffin import storage; storage.read('gs://bucket/x')"
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)

        for name in ("StorageError: ", "'gs://bucket/x'", "gcloud auth", "GOOGLE_APPLICATION_CREDENTIALS"):
            assert name in done.stderr

    def test_without_the_library_of_cloud_storage(self):
        script = "import sys; sys.modules['google.cloud.storage'] = None\nfrom tiffin import storage; storage.read('gs://b/x')"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

        assert "StorageError: gs:// " in done.stderr
        assert " google-cloud-storage " in done.stderr

    def test_without_the_library_of_s3(self):
        script = "import sys; sys.modules['boto3'] = None\nfrom tiffin import storage; storage.read('s3://b/x')"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

        assert "StorageError: s3:// and minio:// " in done.stderr
        assert " boto3[crt] " in done.stderr

    def test_the_import_does_not_load_the_libraries(self):
        script = "import sys, tiffin.storage; print({'google.cloud.storage', 'requests', 'boto3'} & {*sys.modules})"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert done.stdout == "set()\n"

    def test_a_limit_on_file_size(self, tmp_path):
        """The limit fails a write halfway, like a full disk."""
        script = (
            "import resource, signal, sys; from pathlib import Path; from tiffin import storage\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "root = Path(sys.argv[1]); (root / 'm').mkdir(); (root / 'm' / 'big').write_bytes(b'x' * 100_000)\n"
            "token = storage.compare_and_swap(f'{root}/config', b'old', None)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
            "for attempt in (lambda: storage.compare_and_swap(f'{root}/config', b'x' * 100_000, token),\n"
            "                lambda: storage.publish_folder(root / 'm', f'{root}/out/1')):\n"
            "    try: attempt()\n"
            "    except storage.StorageError as error: print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)

        lines = done.stdout.splitlines()
        assert len(lines) == 2
        assert all(os.strerror(errno.EFBIG) in line for line in lines)
        assert storage.read_text(f"{tmp_path}/config") == "old"
        assert sorted(os.listdir(tmp_path)) == [".lock", "config", "m", "out"]
        assert os.listdir(tmp_path / "out") == [".lock"]

    def test_a_full_disk(self, tmp_path):
        """Mounts a small disk in a namespace of its own, which an unprivileged user may do in a user namespace."""
        script = (
            "import os, sys; from tiffin import storage\n"
            "token = storage.compare_and_swap(f'{sys.argv[1]}/config', b'old', None)\n"
            "try: storage.compare_and_swap(f'{sys.argv[1]}/config', b'x' * 200_000, token)\n"
            "except storage.StorageError as error: print(error)\n"
            "print(storage.read_text(f'{sys.argv[1]}/config'), sorted(os.listdir(sys.argv[1])))\n"
        )
        alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
        if subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True).returncode:
            pytest.skip("mounting a file system is not permitted here; test_a_limit_on_file_size covers failed writes")
        mounted = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -c "$3" "$1"'

        done = subprocess.run(
            [*alone, "sh", "-c", mounted, "sh", tmp_path, sys.executable, script], capture_output=True, text=True
        )

        assert done.returncode == 0, done.stderr
        error, rest = done.stdout.splitlines()
        assert f"'{tmp_path}/config'" in error
        assert os.strerror(errno.ENOSPC) in error
        assert rest == "old ['.lock', 'config']"

    def test_a_path_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StorageError, match=rf"write '{tmp_path}/file/x'"):
            storage.write_new(f"{tmp_path}/file/x", b"")

    def test_a_file_that_is_not_text(self, root):
        storage.write_new(f"{root}/x", b"\xff")
        with pytest.raises(StorageError, match=rf"'{root}/x'.* UTF-8"):
            storage.read_text(f"{root}/x")
        with pytest.raises(StorageError, match=f"No such.*'{root}/y'"):
            storage.read_text(f"{root}/y")


class TestFindAndDelete:
    def test_find(self, root):
        assert storage.find(root, {"stable.config"}) == []

        put(root, "m/stable.config", "m/versions/1/saved_model.pb", "n/stable.config", "n/candidate.config")

        assert storage.find(root, {"stable.config"}) == [f"{root}/m/stable.config", f"{root}/n/stable.config"]

    def test_find_in_a_file(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StorageError, match=f"search '{tmp_path}/file'"):
            storage.find(str(tmp_path / "file"), {"x"})

    def test_delete(self, root):
        put(root, "a", "ab", "d/x", "d/e/y", "d2/z")
        storage.delete(f"{root}/a")
        storage.delete(f"{root}/d")
        storage.delete(f"{root}/never")

        assert [storage.exists(f"{root}/{name}") for name in ("a", "ab", "d", "d/e/y", "d2", "d2/z")] == [
            *(False, True, False, False, True, True)
        ]

    def test_an_interrupted_deletion_leaves_no_part_of_a_folder(self, tmp_path, monkeypatch):
        put(str(tmp_path / "source"), "saved_model.pb", "variables/x")
        folder = tmp_path / "versions" / "1"
        storage.publish_folder(tmp_path / "source", str(folder))
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", interrupt)
            with pytest.raises(KeyboardInterrupt):
                storage.delete(str(folder))
        assert not folder.exists()
        assert storage.find(str(folder.parent), {"x"}) == []
        storage.publish_folder(tmp_path / "source", str(folder.with_name("2")))

        # The next publication removes the rest.
        assert sorted(os.listdir(folder.parent)) == [".lock", "2"]

    def test_a_folder_in_a_bucket_is_deleted_from_the_top(self):
        names = ["v/1", "v/1/assets/a", "v/1/saved_model.pb", "v/1/variables/x/y"]

        assert objects.from_the_top(reversed(names)) == [names[0], names[2], names[1], names[3]]

    @pytest.mark.parametrize("uri", ["/", "gs://bucket", "gs://bucket/", "file:///"])
    def test_a_root_is_not_deleted(self, uri):
        with pytest.raises(InputError, match=f"'{uri}'"):
            storage.delete(uri)


class TestJoin:
    @pytest.mark.parametrize(
        ("root", "joined"),
        [("/a", "/a/m/1"), ("/a/", "/a/m/1"), ("gs://b", "gs://b/m/1"), ("/", "/m/1"), ("r", "r/m/1")],
    )
    def test_parts_are_appended(self, root, joined):
        assert storage.join(root, "m", "1") == joined
        assert storage.join(root) == root

    @pytest.mark.parametrize("part", ["", "..", ".", "../x", "a/../b", "/etc", "a//b", "a/", "a\0b"])
    def test_a_part_outside_the_root_is_refused(self, part):
        with pytest.raises(InputError, match=rf"'/root'.*Received: {re.escape(repr(part))}"):
            storage.join("/root", "m", part)

    @given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
    def test_every_location_is_under_its_root(self, parts):
        try:
            joined = storage.join("/root", *parts)
        except InputError:
            return
        path = os.path.normpath(joined)

        assert path.startswith("/root/")
        assert path == joined
        assert Path(path).parts[2:] == tuple("/".join(parts).split("/"))
