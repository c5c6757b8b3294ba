# Names, versions and places for all scripts of this folder, which source it.
# shellcheck shell=bash disable=SC2034

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
project=${here%/hack/kind}

CLUSTER=rolloutlab # as in hack/kind.yaml
NAMESPACE=rolloutlab-drills
APP_IMAGE=rolloutlab.local/app:1 RUNNER_IMAGE=rolloutlab.local/runner:1 PAUSE_IMAGE=rolloutlab.local/pause:1
CHAOS_MESH_VERSION=2.8.3 GATEWAY_API_VERSION=v1.6.1

# Where what is installed comes from; name a mirror of yours in the environment.
CHAOS_MESH_CHARTS=${CHAOS_MESH_CHARTS:-https://charts.chaos-mesh.org}
GATEWAY_API_CRDS=${GATEWAY_API_CRDS:-https://github.com/kubernetes-sigs/gateway-api/releases/download/$GATEWAY_API_VERSION/standard-install.yaml}

# A kubeconfig of its own: yours, and the context that it stands at, are left alone.
state=${XDG_STATE_HOME:-$HOME/.local/state}/rolloutlab/kind
export KUBECONFIG=$state/kubeconfig

REFUSED=3 # exit code, that of rolloutlab

say() { echo "kind: $*" >&2; }
cluster_exists() { kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; }
