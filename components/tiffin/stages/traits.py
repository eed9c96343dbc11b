"""What the suite knows of a component without importing it: one row each, declared beside the component."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tiffin import images


@dataclass(frozen=True)
class Service:
    """Something outside its step that a component talks to.

    Attributes:
        name: Such as `tracking`.
        parameter: Input of the component with the service's address; empty if there is none.
        variable: Environment variable with its address where that input is empty.
        settings: Environment variables that describe it, `variable` included.
        credentials: Environment variables that are secret.
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
SERVING = Service(
    "serving",
    parameter="serving_address",
    variable="TIFFIN_SERVING_ADDRESS",
    settings=("TIFFIN_SERVING_ROOT", "TIFFIN_SERVING_ADDRESS"),
)
# What tiffin.storage.s3 reads from the environment.
S3 = Service(
    "s3",
    settings=("AWS_ENDPOINT_URL", "AWS_REGION", "MINIO_ENDPOINT_URL"),
    credentials=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Traits:
    """A component's row.

    Attributes:
        environment: The environment it runs in, `data` or `model`: an image, a lock file and a virtualenv of that name.
        imports: Heavy modules that its step waits for. A warm interpreter imports them first.
        late_imports: Heavy modules that a warm interpreter imports once there is time.
        needs: Services it talks to.
        rules: Input -> a function that raises an InputError for a value that breaks the input's rule, so that a run is
            refused before its first step.
        gate: Input that names the gate for which this component stops the run; empty for a component that does work.
        example: The component that comes before it in its page's example, and the lines of that pipeline with `{call}`
            and, where it moves, `{before}`. Defaults to being called after the components its inputs come from.
    """

    environment: str
    imports: tuple[str, ...] = ()
    late_imports: tuple[str, ...] = ()
    needs: tuple[Service, ...] = ()
    rules: Mapping[str, Callable[[Any], None]] = field(default_factory=lambda: _NONE)
    gate: str = ""
    example: tuple[str, str] = ("", "")

    @property
    def image(self) -> str:
        """The container image it runs in."""
        return images.NAMES[self.environment]

    @property
    def is_light(self) -> bool:
        """Whether it imports nothing heavy, so that its step waits for no interpreter that is warming up."""
        return not self.imports and not self.late_imports
