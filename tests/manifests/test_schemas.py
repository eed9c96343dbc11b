"""Validates every rendered resource against Kubernetes' schemas; unknown fields are errors."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from support.manifest_rendering import read_goldens

# The oldest release that supports all fields used, and the newest with available schemas.
RELEASES = ("1.30", "1.37")
# Schemas of the custom resources used; any other custom resource fails.
CUSTOM = {path.stem: json.loads(path.read_text()) for path in Path(__file__).with_name("schemas").iterdir()}
CUSTOM_GROUPS = ("gateway.networking.k8s.io/", "networking.istio.io/", "monitoring.coreos.com/")


@functools.cache
def documents() -> dict[str, str]:
    """Return each distinct document of all combinations."""
    found: dict[str, str] = {}
    for (overlay, options), rendered in read_goldens().items():
        for key, document in rendered.items():
            found.setdefault(document, "+".join([overlay, *options]) + ": " + key)
    return {where: document for document, where in found.items()}


def validate(document: dict[str, Any], release: str) -> None:
    """Validate a resource against its schema.

    Raises:
        jsonschema.ValidationError: The resource is invalid.
    """
    if document["apiVersion"].startswith(CUSTOM_GROUPS):
        jsonschema.Draft202012Validator(CUSTOM[document["kind"].lower()]).validate(document)
    else:
        kubernetes_validate.validate(document, release, strict=True)


@pytest.mark.parametrize("release", RELEASES)
def test_every_resource_matches_its_schema(release: str) -> None:
    for where, document in documents().items():
        try:
            validate(yaml.safe_load(document), release)
        except jsonschema.ValidationError as error:
            pytest.fail(f"{where} at {error.json_path}: {error.message}")


def test_custom_schemas_are_valid_and_used() -> None:
    kinds = {yaml.safe_load(document)["kind"].lower() for document in documents().values()}
    for schema in CUSTOM.values():
        jsonschema.Draft202012Validator.check_schema(schema)

    assert set(CUSTOM) <= kinds


@pytest.mark.parametrize(
    ("kind", "change", "match"),
    [
        ("Deployment", {"spec": {"replica": 1}}, "replica"),
        ("Service", {"spec": {"ports": [{"port": "8500"}]}}, "8500"),
        ("GRPCRoute", {"spec": {"rules": [{"backendRefs": [{"name": "a", "weight": -1}]}]}}, "-1"),
        ("VirtualService", {"spec": {"host": ["a"]}}, "host"),
        ("ServiceMonitor", {"spec": {"selector": {}, "endpoints": []}}, "non-empty"),
        ("PrometheusRule", {"spec": {"groups": [{"name": "a", "rules": [{"alert": "A", "expr": "1"}]}]}}, "valid"),
        ("Gateway", {"spec": {"gatewayClassName": "eg", "listeners": []}}, "non-empty"),
    ],
)
def test_an_invalid_resource_is_rejected(kind: str, change: dict[str, Any], match: str) -> None:
    document = next(yaml.safe_load(text) for text in documents().values() if f"\nkind: {kind}\n" in text)

    with pytest.raises(jsonschema.ValidationError, match=match):
        validate(document | change, RELEASES[0])


def test_a_custom_resource_without_a_schema_is_rejected() -> None:
    with pytest.raises(KeyError, match="destinationrule"):
        validate({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}, RELEASES[0])
