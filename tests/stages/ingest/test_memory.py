"""The memory limit of ingest: a setting, or a share of the container's memory."""

import os

import pytest

from tiffin.errors import InputError
from tiffin.stages.ingest.examples import ingest
from tiffin.stages.ingest.memory import SETTING, memory_limit

GIB = 1 << 30
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def container(root, groups, limits):
    for path, text in {"proc/self/cgroup": groups, **limits}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


class TestShare:
    def test_of_a_machine_without_control_groups_is_a_half(self, tmp_path):
        assert memory_limit(tmp_path) == MACHINE // 2

    @pytest.mark.parametrize(
        ("groups", "limits"),
        [
            ("0::/\n", {"sys/fs/cgroup/memory.max": f"{GIB}\n"}),
            # The group of a service, within one that has a limit.
            (
                "0::/outer/inner\n",
                {"sys/fs/cgroup/outer/memory.max": f"{GIB}\n", "sys/fs/cgroup/outer/inner/memory.max": "max\n"},
            ),
            # In a container, the path of the host.
            ("0::/kubepods/pod1\n", {"sys/fs/cgroup/memory.max": f"{GIB}\n"}),
            ("4:memory:/docker/1\n3:cpu:/\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n"}),
            ("4:cpu,memory:/a\n", {"sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{GIB}\n"}),
        ],
        ids=["v2", "v2 nested", "v2 of the host", "v1", "v1 with cpu"],
    )
    def test_of_a_container(self, tmp_path, groups, limits):
        assert memory_limit(container(tmp_path, groups, limits)) == GIB // 2

    @pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", "", "?"])
    def test_of_a_container_without_a_limit_is_that_of_the_machine(self, tmp_path, text):
        root = container(tmp_path, "0::/\n", {"sys/fs/cgroup/memory.max": text})

        assert memory_limit(root) == MACHINE // 2

    def test_has_a_minimum(self, tmp_path):
        root = container(tmp_path, "0::/\n", {"sys/fs/cgroup/memory.max": "1000000\n"})

        assert memory_limit(root) == 64_000_000


class TestSetting:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("100000000", 100_000_000),
            ("100MB", 100_000_000),
            ("1.5 GB", 1_500_000_000),
            ("512MiB", 512 << 20),
            ("2Gi", 2 << 30),
            ("1g", 1_000_000_000),
        ],
    )
    def test_is_a_size(self, monkeypatch, text, size):
        monkeypatch.setenv(SETTING, text)

        assert memory_limit() == size

    @pytest.mark.parametrize("text", ["0", "-1GB", "much", "50%", "1 XB", "63MB", "nan", "1e9"])
    def test_of_another_form_is_refused(self, monkeypatch, tmp_path, text):
        monkeypatch.setenv(SETTING, text)

        with pytest.raises(InputError, match=rf"^{SETTING} .*'{text}'"):
            ingest("sample:deliveries", tmp_path)
