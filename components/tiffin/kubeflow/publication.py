"""Publishing: creates a pipeline and its versions on a backend, each at most once.

A version's name contains a digest of its spec, and names are unique on a backend. Publishing an unchanged spec again
therefore does nothing, concurrent publications agree, and an interrupted one can be repeated.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tiffin.errors import BackendError
from tiffin.kubeflow.connection import Backend, request
from tiffin.specs.spec import Spec

_PIPELINES = "/apis/v2beta1/pipelines"


@dataclass(frozen=True)
class Published:
    """A version of a pipeline on a backend.

    Attributes:
        pipeline: Name of the pipeline.
        pipeline_id: ID of the pipeline on the backend.
        version: Name of the version.
        version_id: ID of the version on the backend.
        is_new: Whether this publication created the version.
    """

    pipeline: str
    pipeline_id: str
    version: str
    version_id: str
    is_new: bool

    def to_json(self) -> dict[str, Any]:
        """Return the object of `tiffin publish --json`."""
        return {
            "pipeline": self.pipeline,
            "pipeline_id": self.pipeline_id,
            "version": self.version,
            "version_id": self.version_id,
            "new": self.is_new,
        }


def publish_spec(backend: Backend, spec: Spec, *, shared: bool = False) -> Published:
    """Publish a spec as a version of the pipeline it names; does nothing if the version exists.

    Args:
        backend: Return value of `connect`.
        spec: Return value of `load_spec`.
        shared: Publish the pipeline to all namespaces instead of `backend.namespace`. Defaults to False.

    Returns:
        The published version.

    Raises:
        BackendError: The backend did not respond, or returned an error.
    """
    namespace = "" if shared else backend.namespace
    pipeline, _ = find_or_make(
        lambda: _find_pipeline(backend, spec.name, namespace),
        lambda: request(
            backend, "POST", _PIPELINES,
            body={"name": spec.name, "display_name": spec.name, "namespace": namespace},
        ),
    )  # fmt: skip
    pipeline_id = pipeline["pipeline_id"]
    version, is_new = find_or_make(
        lambda: _find_version(backend, pipeline_id, spec.version_name),
        lambda: request(
            backend, "POST", f"{_PIPELINES}/upload_version",
            query={"name": spec.version_name, "display_name": spec.version_name, "pipelineid": pipeline_id},
            file=(f"{spec.version_name}.yaml", spec.content),
        ),
    )  # fmt: skip
    return Published(spec.name, pipeline_id, spec.version_name, version["pipeline_version_id"], is_new)


def pages(backend: Backend, path: str, items: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all items of a list, page by page.

    Args:
        backend: Return value of `connect`.
        path: Path of the list's URL.
        items: Name of the field with the items.
        query: Query parameters.
    """
    token, seen = "", {""}
    while True:
        page = request(backend, "GET", path, query={**query, "page_size": 100, "page_token": token})
        yield from page.get(items, [])
        token = page.get("next_page_token", "")
        if not token:
            return
        if token in seen:
            raise BackendError(
                f"The list {path} of {backend.host} has no end: it returned a page twice. Check the proxy."
            )
        seen.add(token)


def equals(key: str, value: str) -> str:
    """Return a filter for items whose field `key` equals `value`."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


def find_or_make(
    find: Callable[[], dict[str, Any] | None], make: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Return an existing object, or create it.

    Args:
        find: Returns the object, or None.
        make: Creates the object; the backend rejects a second one of the same name.

    Returns:
        The object, and whether it was created.
    """
    found = find()
    if found:
        return found, False
    try:
        return make(), True
    except BackendError as error:
        # Either another client created it first (409), or it was created but the response was lost.
        if error.status and error.status != 409 and error.status < 500:
            raise
        found = find()
        if not found:
            raise
        return found, False


def _find_pipeline(backend: Backend, name: str, namespace: str) -> dict[str, Any] | None:
    found = pages(backend, _PIPELINES, "pipelines", {"namespace": namespace, "filter": equals("name", name)})
    return next((pipeline for pipeline in found if pipeline.get("name", pipeline.get("display_name")) == name), None)


def _find_version(backend: Backend, pipeline_id: str, name: str) -> dict[str, Any] | None:
    path = f"{_PIPELINES}/{pipeline_id}/versions"
    found = pages(backend, path, "pipeline_versions", {"filter": equals("name", name)})
    return next((version for version in found if version.get("name", version.get("display_name")) == name), None)
