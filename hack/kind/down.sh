#!/bin/bash
# down.sh: delete the kind cluster and its kubeconfig. The images stay in Docker.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$(readlink -f "$0")")/lib.sh"

command -v kind >/dev/null || { say "kind is not installed, so that it made no cluster here"; rm -rf "$state"; exit 0; }
if cluster_exists; then
  kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"
else
  say "there is no cluster $CLUSTER"
fi
rm -rf "$state"
