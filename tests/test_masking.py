"""Secrets in URLs, headers and settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin import errors
from tiffin.masking import has_secret, masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain text, with a: b @ c",
        "http://mlflow:5000",
        "'http://[::1]:5000/a?b=1&page=2'",
        "postgresql://ada@db:5432/mlflow",
        "sqlite:////a:b/c@d/mlflow.db",
        "gs://bucket/data@v1/part-0.parquet",
        "s3://bucket/a@b",
        "file:///home/me@work/x.csv",
        "registry.example:5000/tiffin/data:0.1.0@sha256:0123456789abcdef",
        "data:0.1.0@sha256:0123456789abcdef",
        "me@example.com:80 at 12:30@work",
        "Basic authentication failed. Use Basic Authentication, or a bearer token.",
        "Received: key='a', tokens=3, label=token",
        "https://host/path?keyword=a&author_id=3#top",
    ],
)
def test_a_text_without_secrets_is_unchanged(text):
    assert masked(text) == text
    assert not has_secret(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://ada:hunter2@mlflow:5000", "http://***@mlflow:5000"),
        ("at 'http://ada:hun/ter2@mlflow:5000/a': refused", "at 'http://***@mlflow:5000/a': refused"),
        ("http://ada:hun@ter2@mlflow", "http://***@mlflow"),
        ("http://ada:hun?ter2@mlflow", "http://***@mlflow"),
        ("http://ada:hun#ter2@mlflow", "http://***@mlflow"),
        ("http://ada:hun'ter2@mlflow", "http://***@mlflow"),
        ("http://ada:123/45@mlflow", "http://***@mlflow"),
        ("https://:hunter2@mlflow", "https://***@mlflow"),
        ("HTTPS://hunter2@host", "HTTPS://***@host"),
        ("https://hunt/er2=@host", "https://***@host"),
        ("https://ada:@[::1]:5000/a", "https://***@[::1]:5000/a"),
        ("mysql+pymysql://ada:hunter2/@h/mlflow", "mysql+pymysql://***@h/mlflow"),
        ("s3://AKIA1:hun/ter2@bucket/a", "s3://***@bucket/a"),
        ("gs://hunter2@bucket/a", "gs://***@bucket/a"),
        ("two http://a:hunter2@b and http://c:hunter2@d.", "two http://***@b and http://***@d."),
        ("postgresql://db/mlflow?user=ada&password=hunter2", "postgresql://db/mlflow?user=ada&password=***"),
        ("https://host/?passwd=hunter2&page=2", "https://host/?passwd=***&page=2"),
        ("('https://host/?token=hunter2')", "('https://host/?token=***')"),
        ("with url: /api?access_token=hunter2 (Caused", "with url: /api?access_token=*** (Caused"),
        ("https://host/?%70assword=hunter2", "https://host/?%70assword=***"),
        ("https://h/k?X-Amz-Signature=hunter2&X-Amz-Expires=60", "https://h/k?X-Amz-Signature=***&X-Amz-Expires=60"),
        ("https://h/k?X-Goog-Credential=hunter2", "https://h/k?X-Goog-Credential=***"),
        ("https://h/k?sv=1&sig=hunter2", "https://h/k?sv=1&sig=***"),
        ("https://h/k#access_token=x&token=hunter2", "https://h/k#access_token=x&token=***"),
        ("at ada:hunter2@127.0.0.1:8500 failed", "at ***@127.0.0.1:8500 failed"),
        ("'ada:hunter2@[::1]:8500'", "'***@[::1]:8500'"),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("{'Authorization': 'Basic aHVudGVyMg=='}", "{'Authorization': '***'}"),
        ("Proxy-Authorization=hunter2", "Proxy-Authorization=***"),
        ("Cookie: a=hunter2; b=hunter2", "Cookie: ***"),
        ("sent Bearer aHVudGVyMg", "sent Bearer ***"),
        ("host=db password=hunter2 user=ada", "host=db password=*** user=ada"),
        ("sslpassword='hunter 2'", "sslpassword=***'"),
        ("AWS_SECRET_ACCESS_KEY=hunter2", "AWS_SECRET_ACCESS_KEY=***"),
        ("HTTPS_PROXY=http://ada:hunter2@proxy:3128", "HTTPS_PROXY=http://***@proxy:3128"),
    ],
)
def test_secrets_are_masked(text, expected):
    assert masked(text) == expected
    assert has_secret(text)
    # The result may be masked again.
    assert masked(expected) == expected


@given(
    st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "s3", "gs", "grpc"]),
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1),
    st.sampled_from(["host", "host:5000/a", "[::1]:5000", "host/a?b=c"]),
)
def test_no_password_in_a_url_is_shown(scheme, password, host):
    secret = f"<{password}>"

    assert masked(f"failed at '{scheme}://ada:{secret}@{host}'") == f"failed at '{scheme}://***@{host}'"


@pytest.mark.parametrize("kind", [errors.TiffinError, errors.InputError, errors.StorageError, errors.Conflict])
def test_an_error_of_ours_has_no_secret(kind):
    error = kind("'http://ada:hunter2@mlflow'")

    assert str(error) == "'http://***@mlflow'"
    assert "hunter2" not in repr(error)


def test_errors_with_a_code_have_no_secret():
    assert str(errors.ServingError("at http://a:hunter2@b", "NOT_FOUND")) == "at http://***@b"
    assert str(errors.BackendError("at http://a:hunter2@b", 403)) == "at http://***@b"
    assert errors.MissingExtra("at http://a:hunter2@b", name="x").name == "x"


@pytest.mark.parametrize("part", ["a", "a=", "a:", "a.", "%", "+", "TOKEN", "?a=1&", "cookie ", "bearer 1", "'"])
def test_long_texts(part):
    """200,000 characters, for which a time that grows with their square would be minutes."""
    text = part * (200_000 // len(part))
    assert masked(f"{text} http://ada:hunter2@mlflow") == f"{masked(text)} http://***@mlflow"


def test_long_secrets():
    assert masked(f"{'u' * 1000}:{'x' * 10_000}@host:8500") == "***@host:8500"
    assert masked(f"{'x' * 100}http://ada:{'x' * 10_000}@mlflow") == f"{'x' * 100}http://***@mlflow"
