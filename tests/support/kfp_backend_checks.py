"""Validation of requests and responses in `kfp_backend_program`: kfp-server-api's models and the pipeline spec's proto."""

import json
import re
from typing import Any


class RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


def check_against(model: str, value: Any, where: str = "$") -> None:
    """Check a value against a model of kfp-server-api: names, types, enums, and int64 as strings.

    Raises:
        AssertionError: The value does not match the model.
    """
    import kfp_server_api

    simple = {"str": str, "int": int, "bool": bool, "float": float}
    if model == "object":
        return
    if model in simple:
        assert type(value) is simple[model], f"{where}: {value!r} is not of type {model}"
    elif model == "datetime":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value), f"{where}: {value!r} is not a timestamp"
    elif match := re.fullmatch(r"list\[(.*)\]", model):
        for index, item in enumerate(value):
            check_against(match[1], item, f"{where}[{index}]")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", model):
        for name, item in value.items():
            check_against(match[1], item, f"{where}.{name}")
    else:
        found = getattr(kfp_server_api, model)
        if not found.openapi_types:
            assert value in found.allowable_values, f"{where}: {value!r} is not in {found.allowable_values}"
            return
        names = {name: attribute for attribute, name in found.attribute_map.items()}
        for name, item in value.items():
            assert name in names, f"{where}.{name}: {model} has no such field"
            check_against(found.openapi_types[names[name]], item, f"{where}.{name}")


def check_spec(content: bytes, unknown_fields: list[str]) -> None:
    """Check a spec as a backend without the fields `unknown_fields` does.

    Raises:
        RefusalError: The spec is invalid, or uses one of these fields.
    """
    import yaml
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    for document in yaml.safe_load_all(content):
        message = pipeline_spec_pb2.PipelineSpec() if "root" in document else pipeline_spec_pb2.PlatformSpec()
        try:
            json_format.ParseDict(document, message)
        except json_format.ParseError as error:
            raise RefusalError(400, f"invalid v2 pipeline spec: {error}") from None
        for name in unknown_fields:
            if f'"{name}"' in json.dumps(document):
                # The text of protojson.
                raise RefusalError(400, f'invalid v2 pipeline spec: proto:\xa0(line 1:7): unknown field "{name}"')
