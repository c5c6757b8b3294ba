#!/bin/bash
# up.sh [--with-prometheus] [--with-runner]: bring up a real one-node Kubernetes without a container engine (root).
#
# The whole node (etcd, control plane, kubelet, containerd, kube-proxy, router and every pod) lives in one new set of
# mount, network, PID, cgroup, IPC and UTS namespaces, whose first process is inside.sh. No interface leads out of the
# network namespace. Ending that process (down.sh) takes every process, mount, route and firewall rule with it, so
# nothing else has to be undone. Run twice, the second run finds the node up and does nothing.
#
# ROLLOUTLAB_NODE is the folder of its state; nodes with different folders run side by side. PROXY_MODE is kube-proxy's:
# nftables or iptables.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
export PROMETHEUS="" PROXY_MODE=${PROXY_MODE:-nftables} store=store ROLLOUTLAB_NODE=$STATE
for option in "$@"; do
  case $option in
    --with-prometheus) PROMETHEUS=yes ;;
    --with-runner) store=runner_store ;;
    *) say "unknown option '$option'; known: --with-prometheus, --with-runner"; exit 2 ;;
  esac
done

id=$(sha256sum <<<"$STATE" | cut -c 1-8) # one a folder

[[ $PROXY_MODE =~ ^(nftables|iptables)$ ]] || { say "unknown PROXY_MODE '$PROXY_MODE'; known: nftables, iptables"; exit 2; }

enter_cgroups() { # one new cgroup in every hierarchy, so that the node's stay below ours
  local names path dir file before
  before=$(cat /proc/self/cgroup) # read whole: it changes under the loop
  while IFS=: read -r _ names path; do
    dir=/sys/fs/cgroup/${names#name=}${path%/}/rolloutlab-node-$id
    [[ -n $names && -d ${dir%/*} ]] || continue
    mkdir -p "$dir"
    for file in cpuset.cpus cpuset.mems; do
      [[ ! -e $dir/$file ]] || cat "${dir%/*}/$file" >"$dir/$file"
    done
    echo "$BASHPID" >"$dir/cgroup.procs"
    echo "$dir" >>"$STATE/cgroups"
  done <<<"$before"
}

launch() {
  enter_cgroups
  echo "$BASHPID" >"$STATE/pid"
  exec setsid unshare --mount --net --pid --fork --cgroup --ipc --uts --mount-proc --kill-child "$here/inside.sh" "$STATE"
}

already_up() {
  say "already up: $STATE"
  [[ -z $PROMETHEUS || -e $STATE/conf/with-prometheus ]] || { say "but without Prometheus; hack/node/down.sh first"; exit 2; }
  [[ $store == store || -e $STATE/conf/with-runner ]] || {
    say "importing the image of the runner …"
    "$here/image.sh" runner | "$here/run.sh" --all ctr --namespace k8s.io images import - >/dev/null
    touch "$STATE/conf/with-runner"
  }
}

check_folder
mkdir -p "$CACHE"
exec 9>"$CACHE/up-$id.lock"
flock 9 # two at the same moment: the second finds it up
if [[ -e $STATE/ready ]] && first_process >/dev/null; then
  already_up
  exit
fi
"$here/preflight.sh"
parts=$("$here/build.sh" kube crds traefik $store "${store/store/source}" source)
{ read -r KUBE; read -r CRDS; read -r TRAEFIK; read -r STORE; } <<<"$parts"
queue=$("$here/build.sh" queue) || say "going on without: packets cannot be delayed"
export KUBE CRDS TRAEFIK STORE
"$here/down.sh"
mkdir -p "$STATE/conf" "$STATE/log"
touch "$MARK"
ln -s "$KUBE" "$STATE/bin"
[[ -z $queue ]] || ln -s "$queue" "$STATE/python"
launched=$EPOCHREALTIME
launch </dev/null >"$STATE/log/node" 2>&1 9>&- &
until [[ -e $STATE/ready ]]; do
  kill -0 $! 2>/dev/null || {
    say "it did not come up (down.sh removes what is left); the end of $STATE/log/node:"
    tail -n 4 "$STATE/log/node" >&2
    exit 1
  }
  sleep 0.05
done
[[ -z $PROMETHEUS ]] || touch "$STATE/conf/with-prometheus"
[[ $store == store ]] || touch "$STATE/conf/with-runner"
took=$(((${EPOCHREALTIME//[!0-9]/} - ${launched//[!0-9]/}) / 100000)) # tenths of a second
say "up in ${took%?}.${took: -1} s; export KUBECONFIG=$STATE/kubeconfig, and try:" \
  "hack/node/run.sh kubectl get pods --all-namespaces"
