from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from support.hostile import HOSTILE
from support.prometheus import promtool
from tiffin.errors import InputError
from tiffin.observability.expressions import quote
from tiffin.observability.rules import format_operator_rules, format_rules, make_rules
from tiffin.observability.thresholds import ALERTS, Thresholds, check_thresholds, parse_duration

NAMES = ["taxi", "a", "9.b_c-d", "x" * 128]


def check(path, text):
    path.write_text(text)
    status, printed = promtool("check", "rules", path)
    # It warns of rules that are there twice.
    assert (status, "SUCCESS" in printed) == (0, True), printed
    return int(printed.partition("SUCCESS: ")[2].split()[0])


class TestFiles:
    @pytest.mark.parametrize(("models", "count"), [((), 19), (("taxi",), 23), (NAMES, 4 * 14 + 9)])
    def test_promtool_accepts_them(self, tmp_path, models, count):
        # A model has 8 recording rules and 6 alerts, what is shared 5 alerts; the gateway's label `*` has 4 recording rules.
        assert check(tmp_path / "rules.yml", format_rules(make_rules(models))) == count

    def test_without_optional_alerts(self, tmp_path):
        rules = make_rules((), Thresholds(max_p99_seconds=0, no_traffic_for=""))
        assert check(tmp_path / "rules.yml", format_rules(rules)) == 17

    @pytest.mark.parametrize("models", [(), NAMES])
    def test_every_alert_is_complete(self, models):
        found = [
            rule
            for group in yaml.safe_load(format_rules(make_rules(models)))["groups"]
            for rule in group["rules"]
            if "alert" in rule
        ]
        assert {rule["alert"] for rule in found} == set(ALERTS)
        for rule in found:
            assert rule["for"]
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert "$" not in rule["annotations"]["summary"]
            assert len(rule["annotations"]["summary"]) < 80
            assert "tiffin" in rule["annotations"]["description"] or rule["labels"].get("part") == "files"

    def test_the_object_of_the_operator_has_the_same_rules(self, tmp_path):
        rules = make_rules(["taxi"])
        made = yaml.safe_load(format_operator_rules(rules, "taxi"))
        assert (made["kind"], made["metadata"]["name"]) == ("PrometheusRule", "taxi")
        assert made["spec"] == yaml.safe_load(format_rules(rules))

    def test_the_same_models_give_the_same_bytes(self):
        assert format_rules(make_rules(["b", "a", "b"])) == format_rules(make_rules(["a", "b"]))
        assert [group.name for group in make_rules(["b", "a"])] == ["tiffin-a", "tiffin-b", "tiffin-shared"]


class TestWrongInput:
    @pytest.mark.parametrize(
        "name", ["", " ", "-a", "a" * 129, "a b", 'a"', "a\\", "a{b}", "*", "ä", "{{ $value }}", *HOSTILE]
    )
    def test_names(self, name):
        with pytest.raises(InputError, match="model_name"):
            make_rules([name])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"max_error_share": -0.1}, {"max_error_share": 1}, {"max_error_share": float("nan")}, {"min_errors": 0},
            {"max_p99_seconds": -1}, {"max_p99_seconds": float("inf")}, {"max_p99_seconds": float("nan")},
            {"no_traffic_for": "1"}, {"no_traffic_for": "1.5h"}, {"no_traffic_for": "0s"}, {"monitoring_every": ""},
            {"monitoring_every": "1w"}, {"monitoring_every": "367d"}, {"no_traffic_for": "99999d"},
            {"monitoring_every": "²h"}, {"max_dropped_share": 1.5},
        ],
    )  # fmt: skip
    def test_thresholds(self, wrong):
        with pytest.raises(InputError, match=next(iter(wrong))):
            make_rules((), Thresholds(**wrong))

    def test_severities(self):
        with pytest.raises(InputError, match="TiffinDrift"):
            check_thresholds(Thresholds(severities={"TiffinDirft": "info"}))
        for severity in ("", "A", "a b", "x" * 33, "a\n"):
            with pytest.raises(InputError, match="lower-case"):
                check_thresholds(Thresholds(severities={"TiffinDrift": severity}))


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90m", 5400), ("24h", 86_400), ("7d", 604_800), ("366d", 31_622_400)]
)
def test_durations(text, seconds):
    assert parse_duration(text, "x") == seconds


@given(st.floats(0, 0.999), st.floats(0, 1e9), st.integers(1, 10**9), st.sampled_from(["1s", "36h", "366d"]))
def test_thresholds_are_in_the_rules(share, seconds, errors, every):
    """All numbers are written in a way that PromQL reads; promtool reads those of the other tests."""
    thresholds = Thresholds(share, errors, seconds, "5m", every, share)
    check_thresholds(thresholds)
    text = format_rules(make_rules(["taxi"], thresholds))
    assert yaml.safe_load(text)
    assert ("TiffinLatency" in text) == (seconds > 0)
    assert make_rules(["taxi"], replace(thresholds, no_traffic_for="")) != make_rules(["taxi"], thresholds)


@pytest.mark.parametrize(("share", "seconds", "errors"), [(0.5, 1e-7, 1), (1e-9, 123456.789, 10**9), (0.0, 1e9, 7)])
def test_promtool_reads_all_numbers(tmp_path, share, seconds, errors):
    check(tmp_path / "rules.yml", format_rules(make_rules((), Thresholds(share, errors, seconds, "5m", "366d", share))))


def test_strings_of_promql():
    assert quote('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'
