"""`tiffin publish` as a process, against a backend in another one."""

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import command_line, kfp_backend
from support import toy_pipelines as toys

TOKEN = "eyJhbGciOi-top-secret"


def tiffin(*arguments: Any, **variables: str) -> tuple[int, str, str]:
    """Run the command and check that its output does not contain the token."""
    status, output, errors = command_line.tiffin(*arguments, **variables)
    assert TOKEN not in output + errors
    return status, output, errors


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return toys.write_spec(toys.toy, tmp_path)


def test_publishing_an_unchanged_spec_again_does_nothing(backend: kfp_backend.Server, spec: Path) -> None:
    first = tiffin("publish", spec, "--host", backend.address)
    second = tiffin("publish", spec, "--host", backend.address)
    tiffin("publish", spec, "--size", "read-text=large", "--deadline", "read-text=2h", "--host", backend.address)

    state = backend.state()
    names = [version["name"] for version in state["versions"].values()]
    assert first[0] == second[0] == 0
    assert first[1] == f"{names[0]} published at {backend.address}\n"
    assert second[1] == f"{names[0]} already published at {backend.address}\n"
    assert [pipeline["name"] for pipeline in state["pipelines"].values()] == ["toy"]
    assert len(names) == 2
    assert state["specs"][names[0]] == spec.read_text()


def test_without_names_every_pipeline_is_published(backend: kfp_backend.Server) -> None:
    from tiffin.authoring.compilation import pipeline_names

    status, output, errors = tiffin("publish", "--json", "--host", backend.address)

    assert status == 0
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["warning"]
    assert output.count('"new": true') == len(pipeline_names())
    names = [name.replace("_", "-") for name in pipeline_names()]
    assert [one["name"] for one in backend.state()["pipelines"].values()] == names


def test_mounts_of_the_environment_apply_to_the_pipelines_that_have_the_step(
    backend: kfp_backend.Server, spec: Path
) -> None:
    mount = "deploy-model=tiffin-serving-root:/serving"

    status, output, errors = tiffin(
        "publish", "training", spec, "--json", "--host", backend.address, TIFFIN_MOUNT=mount
    )

    assert status == 0
    (line,) = [line for line in errors.splitlines() if "TIFFIN_MOUNT" in line]
    assert all(part in line for part in ("warning: ", "toy", "'deploy-model'", f"'{mount}'"))
    published = {one["pipeline"]: one for one in map(json.loads, output.splitlines())}
    assert line.removeprefix("warning: ") in published["toy"]["warnings"]
    assert line.removeprefix("warning: ") not in published["training"]["warnings"]
    specs = {name.partition("-")[0]: content for name, content in backend.state()["specs"].items()}
    assert specs["toy"] == spec.read_text()
    assert "constant: tiffin-serving-root" in specs["training"]


@pytest.mark.parametrize("command", [["submit"], ["schedule", "set", "nightly"]])
def test_every_command_skips_them(backend: kfp_backend.Server, spec: Path, command: list[str]) -> None:
    cron = ["--cron", "@daily"] if "set" in command else []
    variables = {"TIFFIN_MOUNT": "deploy-model=a:/a read=b:/b"}

    status, _, errors = tiffin(*command, spec, *cron, "--host", backend.address, **variables)

    assert status == 0
    assert [line for line in errors.splitlines() if "TIFFIN_MOUNT" in line and "'deploy-model=a:/a'" in line]
    (content,) = backend.state()["specs"].values()
    assert ("constant: b\n" in content, "constant: a\n" in content) == (True, False)


@pytest.mark.parametrize("command", [["publish"], ["submit"], ["schedule", "set", "nightly", "--cron", "@daily"]])
def test_a_typed_mount_of_no_step_is_refused(backend: kfp_backend.Server, spec: Path, command: list[str]) -> None:
    mount = ["--mount", "deploy-model=a:/a"]

    status, _, errors = tiffin(*command, spec, *mount, "--host", backend.address, TIFFIN_MOUNT=mount[1])

    assert status == 2
    assert re.search(r"error: --mount .*'deploy-model'", errors)
    assert backend.state()["requests"] == []


def test_concurrent_jobs_create_one_version(backend: kfp_backend.Server, spec: Path) -> None:
    jobs = [command_line.start("publish", spec, "--host", backend.address) for _ in range(3)]
    ends = [(*job.communicate(timeout=60), job.returncode) for job in jobs]

    state = backend.state()
    assert [status for _, _, status in ends] == [0, 0, 0]
    assert sum("already" not in output for output, _, _ in ends) == 1
    assert len(state["pipelines"]) == len(state["versions"]) == 1


def test_a_version_created_concurrently_is_used(backend: kfp_backend.Server, spec: Path) -> None:
    # Another job created the version between our look-up and our upload.
    backend.fail("POST .*/pipelines$", 409, {"message": "Already exist error"}, after=True)
    backend.fail("upload_version", 409, {"error_message": "Failed to create a pipeline version"}, after=True)

    status, output, _ = tiffin("publish", spec, "--host", backend.address)

    state = backend.state()
    assert (status, " already " in output) == (0, True)
    assert len(state["pipelines"]) == len(state["versions"]) == 1


@pytest.mark.parametrize("fault", [0, 503])
def test_an_interrupted_publication_is_completed_by_the_same_command(
    backend: kfp_backend.Server, spec: Path, fault: int
) -> None:
    backend.fail("upload_version", fault, {"error_message": "upstream connect error"})

    broken = tiffin("publish", spec, "--host", backend.address)
    between = backend.state()
    mended = tiffin("publish", spec, "--host", backend.address)

    state = backend.state()
    assert broken[0] == 1
    assert broken[2].splitlines()[-1].startswith("error: ")
    assert backend.address in broken[2]
    assert (len(between["pipelines"]), len(between["versions"])) == (1, 0)
    assert mended[0] == 0
    assert (len(state["pipelines"]), len(state["versions"])) == (1, 1)


def test_after_a_lost_answer_the_version_is_looked_up(backend: kfp_backend.Server, spec: Path) -> None:
    backend.fail("upload_version", 0, after=True)
    backend.fail("GET .*/versions", 502, "<html>bad gateway</html>", times=2)

    status, output, _ = tiffin("publish", spec, "--host", backend.address)

    assert (status, " already " in output) == (0, True)
    assert len(backend.state()["versions"]) == 1


def test_the_right_version_is_found_among_many(backend: kfp_backend.Server, tmp_path: Path) -> None:
    specs = [toys.write_spec(pipeline, tmp_path) for pipeline in (toys.toy, toys.gated, toys.looping, toys.waiting)]
    for _ in range(2):
        status, output, _ = tiffin("publish", *specs, "--host", backend.address)

        assert status == 0
    assert output.count(" already ") == len(backend.state()["versions"]) == 4


def test_a_multi_user_backend_requires_a_namespace(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(multi_user=True, forbidden_namespaces=["theirs"])

    nowhere = tiffin("publish", spec, "--host", backend.address)
    forbidden = tiffin("publish", spec, "--host", backend.address, "--namespace", "theirs")
    own = tiffin("publish", spec, "--host", backend.address, "--namespace", "mine")
    shared = tiffin("publish", spec, "--host", backend.address, "--namespace", "mine", "--shared")

    assert nowhere[0] == 2
    assert "--namespace" in nowhere[2]
    assert forbidden[0] == 1
    assert all(part in forbidden[2] for part in ("'theirs'", "403", "'ann@example.com'"))
    assert own[0] == shared[0] == 0
    assert [one.get("namespace") for one in backend.state()["pipelines"].values()] == ["mine", None]


def test_a_token_is_sent_and_never_shown(backend: kfp_backend.Server, spec: Path, tmp_path: Path) -> None:
    backend.set(token=TOKEN)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "empty").write_text("")

    none = tiffin("publish", spec, "--host", backend.address, "--debug")
    wrong = tiffin("publish", spec, "--host", backend.address, TIFFIN_KFP_TOKEN="stale-token")
    by_file = tiffin("publish", spec, "--host", backend.address, "--token-file", tmp_path / "token")
    by_variable = tiffin("publish", spec, "--host", backend.address, TIFFIN_KFP_TOKEN=TOKEN)
    empty = tiffin("publish", spec, "--host", backend.address, "--token-file", tmp_path / "empty")
    # The server repeats the refused token in its answer; the error message must not.
    backend.set(token="another")
    refused = tiffin("publish", spec, "--host", backend.address, TIFFIN_KFP_TOKEN=TOKEN)

    assert none[0] == wrong[0] == refused[0] == 1
    assert "401" in none[2]
    assert "stale-token" not in wrong[2]
    assert "--token-file" in refused[2]
    assert by_file[0] == by_variable[0] == 0
    assert empty[0] == 2
    assert "--token-file" in empty[2]
    assert f"'{tmp_path}/empty'" in empty[2]


def test_a_pods_token_and_a_session_cookie_are_used(backend: kfp_backend.Server, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "projected").write_text(TOKEN)
    backend.set(token=TOKEN)

    in_pod = tiffin("publish", spec, "--host", backend.address, KF_PIPELINES_SA_TOKEN_PATH=str(tmp_path / "projected"))
    backend.set(token="", cookie=f"session={TOKEN}")
    with_cookie = tiffin("publish", spec, "--host", backend.address, TIFFIN_KFP_COOKIE=f"session={TOKEN}")
    refused = tiffin("publish", spec, "--host", backend.address, TIFFIN_KFP_COOKIE=f"other={TOKEN}")

    assert in_pod[0] == with_cookie[0] == 0
    assert (refused[0], "401" in refused[2]) == (1, True)


def test_an_older_backend_and_an_invalid_spec_have_different_errors(
    backend: kfp_backend.Server, tmp_path: Path
) -> None:
    backend.set(unknown_fields=["literals"])
    broken = toys.write_spec(toys.toy, tmp_path)
    broken.write_text(broken.read_text().replace("schemaVersion: 2.1.0", "schemaVersion: [1]"))

    older = tiffin("publish", "training", "--host", backend.address)
    wrong = tiffin("publish", broken, "--host", backend.address)

    assert older[0] == wrong[0] == 1
    assert re.search(r"'literals'.*KFP 2\.16", older[2])
    assert "400" in wrong[2]
    assert "'literals'" not in wrong[2]


def test_a_host_that_is_down_fails_immediately(spec: Path) -> None:
    status, _, errors = tiffin("publish", spec, "--host", "http://127.0.0.1:9")

    assert status == 1
    assert all(part in errors for part in ("http://127.0.0.1:9", "Connection refused", "--host"))


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("http://no-such-host.invalid", r"http://no-such-host\.invalid"),
        ("ftp://x", "--host.*https://.*ftp://x"),
        ("http://a b", "--host.*https://.*http://a b"),
    ],
)
def test_an_invalid_host_is_named(spec: Path, host: str, message: str) -> None:
    status, _, errors = tiffin("publish", spec, "--host", host)

    assert status in {1, 2}
    assert re.search(message, errors)


def test_without_a_host_the_error_names_the_option(spec: Path, tmp_path: Path) -> None:
    status, _, errors = tiffin("publish", spec, HOME=str(tmp_path), KUBECONFIG=str(tmp_path / "none"))

    assert status == 2
    assert re.search("--host.*http://localhost:8080", errors)


def test_a_web_page_instead_of_the_api_is_an_error(backend: kfp_backend.Server, spec: Path) -> None:
    backend.fail("healthz", 200, "<html>Log in</html>")
    page = tiffin("publish", spec, "--host", backend.address)
    backend.fail("healthz", 302, headers={"Location": "https://login.example.com/?state=1"})
    redirect = tiffin("publish", spec, "--host", backend.address)
    missing = tiffin("publish", spec, "--host", f"{backend.address}/nowhere")

    assert page[0] == redirect[0] == missing[0] == 1
    assert re.search("JSON.*KFP API", page[2])
    assert "login.example.com" in redirect[2]
    assert "404" in missing[2]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_tls_failures_have_different_errors(certificate: Path, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    with kfp_backend.serve(certificate) as server:
        trusted = tiffin("publish", spec, "--host", server.address.removeprefix("https://"), "--ca-file", certificate)
        unknown = tiffin("publish", spec, "--host", server.address)
        other_name = tiffin(
            "publish", spec, "--host", server.address.replace("localhost", "127.0.0.1"), "--ca-file", certificate
        )
        plain = tiffin("publish", spec, "--host", server.address.replace("https", "http"))
        bad = tiffin("publish", spec, "--host", server.address, "--ca-file", tmp_path / "bad.pem")
        missing = tiffin("publish", spec, "--host", server.address, "--ca-file", tmp_path / "none.pem")
    with kfp_backend.serve() as server:
        no_tls = tiffin("publish", spec, "--host", server.address.replace("http", "https"))

    assert trusted[0] == 0
    assert unknown[0] == other_name[0] == plain[0] == no_tls[0] == 1
    assert re.search("https://localhost:.*--ca-file", unknown[2])
    assert re.search("https://127.*--host", other_name[2])
    assert re.search("https://.*--host", plain[2])
    assert re.search("http://.*--host", no_tls[2])
    assert bad[0] == missing[0] == 2
    assert f"'{tmp_path}/bad.pem'" in bad[2]
    assert f"'{tmp_path}/none.pem'" in missing[2]
