import configparser
from pathlib import Path

import pytest

from images.settings import MOUNTED, find_certificates, list_settings, make_configuration, write_settings
from tiffin.errors import TiffinError

ROOT = Path(__file__).parents[2]


def read(text: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return dict(parser["global"])


def test_no_settings_give_an_empty_configuration() -> None:
    assert read(make_configuration([], {}, has_certificates=False)) == {}


def test_settings_that_apply_in_a_build_are_kept() -> None:
    lines = [
        "global.index-url='https://name:word@mirror.example/simple'",
        "global.trusted-host='mirror.example'",
        ":env:.default-timeout='180'",
        "global.cert='/somewhere/ca.pem'",
        "install.user='true'",
        "not a setting",
    ]

    assert read(make_configuration(lines, {}, has_certificates=True)) == {
        "index-url": "https://name:word@mirror.example/simple",
        "trusted-host": "mirror.example",
        "timeout": "180",
        "cert": MOUNTED,
    }


def test_local_folders_are_removed_from_find_links() -> None:
    lines = ["global.find-links='/wheels\\nhttps://wheels.example/a'"]

    assert read(make_configuration(lines, {}, has_certificates=False)) == {"find-links": "https://wheels.example/a"}
    assert read(make_configuration(["global.find-links='/wheels'"], {}, has_certificates=False)) == {}


def test_later_settings_win_and_uvs_index_is_the_fallback() -> None:
    environment = {"UV_DEFAULT_INDEX": "https://uv.example/simple"}
    lines = ["global.index-url='https://a.example'", ":env:.index-url='https://b.example'"]

    assert read(make_configuration(lines, environment, False))["index-url"] == "https://b.example"
    assert read(make_configuration([], environment, False))["index-url"] == "https://uv.example/simple"


@pytest.mark.parametrize("exists", [True, False])
def test_certificates_are_those_of_pip_or_the_environment(tmp_path: Path, exists: bool) -> None:
    pips, other = tmp_path / "pip.pem", tmp_path / "other.pem"
    other.write_text("x")
    if exists:
        pips.write_text("x")

    found = find_certificates([f"global.cert='{pips}'"], {"SSL_CERT_FILE": str(other)})

    assert found == (pips if exists else other)


def test_settings_are_read_from_the_pip_of_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_TRUSTED_HOST", "mirror.example")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    folder = tmp_path / "secrets"
    folder.mkdir()
    arguments = write_settings(folder, ROOT)

    assert arguments[:2] == ["--secret", f"id=pip,src={folder / 'pip.conf'}"]
    written = read((folder / "pip.conf").read_text())
    assert written["index-url"] == "https://mirror.example/simple"
    assert written["trusted-host"] == "mirror.example"


def test_missing_pip_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TiffinError, match=r"`pip config list`.*`make setup`"):
        list_settings(tmp_path)


def test_invalid_pip_configuration_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("no section")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    with pytest.raises(TiffinError, match=r"no section headers"):  # contract: pip
        list_settings(ROOT)
