#!/bin/bash
# up.sh: a kind cluster in which drills can run. Run twice, the second run brings images and settings up to date.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$(readlink -f "$0")")/lib.sh"
"$here/preflight.sh"
mkdir -p "$state"

if cluster_exists; then
  say "the cluster $CLUSTER is there"
  kind export kubeconfig --name "$CLUSTER" --kubeconfig "$KUBECONFIG"
else
  kind create cluster --config "$project/hack/kind.yaml" --kubeconfig "$KUBECONFIG" --wait 180s
fi
"$here/images.sh"

say "Gateway API $GATEWAY_API_VERSION, Traefik and Prometheus"
kubectl apply --server-side --filename "$GATEWAY_API_CRDS"
kubectl wait --for condition=Established --timeout 60s \
  crd/gatewayclasses.gateway.networking.k8s.io crd/gateways.gateway.networking.k8s.io crd/httproutes.gateway.networking.k8s.io
for part in namespaces traefik prometheus; do kubectl apply --server-side --filename "$here/$part.yaml"; done

say "Chaos Mesh $CHAOS_MESH_VERSION"
# It acts only in namespaces that carry the annotation chaos-mesh.org/inject=enabled, as ours does. One replica: a drill
# reads what the leader writes, and the loss of a node is not what a drill on one node is about.
helm upgrade --install chaos-mesh chaos-mesh --repo "$CHAOS_MESH_CHARTS" --version "$CHAOS_MESH_VERSION" \
  --namespace chaos-mesh --create-namespace --wait --timeout 10m \
  --set chaosDaemon.runtime=containerd --set chaosDaemon.socketPath=/run/containerd/containerd.sock \
  --set controllerManager.enableFilterNamespace=true --set controllerManager.replicaCount=1 \
  --set controllerManager.podChaos.podFailure.pauseImage="$PAUSE_IMAGE" \
  --set dashboard.create=false --set dnsServer.create=false

for part in traefik prometheus; do
  kubectl rollout status --namespace rolloutlab-system --timeout 300s "deployment/$part"
done
kubectl wait --namespace rolloutlab-system --for condition=Programmed --timeout 60s gateway/rolloutlab

say "up; try:"
cat <<TEXT
export KUBECONFIG=$KUBECONFIG
rolloutlab doctor --address 127.0.0.1:30080
rolloutlab drill chaos-half --strategy canary --world cluster --address 127.0.0.1:30080
TEXT
