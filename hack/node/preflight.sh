#!/bin/bash
# preflight.sh [--before-packages]: can a node run here? Says everything that is missing at once; exit 3 when it cannot.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
export PATH=$PATH:/usr/sbin:/sbin:/usr/local/go/bin

problems=()
problem() { problems+=("$*"); }

[[ $(uname -s) == Linux ]] || problem "this is $(uname -s), and the node is a set of Linux namespaces"
((EUID == 0)) || problem "root is needed: namespaces, mounts and cgroups are made (sudo make cluster-up)"

# The node makes a cgroup of its own in each of the version 1 hierarchies.
missing=()
for controller in cpu cpuacct cpuset memory devices freezer pids; do
  grep -Eq "^[^ ]+ [^ ]+ cgroup [^ ]*\b$controller\b" /proc/mounts || missing+=("$controller")
done
if ((${#missing[@]} == 7)); then
  problem "this machine has cgroup v2 only, and the node needs the version 1 hierarchies"
elif ((${#missing[@]})); then
  problem "the cgroup v1 hierarchies ${missing[*]} are not mounted"
fi
if ((EUID == 0)); then
  unshare --mount --net --pid --cgroup --ipc --uts --fork true 2>/dev/null ||
    problem "new namespaces cannot be made here (a container without the privilege?)"
  unshare --net nft list ruleset >/dev/null 2>&1 || ! command -v nft >/dev/null ||
    problem "nftables does not work in a new network namespace"
fi
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || problem "the kernel has no overlay file system"

packages=
[[ ${1:-} == --before-packages ]] || packages=$("$here/packages.sh" --list)
[[ -z $packages ]] || problem "Debian packages are missing: $packages (hack/node/packages.sh installs them)"

wanted=$(awk '$1 == "go" {print $2}' "$here/kube/go.mod")
if [[ ! -x $("$here/build.sh" --where kube)/kube ]]; then # to build it takes more than to run it
  # Asked in the module's folder, Go may fetch the version that the module wants (GOTOOLCHAIN=auto).
  found=$(cd "$here/kube" && go env GOVERSION 2>/dev/null) || found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || found=none
  [[ $found != none && $(printf '%s\n' "$wanted" "${found#go}" | sort -V | head -n 1) == "$wanted" ]] ||
    problem "Go $wanted or newer builds Kubernetes; found: $found"
  memory=3000
else
  memory=1000
fi
available=$(awk '$1 == "MemAvailable:" {print int($2 / 1024)}' /proc/meminfo)
((available >= memory)) || problem "$memory MiB of free memory are needed, $available MiB are there"

for folder in "$STATE" "$CACHE" "$project"; do
  case $folder/ in
    /var/* | /run/* | /sys/* | /proc/*)
      problem "$folder is hidden by the node's own /var, /run and /sys: it must stand elsewhere (ROLLOUTLAB_NODE is" \
        "the folder of the node, XDG_CACHE_HOME that of the cache)" ;;
  esac
done

((${#problems[@]})) || exit 0
say "a Kubernetes node cannot run here:"
printf '  - %s\n' "${problems[@]}" >&2
say "where there is Docker, a kind cluster does the same: make kind-up (docs/how-to/kind.md)"
exit $CHECKED_BY_PREFLIGHT
