"""The rules of tracking URIs, checked without MLflow."""

import subprocess
import sys

import pytest

from tiffin.errors import InputError
from tiffin.tracking.uri import check_login, check_tracking_uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://mlflow:5000",
        "http://[::1]:5000/a",
        "postgresql://ada@db:5432/mlflow",
        "sqlite:////a:b/c@d/mlflow.db",
    ],
)
def test_an_address_without_a_password(uri):
    check_tracking_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://ada:hunter2@mlflow:5000",
        "https://:hunter2@mlflow",
        "mysql+pymysql://ada:hunter2/@h/mlflow",
        "postgresql://db/mlflow?user=ada&password=hunter2",
        "http://ada:hun/ter2@mlflow:5000",
        "http://ada:hun@ter2@mlflow",
        "https://hunter2@mlflow",
        "https://mlflow/?passwd=hunter2",
        "https://mlflow/?token=hunter2",
        "https://mlflow/?x=1&access_token=hunter2",
        "https://mlflow/?X-Amz-Signature=hunter2",
    ],
)
def test_an_address_with_a_password(uri):
    with pytest.raises(InputError, match=r"^tracking_uri .*MLFLOW_TRACKING_PASSWORD") as raised:
        check_tracking_uri(uri)

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://mlflow:5000",
        "http://ada:hunter2@mlflow:5000/a",
        "http://ada:hun%2Fter2%40@mlflow",
        "mysql+pymysql://ada:hun/ter2@db/mlflow",
        "sqlite:////a@b/c@d.db",
    ],
)
def test_a_login_that_clients_understand(uri):
    check_login(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://ada:hun/ter2@mlflow",
        "http://ada:12/ter2@mlflow",
        "http://ada:hun?ter2@mlflow",
        "http://ada:hun#ter2@mlflow",
        "http://ada:hun@ter2@mlflow",
        "postgresql://ada:hun@ter2@db/mlflow",
    ],
)
def test_a_login_that_clients_would_misread(uri):
    with pytest.raises(InputError, match=r"^MLFLOW_TRACKING_URI .*%2F.*%40") as raised:
        check_login(uri)

    assert "ter2" not in str(raised.value)


def test_imports_nothing_heavy():
    modules = "tiffin.tracking.uri, tiffin.tracking.names"
    script = f"import sys, {modules}; print({{'mlflow', 'sqlalchemy', 'kfp'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
