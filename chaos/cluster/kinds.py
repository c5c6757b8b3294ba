"""The kinds of objects that drills deal with, and where the API keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: `group` is empty for the core."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As it stands in a manifest.

        >>> DEPLOYMENT.api_version, POD.api_version
        ('apps/v1', 'v1')
        """
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, part: str | None = None) -> str:
        """The path of one object, of a part of it (`status`, `scale`), or of all in a namespace (None: in all).

        >>> POD.path("shop", "web-1")
        '/api/v1/namespaces/shop/pods/web-1'
        >>> DEPLOYMENT.path()
        '/apis/apps/v1/deployments'
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if self.namespaced and namespace is not None else ""
        rest = "".join(f"/{each}" for each in (name, part) if each)
        return f"{root}{where}/{self.plural}{rest}"


POD: Final = Kind("", "v1", "Pod", "pods")
SERVICE: Final = Kind("", "v1", "Service", "services")
CONFIG_MAP: Final = Kind("", "v1", "ConfigMap", "configmaps")
EVENT: Final = Kind("", "v1", "Event", "events")
NAMESPACE: Final = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
NODE: Final = Kind("", "v1", "Node", "nodes", namespaced=False)
SERVICE_ACCOUNT: Final = Kind("", "v1", "ServiceAccount", "serviceaccounts")
DEPLOYMENT: Final = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SET: Final = Kind("apps", "v1", "ReplicaSet", "replicasets")
ENDPOINT_SLICE: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")
JOB: Final = Kind("batch", "v1", "Job", "jobs")
CRON_JOB: Final = Kind("batch", "v1", "CronJob", "cronjobs")
ROLE: Final = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING: Final = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
GATEWAY: Final = Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
CRD: Final = Kind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
ACCESS_REVIEW: Final = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
ROLLOUT: Final = Kind("argoproj.io", "v1alpha1", "Rollout", "rollouts")
_CHAOS: Final = "chaos-mesh.org"
POD_CHAOS: Final = Kind(_CHAOS, "v1alpha1", "PodChaos", "podchaos")
NETWORK_CHAOS: Final = Kind(_CHAOS, "v1alpha1", "NetworkChaos", "networkchaos")
HTTP_CHAOS: Final = Kind(_CHAOS, "v1alpha1", "HTTPChaos", "httpchaos")
STRESS_CHAOS: Final = Kind(_CHAOS, "v1alpha1", "StressChaos", "stresschaos")
CHAOS_SCHEDULE: Final = Kind(_CHAOS, "v1alpha1", "Schedule", "schedules")
#: what a drill may create in its namespace, in the order in which a sweep removes it: faults first
OURS: Final = (
    POD_CHAOS,
    NETWORK_CHAOS,
    HTTP_CHAOS,
    STRESS_CHAOS,
    CHAOS_SCHEDULE,
    HTTP_ROUTE,
    DEPLOYMENT,
    SERVICE,
    CONFIG_MAP,
)
