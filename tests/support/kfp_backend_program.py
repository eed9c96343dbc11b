"""The server process of `kfp_backend`."""

import base64
import contextlib
import datetime
import json
import re
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.kfp_backend_checks import RefusalError, check_against, check_spec

# Path of the API behind the cluster's API server, as used with a kubeconfig.
KUBE_PROXY = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
WORKFLOW = "toy-x7k2p"
PAGE = 2  # small, so that short lists have several pages
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}

SETTINGS: dict[str, Any] = {
    "multi_user": False,
    # The valid token, or a list of valid tokens.
    "token": "",
    "cookie": "",
    # Credentials of a proxy in front of the API: `user:password`.
    "login": "",
    # Fields of a spec that an older backend does not know.
    "unknown_fields": [],
    "forbidden_namespaces": [],
    # States of a run, one for each request; the last one is repeated.
    "pictures": [{"state": "SUCCEEDED", "tasks": {}}],
    # Logs of the attempts of a step, or of its driver; more than one if the step has retries. Bytes are in Latin-1.
    "logs": {},
    # Server that returns logs: `api` with the errors of KFP 2.17.0, `next` with those of later versions, `dashboard`, or
    # `archive`: the API server, by the IDs of nodes only.
    "logs_from": "api",
    # Whether every template has retries.
    "retried": False,
    # Start of the names of the executors' templates, for pods with metadata.
    "template_prefix": "",
    # MiB of lines at the start of each log.
    "padding": 0,
    # Attributes of the next runs, such as recurring_run_id: requests cannot set them.
    "run": {},
    # Service account of a recurring run that requests none.
    "service_account": "pipeline-runner",
}


class Store:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.settings = json.loads(json.dumps(SETTINGS))
        self.faults: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.pipelines: dict[str, Any] = {}
        self.versions: dict[str, Any] = {}
        self.specs: dict[str, str] = {}
        self.experiments: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}
        self.looks: dict[str, int] = {}
        self.recurring: dict[str, Any] = {}
        self.meetings: list[dict[str, Any]] = []
        self.holds: list[dict[str, Any]] = []

    def new_id(self) -> str:
        # Unordered, as in the real backend: the greater of two IDs may be the older.
        return str(uuid.uuid4())

    def now(self) -> str:
        # In seconds, as in the real backend: times within a second are equal.
        return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


STORE = Store()


def list_items(items: list[dict[str, Any]], query: dict[str, str], name: str, id_name: str) -> dict[str, Any]:
    """Return a page that starts at the token's item, or after it if it was deleted."""

    def place(item: dict[str, Any]) -> str:
        return f"{item['created_at']} {item[id_name]}"

    for predicate in json.loads(query.get("filter", "{}")).get("predicates", []):
        assert predicate["operation"] == "EQUALS"
        items = [item for item in items if item.get(predicate["key"]) == predicate["string_value"]]
    if "namespace" in query:
        items = [item for item in items if item.get("namespace", "") == query["namespace"]]
    size = min(int(query.get("page_size", PAGE)), PAGE)
    page: dict[str, Any] = {"total_size": len(items)}
    order = query.get("sort_by", "")
    assert order in {"", "created_at desc"}
    if order:
        items = sorted(items, key=lambda item: item["created_at"], reverse=True)
        first = int(query.get("page_token", "0"))
        following = {"next_page_token": str(first + size)} if items[first + size :] else {}
        return page | ({name: items[first : first + size]} if items else {}) | following
    left = sorted((item for item in items if place(item) >= query.get("page_token", "")), key=place)
    if left:
        page[name] = left[:size]
    if left[size:]:
        page["next_page_token"] = place(left[size])
    return page


def add(items: dict[str, Any], item: dict[str, Any], id_name: str, key: tuple[str, ...]) -> dict[str, Any]:
    item = {name: value for name, value in item.items() if value != ""}
    with STORE.lock:
        for other in items.values():
            if key != (id_name,) and all(other.get(name) == item.get(name) for name in key):
                raise RefusalError(409, f"Already exist error: {item.get(key[0])}")
        item |= {id_name: STORE.new_id(), "created_at": STORE.now()}
        items[item[id_name]] = item
    return item


def found(items: dict[str, Any], item_id: str, kind: str) -> dict[str, Any]:
    if item_id not in items:
        raise RefusalError(404, f"{kind} {item_id} not found")
    return items[item_id]


def experiment_of(run: dict[str, Any]) -> dict[str, Any]:
    return STORE.experiments[run["experiment_id"]]


def need_namespace(namespace: str, verb: str) -> None:
    if STORE.settings["multi_user"] and not namespace:
        raise RefusalError(400, f"Failed to {verb}: namespace cannot be empty in multi-user mode")
    if namespace in STORE.settings["forbidden_namespaces"]:
        raise RefusalError(403, f"User 'ann@example.com' is not authorized with reason: no access to {namespace}")


def node_id(name: str) -> str:
    """Return the ID that Argo gives to a node: the workflow's name and the FNV-1a hash of the node's name."""
    hashed = 0x811C9DC5
    for byte in name.encode():
        hashed = (hashed ^ byte) * 0x01000193 % (1 << 32)
    return f"{WORKFLOW}-{hashed}"


def argo_nodes(states: dict[str, str], logs: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return the nodes of KFP's workflow: for each step a driver, a DAG with the executor, and a node for each attempt.

    With `retried`, every template has retries, as in the settings that KFP installs: each node has its attempts as children.
    """
    drivers = {name.removesuffix("-driver"): state for name, state in states.items() if name.endswith("-driver")}
    steps = {name: state for name, state in states.items() if not name.endswith("-driver")}
    names = list(dict.fromkeys([*drivers, *steps]))
    nodes: list[dict[str, Any]] = []

    def node(path: str, state: str, *children: str, attempts: int = 0) -> None:
        """Add a node and its attempts; those before the last one failed, and the last one has the children."""
        display_name = path.rpartition(".")[2]
        attempts = attempts or int(STORE.settings["retried"])
        own = [f"{path}({count})" for count in range(attempts)]
        ids = [node_id(child) for child in children]
        nodes.append({"display_name": display_name, "state": state, "children": [node_id(one) for one in own] or ids})
        for count, _ in enumerate(own):
            is_last = count == len(own) - 1
            attempt = {"display_name": f"{display_name}({count})", "state": state if is_last else "FAILED"}
            nodes.append({**attempt, "children": ids if is_last else []})

    last = "(0)" if STORE.settings["retried"] else ""
    root = f"{WORKFLOW}{last}.root"
    node(WORKFLOW, "RUNNING", f"{WORKFLOW}{last}.root-driver")
    node(f"{WORKFLOW}{last}.root-driver", "SUCCEEDED", root)
    node(root, "RUNNING", *(f"{root}{last}.{name}-driver" for name in names))
    for name in names:
        own = f"{root}{last}.{name}"
        node(f"{own}-driver", drivers.get(name, "SUCCEEDED"), *([own] if name in steps else []))
        if name in steps:
            attempts = len(logs.get(name, ""))
            node(own, steps[name], f"{own}{last}.executor")
            node(f"{own}{last}.executor", steps[name], attempts=attempts if attempts > 1 else 0)
    return nodes


def pod_nodes(name: str, count: int, retries: bool) -> list[str]:
    """Return the names of the nodes that contain an attempt of a step or of its driver: the pod first."""
    last = "(0)" if STORE.settings["retried"] else ""
    own = f"{WORKFLOW}{last}.root{last}.{name}"
    if name.endswith("-driver"):
        return [f"{own}{last}", own]
    attempt = f"({count})" if retries else last
    return [f"{own}{last}.executor{attempt}", f"{own}{last}.executor", f"{own}{last}", own]


def pod_logs(logs: dict[str, list[str]]) -> dict[str, str]:
    """Return the log of each pod by its name: the workflow, the template and the hash of the node's ID.

    If the logs come from the archive, the pods are gone. Then each log also has the IDs of the pod's node and of the nodes
    around it, which find the log of the first attempt.
    """
    found: dict[str, str] = {}
    for name, attempts in logs.items():
        retries = len(attempts) > 1
        for count, text in enumerate(attempts):
            template = f"{STORE.settings['template_prefix']}{'retry-' if retries else ''}system-container-impl"
            if name.endswith("-driver"):
                template = "system-container-driver"
            ids = [node_id(node) for node in pod_nodes(name, count, retries)]
            if STORE.settings["logs_from"] == "archive":
                for one in ids:
                    found.setdefault(one, text)
            else:
                found[f"{WORKFLOW}-{template}-{ids[0].rpartition('-')[2]}"] = text
    return found


def spec_object(content: str) -> dict[str, Any]:
    """Return a spec as the API does: the pipeline spec, in an object of its own if there is a platform spec."""
    import yaml

    pipeline, *platform = yaml.safe_load_all(content)
    return {"pipeline_spec": pipeline, "platform_spec": platform[0]} if platform else pipeline


def picture(run: dict[str, Any]) -> dict[str, Any]:
    with STORE.lock:
        look = STORE.looks.get(run["run_id"], 0)
        STORE.looks[run["run_id"]] = look + 1
        pictures = STORE.settings["pictures"]
        seen = pictures[min(look, len(pictures) - 1)]
    shown = {**run, "state": seen["state"], "finished_at": "1970-01-01T00:00:00Z"}
    if seen["state"] in {"SUCCEEDED", "FAILED", "CANCELED"}:
        shown["finished_at"] = STORE.now()
    if "error" in seen:
        shown["error"] = {"code": 13, "message": seen["error"]}
    tasks = [
        {
            "run_id": run["run_id"],
            # Of the row in the database. The API returns neither the ID of the node nor the name of the pod.
            "task_id": STORE.new_id(),
            "display_name": node["display_name"],
            "create_time": run["created_at"],
            "start_time": "2026-01-01T00:00:00Z",
            "end_time": "2026-01-01T00:00:07Z",
            "state": node["state"],
            "child_tasks": [{"pod_name": child} for child in node["children"]],
        }
        for node in argo_nodes(seen["tasks"], STORE.settings["logs"])
    ]
    if seen["tasks"]:
        shown["run_details"] = {"task_details": tasks}
    return shown


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def handle_request(self) -> None:
        url = urllib.parse.urlsplit(self.path.removeprefix(KUBE_PROXY))
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.startswith("/_"):
            self.control(url.path, body)
            return
        if "/nodes/" in url.path or url.path.startswith("/k8s/"):
            self.answer_log(url.path, query)
            return
        STORE.requests.append(f"{self.command} {url.path}")
        fault = self.take_fault(f"{self.command} {url.path}")
        try:
            if fault and not fault["after"]:
                self.answer_fault(fault)
                return
            self.check_credentials()
            self.hold(f"{self.command} {url.path}")
            answer, model = self.route(url.path, query, body)
            if model:
                check_against(model, answer)
            self.meet(f"{self.command} {url.path}")
            if fault:
                self.answer_fault(fault)
                return
            self.answer(200, answer)
        except RefusalError as refused:
            message = {"error_message": refused.message, "error_details": refused.message}
            if "upload" not in url.path:
                code = CODES[refused.status]
                message = {"error": refused.message, "code": code, "message": refused.message, "details": []}
            self.answer(refused.status, message)
        except ConnectionError:  # The client was stopped, and does not wait for its answer.
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - `serve` reports complaints when it ends
            STORE.complaints.append(f"{self.command} {self.path}: {type(error).__name__} {error}")
            self.answer(500, {"message": f"fake backend: {error}"})

    do_GET = do_POST = do_DELETE = handle_request  # noqa: N815 - http.server calls them by these names

    def answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        kind = "text/html" if isinstance(value, str) else "application/json"
        self.send_response(status)
        for name, text in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def answer_log(self, path: str, query: dict[str, str]) -> None:
        STORE.requests.append(f"{self.command} {path}")
        source = STORE.settings["logs_from"]
        on_dashboard = path == "/k8s/pod/logs"
        match = re.fullmatch(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", path)
        if source not in {"dashboard", "api", "next", "archive"} or (on_dashboard and source != "dashboard"):
            self.answer(404, {"message": "Not Found"})
            return
        if source == "dashboard" and not on_dashboard:
            # It serves its page for every path that it does not know.
            self.answer(200, "<!doctype html><title>Kubeflow Pipelines</title>")
            return
        pod = query.get("podname", "") if on_dashboard else match.group(2)
        if on_dashboard and STORE.settings["multi_user"] and not query.get("podnamespace"):
            self.answer(422, "podnamespace argument is required")
            return
        run = query.get("runid", "") if on_dashboard else match.group(1)
        text = pod_logs(STORE.settings["logs"]).get(pod) if run in STORE.runs else None
        if text is None:
            error = {"error_message": f'pods "{pod}" not found', "error_details": "stack trace"}
            self.answer(500 if source not in {"api", "archive"} else 200, error)
            return
        line = b"epoch 1 of 8, loss 0.5" * 10 + b"\n"
        count = STORE.settings["padding"] * (1 << 20) // len(line) if STORE.settings["padding"] else 0
        content = text.encode("latin-1")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(line) * count + len(content)))
        self.end_headers()
        for _ in range(count // 1000):
            self.wfile.write(line * 1000)
        self.wfile.write(line * (count % 1000) + content)

    def control(self, path: str, body: bytes) -> None:
        if path == "/_set":
            STORE.settings |= json.loads(body)
            self.answer(200, {})
        elif path == "/_reset":
            STORE.reset()
            self.answer(200, {})
        elif path == "/_fail":
            STORE.faults.append(json.loads(body))
            self.answer(200, {})
        elif path == "/_hold":
            STORE.holds.append(json.loads(body))
            self.answer(200, {})
        elif path == "/_meet":
            meeting = json.loads(body)
            barrier = threading.Barrier(meeting["count"])
            STORE.meetings.append({"path": meeting["path"], "left": meeting["count"], "barrier": barrier})
            self.answer(200, {})
        else:
            names = ("requests", "complaints", "pipelines", "versions", "specs", "experiments", "runs", "recurring")
            self.answer(200, {name: getattr(STORE, name) for name in names})

    def take_fault(self, line: str) -> dict[str, Any] | None:
        with STORE.lock:
            for fault in STORE.faults:
                if re.search(fault["path"], line) and fault["times"]:
                    fault["times"] -= 1
                    return fault
        return None

    def hold(self, line: str) -> None:
        with STORE.lock:
            hold = next((one for one in STORE.holds if one["seconds"] and re.search(one["path"], line)), None)
            seconds = hold["seconds"].pop(0) if hold else 0
        time.sleep(seconds)

    def meet(self, line: str) -> None:
        with STORE.lock:
            meeting = next((one for one in STORE.meetings if one["left"] and re.search(one["path"], line)), None)
            if meeting is None:
                return
            meeting["left"] -= 1
        # After 20 s, continue without the others.
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting["barrier"].wait(20)

    def answer_fault(self, fault: dict[str, Any]) -> None:
        if fault["status"] == 0:
            # Break the connection without a response.
            self.close_connection = True
            self.connection.close()
            return
        self.answer(fault["status"], fault["body"], fault["headers"])

    def check_credentials(self) -> None:
        token, cookie = STORE.settings["token"], STORE.settings["cookie"]
        basic = f"Basic {base64.b64encode(STORE.settings['login'].encode()).decode()}"
        if STORE.settings["login"] and self.headers.get("authorization") != basic:
            raise RefusalError(401, f"bad login {self.headers.get('authorization')}")
        tokens = [token] if isinstance(token, str) else token
        if token and self.headers.get("authorization") not in [f"Bearer {one}" for one in tokens]:
            # Some proxies echo the credentials they received.
            raise RefusalError(401, f"Request header error: bad token {self.headers.get('authorization')}")
        if cookie and self.headers.get("cookie") != cookie:
            raise RefusalError(401, f"no session for {self.headers.get('cookie')}")

    def route(self, path: str, query: dict[str, str], body: bytes) -> tuple[Any, str]:
        match = re.fullmatch(r"/apis/v2beta1/([a-z]+)(?:/([^/:]+))?(?:/([a-z]+)(?:/([^/:]+))?)?(?::([a-z]+))?", path)
        if not match:
            raise RefusalError(404, "Not Found")
        kind, item, part, inner, verb = match.groups()
        name = "_".join(word for word in (self.command, kind, item if item == "upload_version" else None, part) if word)
        method = getattr(self, name, None)
        if method is None:
            raise RefusalError(404, "Not Found")
        if item == "upload_version":
            return method(query, body)
        sent = json.loads(body) if body and self.command == "POST" else {}
        return method(item, verb, query, sent, *([inner] if inner else []))

    def GET_healthz(self, *_: Any) -> tuple[Any, str]:  # noqa: N802
        return {"multi_user": True} if STORE.settings["multi_user"] else {}, "V2beta1GetHealthzResponse"

    def GET_pipelines(self, item: str | None, _verb: str, query: dict[str, str], _sent: Any) -> tuple[Any, str]:  # noqa: N802
        need = query.get("namespace", "")
        if need in STORE.settings["forbidden_namespaces"]:
            need_namespace(need, "list pipelines")
        if item:
            return found(STORE.pipelines, item, "Pipeline"), "V2beta1Pipeline"
        items = [item for item in STORE.pipelines.values() if item.get("namespace", "") == need]
        return list_items(
            items, {**query, "namespace": need}, "pipelines", "pipeline_id"
        ), "V2beta1ListPipelinesResponse"

    def POST_pipelines(self, _item: str, _verb: str, _query: Any, sent: dict[str, Any]) -> tuple[Any, str]:  # noqa: N802
        check_against("V2beta1Pipeline", sent)
        return add(STORE.pipelines, sent, "pipeline_id", ("name", "namespace")), "V2beta1Pipeline"

    def GET_pipelines_versions(  # noqa: N802
        self, item: str, _verb: str, query: dict[str, str], _sent: Any, version_id: str | None = None
    ) -> tuple[Any, str]:
        if version_id:
            version = found(STORE.versions, version_id, "Pipeline version")
            return version | {"pipeline_spec": spec_object(STORE.specs[version["name"]])}, "V2beta1PipelineVersion"
        items = [version for version in STORE.versions.values() if version["pipeline_id"] == item]
        return list_items(
            items, query, "pipeline_versions", "pipeline_version_id"
        ), "V2beta1ListPipelineVersionsResponse"

    def POST_pipelines_upload_version(self, query: dict[str, str], body: bytes) -> tuple[Any, str]:  # noqa: N802
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = BytesParser().parsebytes(head + body).get_payload()
        assert part.get_param("name", header="content-disposition") == "uploadfile"
        assert part.get_filename().endswith(".yaml")
        if query.get("pipelineid") not in STORE.pipelines:
            raise RefusalError(400, "Failed to create a pipeline version")
        content = part.get_payload(decode=True)
        check_spec(content, STORE.settings["unknown_fields"])
        version = {name: query[name] for name in ("name", "display_name")} | {"pipeline_id": query["pipelineid"]}
        version = add(STORE.versions, version, "pipeline_version_id", ("name", "pipeline_id"))
        STORE.specs[version["name"]] = content.decode()
        return version, "V2beta1PipelineVersion"

    def GET_experiments(self, _item: str, _verb: str, query: dict[str, str], _sent: Any) -> tuple[Any, str]:  # noqa: N802
        need_namespace(query.get("namespace", ""), "list experiments")
        return list_items(
            list(STORE.experiments.values()), query, "experiments", "experiment_id"
        ), "V2beta1ListExperimentsResponse"

    def POST_experiments(self, _item: str, _verb: str, _query: Any, sent: dict[str, Any]) -> tuple[Any, str]:  # noqa: N802
        check_against("V2beta1Experiment", sent)
        need_namespace(sent.get("namespace", ""), "create an experiment")
        return add(STORE.experiments, sent, "experiment_id", ("display_name", "namespace")), "V2beta1Experiment"

    def POST_runs(self, item: str | None, verb: str, _query: Any, sent: dict[str, Any]) -> tuple[Any, str]:  # noqa: N802
        if item:
            found(STORE.runs, item, "Run")["state"] = {"terminate": "CANCELING", "retry": "RUNNING"}[verb]
            return {}, ""
        check_against("V2beta1Run", sent)
        self.check_source(sent)
        run = add(STORE.runs, {**sent, "state": "PENDING"}, "run_id", ("run_id",))
        run |= STORE.settings["run"]
        return run, "V2beta1Run"

    def GET_runs(self, item: str | None, _verb: str, query: dict[str, str], _sent: Any) -> tuple[Any, str]:  # noqa: N802
        if item:
            return picture(found(STORE.runs, item, "Run")), "V2beta1Run"
        namespace = query.pop("namespace", "")
        need_namespace(namespace, "list runs")
        runs = [run for run in STORE.runs.values() if experiment_of(run).get("namespace", "") == namespace]
        return list_items(runs, query, "runs", "run_id"), "V2beta1ListRunsResponse"

    def GET_recurringruns(self, _item: str, _verb: str, query: dict[str, str], _sent: Any) -> tuple[Any, str]:  # noqa: N802
        need_namespace(query.get("namespace", ""), "list recurring runs")
        return list_items(
            list(STORE.recurring.values()), query, "recurringRuns", "recurring_run_id"
        ), "V2beta1ListRecurringRunsResponse"

    def POST_recurringruns(self, item: str | None, verb: str, _query: Any, sent: dict[str, Any]) -> tuple[Any, str]:  # noqa: N802
        if item:
            if item not in STORE.recurring:
                raise RefusalError(404, f"Recurring run {item} not found")
            enabled = verb == "enable"
            STORE.recurring[item] |= {"status": "ENABLED" if enabled else "DISABLED", "mode": verb.upper()}
            return {}, ""
        check_against("V2beta1RecurringRun", sent)
        need_namespace(sent.get("namespace", ""), "create a recurring run")
        self.check_source(sent)
        cron = sent["trigger"].get("cron_schedule", {}).get("cron", "@daily")
        if not cron.startswith("@") and len(cron.split()) != 6:
            raise RefusalError(400, f"Schedule cron is not supported: {cron}")
        made = {"service_account": STORE.settings["service_account"], **sent}
        made |= {"status": "ENABLED" if sent["mode"] == "ENABLE" else "DISABLED"}
        return add(STORE.recurring, made, "recurring_run_id", ("recurring_run_id",)), "V2beta1RecurringRun"

    def DELETE_recurringruns(self, item: str, *_: Any) -> tuple[Any, str]:  # noqa: N802
        if STORE.recurring.pop(item, None) is None:
            raise RefusalError(404, f"Recurring run {item} not found")
        return {}, ""

    def check_source(self, sent: dict[str, Any]) -> None:
        version = STORE.versions.get(sent["pipeline_version_reference"]["pipeline_version_id"])
        if not version or version["pipeline_id"] != sent["pipeline_version_reference"]["pipeline_id"]:
            raise RefusalError(400, "Failed to fetch a pipeline version")
        if sent["experiment_id"] not in STORE.experiments:
            raise RefusalError(404, "Experiment not found")
        need_namespace(STORE.experiments[sent["experiment_id"]].get("namespace", ""), "create a run")


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if sys.argv[1:]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[1])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    # Importing the models takes a second: do it before the first request.
    import kfp_server_api  # noqa: F401
    from kfp.pipeline_spec import pipeline_spec_pb2  # noqa: F401

    print(server.server_port, flush=True)  # noqa: T201 - `serve` reads it
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
