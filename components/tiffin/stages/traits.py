"""Metadata of components, readable without importing them: one row per component, declared in its stage."""

import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from tiffin import images


@dataclass(frozen=True)
class Service:
    """An external service that a component uses.

    Attributes:
        name: Name, such as `tracking`.
        parameter: Component input with the service's address; empty if there is no such input.
        variable: Environment variable with the address, used if that input is empty.
        settings: Environment variables that configure the service, including `variable`.
        credentials: Environment variables that hold secrets.
    """

    name: str
    parameter: str = ""
    variable: str = ""
    settings: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()


TRACKING = Service(
    "tracking",
    parameter="tracking_uri",
    variable="MLFLOW_TRACKING_URI",
    settings=("MLFLOW_TRACKING_URI",),
    credentials=("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
)
# The MLflow of the steps that create runs, for a step that adds to these runs.
TRACKED_RUNS = Service("tracked runs", settings=TRACKING.settings, credentials=TRACKING.credentials)
SERVING = Service(
    "serving",
    parameter="serving_address",
    variable="TIFFIN_SERVING_ADDRESS",
    settings=("TIFFIN_SERVING_ROOT", "TIFFIN_SERVING_ADDRESS", "TIFFIN_SERVING_METRICS", "TIFFIN_WATCH"),
)
GATEWAY = Service(
    "gateway",
    variable="TIFFIN_GATEWAY_ADDRESS",
    settings=(
        "TIFFIN_SERVING_ROOT",
        "TIFFIN_SERVING_ADDRESS",
        "TIFFIN_CANDIDATE_ADDRESS",
        "TIFFIN_CANDIDATE_DEPLOYMENT",
        "TIFFIN_CANDIDATE_METRICS",
        "TIFFIN_GATEWAY_ADDRESS",
        "TIFFIN_GATEWAY_METRICS",
        "TIFFIN_PROMETHEUS",
        "TIFFIN_ROUTES",
        "TIFFIN_SERVING_METRICS",
        "TIFFIN_LOG_ROOT",
    ),
)
# The metrics of the servers at TIFFIN_SERVING_ADDRESS, and of no others.
SERVING_METRICS = "TIFFIN_SERVING_METRICS"
# The files of the model in production, for steps that read them without asking a server.
SERVING_ROOT = Service("serving root", settings=("TIFFIN_SERVING_ROOT",))
# The prediction log, for steps that read it.
RECORDED = Service("recorded requests", settings=("TIFFIN_LOG_ROOT",))
# The database of labels, whose URL has a password.
LABELS = Service("labels", credentials=("TIFFIN_LABELS_URL",))
# The prediction log, for steps that write it, and the secret of hashed columns, by which labels are joined too.
PREDICTION_LOG = Service("prediction log", settings=("TIFFIN_LOG_ROOT",), credentials=("TIFFIN_LOG_KEY",))
# Addresses of people, which may have passwords and tokens; where it is kept what they were sent; and the page of a run.
NOTIFICATIONS = Service("notifications", settings=("TIFFIN_NOTIFY_STATE", "TIFFIN_UI"), credentials=("TIFFIN_NOTIFY",))
# Errors of steps and servers.
SENTRY = Service("sentry", settings=("SENTRY_DSN", "SENTRY_ENVIRONMENT"))
# The environment variables that tiffin.storage.s3 reads.
S3 = Service(
    "s3",
    settings=("AWS_ENDPOINT_URL", "AWS_REGION", "MINIO_ENDPOINT_URL"),
    credentials=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)

# The store of finished results, if the input data_root is empty.
RESULTS = Service("results", settings=("TIFFIN_RESULT_STORE",))

_NONE: Mapping[str, Any] = MappingProxyType({})


def path_of(location: str) -> str:
    """Return the path on the step's disk that a location names; empty if it is a URI, such as `gs://bucket/data`."""
    # A scheme has two letters or more: one is a drive of Windows.
    scheme, rest = re.fullmatch(r"(?:([A-Za-z][A-Za-z0-9+.-]+)://)?(.*)", location, re.S).groups("")  # type: ignore[union-attr]
    if scheme.lower() == "file":
        return urllib.parse.unquote(re.sub("^localhost(?=/)", "", rest)) or "/"
    return "" if scheme else rest


def label_path(labels: str) -> str:
    """Return the path on the step's disk that labels name; empty for a URI or a query."""
    return "" if re.match(r"\s*(SELECT|WITH)\s", labels, re.IGNORECASE) else path_of(labels)


def tracking_path(uri: str) -> str:
    """Return the path of the file store or the SQLite database that a tracking URI names; empty for a server."""
    if uri.startswith("sqlite:"):
        # sqlite:///name is relative, sqlite:////name absolute.
        return urllib.parse.unquote(uri.partition(":///")[2].partition("?")[0]) or "mlflow.db"
    # MLflow's words for a Databricks workspace.
    return "" if uri in {"databricks", "databricks-uc", "uc"} else path_of(uri)


def database_uri(path: PurePath) -> str:
    """Return MLflow's URI of a SQLite database, whose path may have any characters."""
    # In a database URI, a % starts an escape and a ? the options.
    return f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"


@dataclass(frozen=True)
class Location:
    """An input that is a path or a URI. In a cluster, a step reads a path from its own pod.

    Attributes:
        instead: What to pass in place of a path that only one machine has: an imperative clause.
        path: Function that returns the path on the step's disk that a value names; empty if it names none.
    """

    instead: str
    path: Callable[[str], str] = path_of


# The inputs data_root and tracking_uri.
DATA_ROOT = Location("pass a gs:// or s3:// URI")
TRACKING_URI = Location("pass the address of an MLflow server, such as http://mlflow:5000", tracking_path)


@dataclass(frozen=True)
class Traits:
    """The metadata of one component.

    Attributes:
        environment: Environment it runs in, `data` or `model`: the name of an image, a lock file and a virtualenv.
        imports: Heavy modules that the step needs at once; a warm interpreter imports them before it starts the step.
        late_imports: Heavy modules that a warm interpreter imports afterwards.
        needs: Services it uses.
        locations: Inputs that are paths or URIs.
        takes: Artifact input to the outputs of other names that it takes. Others take the output of their own name only.
        alternatives: Artifact inputs in place of others, which the example for the catalogue page leaves out.
        rules: Input name to a function that raises an InputError for an invalid value. Checked before a run starts.
        settings: Input that maps inputs of other components to their values, to the names of these components, whose rules hold.
        gate: For a component that stops a run, its input with the name of the gate; empty for any other.
        approval: Its input with the approval that a version needs; empty without one. Of a run on a backend, it tells whether
            the run waits for approval after it succeeded.
        requester: Its input with the person who asks for the run, which the commands fill; empty without one.
        rollout: Its input with the strategy of a rollout, which needs a gateway; empty without one.
        policy: Its input with what the run may do without a person; a rollout of the run starts only with `retrain`. Empty
            without one.
        example: For the catalogue page: the component called before this one, and the lines of the example pipeline,
            with `{call}` for this call and `{before}` for that one if it moves. Defaults to a call after the components
            that produce its inputs.
        example_values: For that example: text inputs of any component to their values.
    """

    environment: str
    imports: tuple[str, ...] = ()
    late_imports: tuple[str, ...] = ()
    needs: tuple[Service, ...] = ()
    locations: Mapping[str, Location] = field(default_factory=lambda: _NONE)
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NONE)
    alternatives: tuple[str, ...] = ()
    rules: Mapping[str, Callable[[Any], None]] = field(default_factory=lambda: _NONE)
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NONE)
    gate: str = ""
    approval: str = ""
    requester: str = ""
    rollout: str = ""
    policy: str = ""
    example: tuple[str, str] = ("", "")
    example_values: Mapping[str, str] = field(default_factory=lambda: _NONE)

    @property
    def image(self) -> str:
        """Container image it runs in."""
        return images.NAMES[self.environment]

    @property
    def is_light(self) -> bool:
        """Whether it imports no heavy module, so its step needs no warm interpreter."""
        return not self.imports and not self.late_imports
