#!/bin/bash
# run.sh [--all] COMMAND...: run a command in the node's network, with its kubectl and kubeconfig.
# --all gives it the node's mounts, processes and cgroups as well (for ctr and for faults): use absolute paths there.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
spaces=(--net)
if [[ ${1:-} == --all ]]; then
  spaces=(--net --mount --pid --ipc --uts --cgroup)
  shift
fi
first=$(first_process) || { say "the node is not up; hack/node/up.sh (make cluster-up) starts it"; exit 1; }
exec env PATH="$STATE/bin:$PATH:/usr/sbin:/sbin" KUBECONFIG="$STATE/kubeconfig" \
  nsenter --target "$first" "${spaces[@]}" -- "$@"
