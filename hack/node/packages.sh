#!/bin/bash
# packages.sh: install the Debian packages of the node that are missing (root). With --list it only names them.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"

# command or file that must be there : package that brings it
needed=(
  containerd:containerd ctr:containerd runc:runc /usr/lib/cni/ptp:containernetworking-plugins
  iptables:iptables nft:nftables conntrack:conntrack ip:iproute2 openssl:openssl curl:curl
  mmdebstrap:mmdebstrap
  ipset:ipset stress-ng:stress-ng                                       # faults, as the next two lines
  /usr/include/libnetfilter_queue/libnetfilter_queue.h:libnetfilter-queue-dev
  gcc:gcc /usr/include/stdlib.h:libc6-dev                               # netfilterqueue is built from source
  prometheus:prometheus                                                 # --with-prometheus
)
export PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in "${needed[@]}"; do
  what=${pair%%:*} package=${pair#*:}
  if [[ $what == /* ]]; then [[ -e $what ]]; else command -v "$what" >/dev/null; fi || missing+=("$package")
done
# netfilterqueue also needs the headers of the Python that will import it; one that was not installed by apt has them.
"$PYTHON" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
  missing+=(python3-dev)

if ((${#missing[@]} == 0)); then exit 0; fi
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if [[ ${1:-} == --list ]]; then
  echo "${missing[*]}"
  exit 0
fi
command -v apt-get >/dev/null || { say "this is not Debian; missing: ${missing[*]}"; exit $CHECKED_BY_PREFLIGHT; }
((EUID == 0)) || { say "only root can install ${missing[*]}"; exit $CHECKED_BY_PREFLIGHT; }
policy=/usr/sbin/policy-rc.d # the node starts its own containerd and Prometheus: no service is wanted of these packages
if [[ ! -e $policy ]]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
fi
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}"
