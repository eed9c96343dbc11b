"""Publishing: a pipeline and its versions on a backend, made once however often and by however many they are asked for.

A version's name holds a digest of its spec, and a backend takes a name once. So whoever comes second finds what the
first one made, and a publication that was interrupted is picked up where it stopped.
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
        pipeline_id: As the backend knows it.
        version: Name of the version.
        version_id: As the backend knows it.
        is_new: Whether it was not there before.
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
    """Have a spec on the backend, as a version of the pipeline of its name.

    Args:
        backend: Of `connect`.
        spec: Of `load_spec`.
        shared: Whether all namespaces see the pipeline, or only the backend's. Defaults to the latter.

    Raises:
        BackendError: The backend does not answer, or refuses.
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
        backend: Of `connect`.
        path: Of the list.
        items: Name of the field that holds them.
        query: Parameters of the list.
    """
    token = ""
    while True:
        page = request(backend, "GET", path, query={**query, "page_size": 100, "page_token": token})
        yield from page.get(items, [])
        token = page.get("next_page_token", "")
        if not token:
            return


def equals(key: str, value: str) -> str:
    """Return a list's filter on one field."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


def find_or_make(
    find: Callable[[], dict[str, Any] | None], make: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Return what there is, or what is made, and whether it is new.

    Args:
        find: Looks for it.
        make: Makes it, which a backend does once for a name.
    """
    found = find()
    if found:
        return found, False
    try:
        return make(), True
    except BackendError as error:
        # Somebody else was quicker (409), or the answer was lost on its way after it had taken effect.
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
