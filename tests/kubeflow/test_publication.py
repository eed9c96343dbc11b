"""Lists of a backend."""

from collections.abc import Iterator

import pytest

from support import kfp_backend
from tiffin.errors import BackendError
from tiffin.kubeflow import publication
from tiffin.kubeflow.connection import Backend, connect
from tiffin.kubeflow.publication import pages


@pytest.fixture
def backend() -> Iterator[Backend]:
    with kfp_backend.serve() as server:
        yield connect(server.address)


@pytest.mark.parametrize("tokens", [["a"], ["a", "b"]])
def test_a_list_that_returns_a_page_twice_ends(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, tokens: list[str]
) -> None:
    """As behind a proxy that ignores the query."""
    asked: list[str] = []

    def answer(_backend: Backend, _method: str, _path: str, *, query: dict[str, str]) -> dict[str, object]:
        asked.append(query["page_token"])
        return {"pipelines": [{}], "next_page_token": tokens[len(asked) % len(tokens)]}

    monkeypatch.setattr(publication, "request", answer)
    with pytest.raises(BackendError, match=f"/list .*{backend.host}"):
        list(pages(backend, "/list", "pipelines", {}))

    assert len(asked) == len(tokens) + 1
