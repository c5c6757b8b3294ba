#!/bin/bash
# argo.sh: run the real controller of Argo Rollouts in the node that is up (root). Run twice, the second run does nothing.
#
# The first time it is built, which takes some minutes, 1.5 GB of memory and 2 GB of disk (Go 1.26.1 or newer). It runs in
# the node's network, PID namespace and cgroups, so that it ends with the node. The definitions of its kinds are those
# of its module.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
health=http://127.0.0.1:8080/healthz # in the node's network

healthy() { "$here/run.sh" curl --silent --fail --max-time 2 --output /dev/null $health; }

enter() { # ARGO: the controller in the place of this process
  local dir
  for dir in $(cat "$STATE/cgroups"); do echo "$BASHPID" >"$dir/cgroup.procs"; done
  exec setsid nsenter --target "$first" --net --pid "$1/rollouts-controller" --kubeconfig "$STATE/kubeconfig" \
    --leader-elect=false --loglevel info
}

first=$(first_process) || { say "the node is not up; hack/node/up.sh (make cluster-up) starts it"; exit 1; }
exec 9>"$STATE/argo.lock"
flock 9 # two at the same moment: the second finds it running
if healthy; then
  say "the controller of Argo Rollouts runs already"
  exit
fi
argo=$("$here/build.sh" argo)
"$here/run.sh" kubectl apply --server-side --filename "$argo/crds.yaml" >/dev/null
"$here/run.sh" kubectl wait --for=condition=Established --filename "$argo/crds.yaml" --timeout=30s >/dev/null
enter "$argo" </dev/null >"$STATE/log/argo" 2>&1 9>&- &
deadline=$((SECONDS + 60))
until healthy; do
  kill -0 $! 2>/dev/null && ((SECONDS < deadline)) || {
    say "the controller of Argo Rollouts did not come up; the end of $STATE/log/argo:"
    tail -n 4 "$STATE/log/argo" >&2
    exit 1
  }
  sleep 0.2
done
say "the controller of Argo Rollouts runs; try: hack/node/run.sh kubectl get rollouts --all-namespaces"
