import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.serving import model_config

TEXT = """\
model_config_list {
  config {
    name: "taxi"
    base_path: "/models/taxi"
    model_platform: "tensorflow"
    model_version_policy {
      specific {
        versions: 3
        versions: 5
      }
    }
    version_labels {
      key: "stable"
      value: 3
    }
  }
}
"""


def test_empty_text_is_an_empty_config():
    assert list(model_config.read_config("").model_config_list.config) == []


def test_text_and_message_are_equivalent():
    entry = model_config.make_model("taxi", "/models/taxi", [5, 3, 5], {"stable": 3})
    config = model_config.make_config([entry])

    assert model_config.format_config(config) == TEXT
    assert model_config.read_config(TEXT) == config
    assert model_config.specific_versions(model_config.find_model(config, "taxi")) == [3, 5]
    assert model_config.find_model(config, "bus") is None


def test_comments_and_short_forms():
    config = model_config.read_config(
        "model_config_list: { # ours\n config: <name: 'a' base_path: 'gs://b/a' "
        "model_version_policy: {latest {num_versions: 2}}>}"
    )

    assert config.model_config_list.config[0].model_version_policy.latest.num_versions == 2


def test_latest():
    entry = model_config.make_model("taxi", "gs://bucket/taxi", latest=2)

    assert entry.model_version_policy.latest.num_versions == 2
    assert model_config.specific_versions(entry) == []


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ('model_config_list {\n config {\n  nam: "x"\n }\n}', r"ModelServerConfig.* line 3 \('nam: \"x\"'\)"),
        ("model_config_list {", "ModelServerConfig"),
        ("{}", "ModelServerConfig.* line 1 "),
        ('model_config_list { config { name: "x" name: "y" } }', "ModelServerConfig.* line 1 "),
    ],
)
def test_invalid_text(text, pattern):
    with pytest.raises(InputError, match=pattern):
        model_config.read_config(text)


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("", "/m"), "name.*Received: ''"),
        (("m", "models/m"), "base_path.*'m'.*Received: 'models/m'"),
        (("m", "/m", []), r"'m'.*versions=\[\], latest=None"),
        (("m", "/m", [-1]), r"'m'.*versions=\[-1\], latest=None"),
        (("m", "/m", [1], {"stable": 2}), r"'m'.*\[1\].*'stable'.* 2\b"),
    ],
)
def test_entries_that_the_server_would_reject(arguments, pattern):
    with pytest.raises(InputError, match=pattern):
        model_config.make_model(*arguments)


def test_a_model_listed_twice():
    entry = model_config.make_model("m", "/m")
    with pytest.raises(InputError, match="Received: 'm'"):
        model_config.make_config([entry, entry])


@given(
    st.text(min_size=1),
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4),
    st.dictionaries(st.text(), st.just(None), max_size=3),
)
def test_any_config_is_read_from_its_text(name, versions, labels):
    entry = model_config.make_model(name, "/m", versions, dict.fromkeys(labels, versions[0]))
    config = model_config.make_config([entry])

    assert model_config.read_config(model_config.format_config(config)) == config
