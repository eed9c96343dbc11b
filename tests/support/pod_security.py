"""The restricted Pod Security Standard, by the rules of Kubernetes' admission controller (pod-security-admission, v1.32).

A pod is a dictionary with `spec` and perhaps `metadata`, as in a manifest.
"""

from collections.abc import Callable, Iterator
from typing import Any

Pod = dict[str, Any]
Rule = Callable[[Pod], Iterator[str]]

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}  # fmt: skip
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def find_violations(pod: Pod) -> list[str]:
    """Return the rules that a pod breaks and where, as `rule: place`; none if the restricted standard admits it."""
    return [f"{rule.__name__}: {place}" for rule in RULES for place in rule(pod)]


def allow_privilege_escalation(pod: Pod) -> Iterator[str]:
    for container, context in _containers(pod):
        if _is_windows(pod):
            return
        if context.get("allowPrivilegeEscalation") is not False:
            yield container


def app_armor_profile(pod: Pod) -> Iterator[str]:
    for place, context in _contexts(pod):
        if context.get("appArmorProfile") and context["appArmorProfile"].get("type") not in (
            "RuntimeDefault",
            "Localhost",
        ):
            yield place
    for key, value in (pod.get("metadata", {}).get("annotations") or {}).items():
        if key.startswith(APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/"):
            yield key


def capabilities(pod: Pod) -> Iterator[str]:
    for container, context in _containers(pod):
        found = context.get("capabilities") or {}
        if not _is_windows(pod) and "ALL" not in (found.get("drop") or []):
            yield container
        if not _is_windows(pod) and set(found.get("add") or []) - {"NET_BIND_SERVICE"}:
            yield container


def host_namespaces(pod: Pod) -> Iterator[str]:
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod["spec"].get(name))


def host_ports(pod: Pod) -> Iterator[str]:
    for container in _all_containers(pod):
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield container["name"]


def privileged(pod: Pod) -> Iterator[str]:
    yield from (container for container, context in _containers(pod) if context.get("privileged"))


def proc_mount(pod: Pod) -> Iterator[str]:
    for container, context in _containers(pod):
        if context.get("procMount", "Default") != "Default":
            yield container


def restricted_volumes(pod: Pod) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or []:
        # A volume without a source is an empty folder.
        if volume.keys() - {"name"} and not volume.keys() & VOLUMES:
            yield volume["name"]


def run_as_non_root(pod: Pod) -> Iterator[str]:
    whole = _context(pod["spec"]).get("runAsNonRoot")
    if whole is False:
        yield "pod"
    for container, context in _containers(pod):
        if context.get("runAsNonRoot", whole) is not True:
            yield container


def run_as_user(pod: Pod) -> Iterator[str]:
    yield from (place for place, context in _contexts(pod) if context.get("runAsUser") == 0)


def seccomp_profile(pod: Pod) -> Iterator[str]:
    whole = _context(pod["spec"]).get("seccompProfile")
    if _is_windows(pod):
        return
    if whole and whole.get("type") not in ("RuntimeDefault", "Localhost"):
        yield "pod"
    for container, context in _containers(pod):
        if (context.get("seccompProfile") or whole or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield container


def selinux_options(pod: Pod) -> Iterator[str]:
    for place, context in _contexts(pod):
        options = context.get("seLinuxOptions") or {}
        if options.get("type", "") not in SELINUX_TYPES or options.get("user") or options.get("role"):
            yield place


def sysctls(pod: Pod) -> Iterator[str]:
    yield from (one["name"] for one in _context(pod["spec"]).get("sysctls") or [] if one["name"] not in SYSCTLS)


def windows_host_process(pod: Pod) -> Iterator[str]:
    yield from (place for place, context in _contexts(pod) if (context.get("windowsOptions") or {}).get("hostProcess"))


RULES: tuple[Rule, ...] = (
    allow_privilege_escalation, app_armor_profile, capabilities, host_namespaces, host_ports, privileged, proc_mount,
    restricted_volumes, run_as_non_root, run_as_user, seccomp_profile, selinux_options, sysctls, windows_host_process,
)  # fmt: skip


def _all_containers(pod: Pod) -> list[dict[str, Any]]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in pod["spec"].get(kind) or []]


def _context(place: dict[str, Any]) -> dict[str, Any]:
    return place.get("securityContext") or {}


def _containers(pod: Pod) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((container["name"], _context(container)) for container in _all_containers(pod))


def _contexts(pod: Pod) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "pod", _context(pod["spec"])
    yield from _containers(pod)


def _is_windows(pod: Pod) -> bool:
    return bool((pod["spec"].get("os") or {}).get("name") == "windows")
