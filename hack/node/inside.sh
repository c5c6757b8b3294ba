#!/bin/bash
# inside.sh STATE: the first process of the node; up.sh starts it in new namespaces.
#
# A part that ends takes this process down with it, and this process everything else: better no node than a broken one.
# What up.sh decided comes in the environment: KUBE CRDS TRAEFIK STORE (folders), PROMETHEUS, PROXY_MODE.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
export PATH=$KUBE:/usr/sbin:/usr/bin:/sbin:/bin
pki=$STATE/pki conf=$STATE/conf log=$STATE/log
source "$here/identities.sh"
source "$here/configuration.sh"

make_room() { # a private /var, /run, /sys and cgroup tree, and a network with no way out
  mount --make-rshared /
  mkdir -p "$STATE"/var/{lib/kubelet,lib/containerd,lib/cni,log,tmp}
  ln -s /run "$STATE/var/run"
  mount --bind "$STATE/var" /var
  mount --bind "$conf/resolv.conf" /etc/resolv.conf
  mount -t tmpfs tmpfs /run
  mount -t sysfs sysfs /sys
  mount -t tmpfs tmpfs /sys/fs/cgroup
  local name
  for name in $(awk -F: '$2 != "" {print $2}' /proc/self/cgroup); do # the kubelet wants name=systemd too
    mkdir "/sys/fs/cgroup/${name#name=}"
    mount -t cgroup -o "${name/#name=/none,name=}" cgroup "/sys/fs/cgroup/${name#name=}"
  done
  # The kubelet insists on these three; stand-in files spare the machine the change.
  local setting
  for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    echo "${setting#*=}" >"/run/${setting//\//.}"
    mount --bind "/run/${setting//\//.}" "/proc/sys/${setting%=*}"
  done
  hostname node
  ip link set lo up
  ip link add node0 type bridge # no port: the default route leads nowhere
  ip addr add "$NODE_IP/24" dev node0
  ip link set node0 up
  ip route add default dev node0
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

link_layers() { # the store is read only, so links do; containerd's databases are copied
  local content=io.containerd.content.v1.content/blobs/sha256 database snapshots=io.containerd.snapshotter.v1.overlayfs
  mkdir -p /var/lib/containerd/{$content,$snapshots/snapshots,io.containerd.metadata.v1.bolt}
  ln -s "$STORE/root/$content"/* /var/lib/containerd/$content/
  ln -s "$STORE/root/$snapshots/snapshots"/* /var/lib/containerd/$snapshots/snapshots/
  for database in $snapshots/metadata.db io.containerd.metadata.v1.bolt/meta.db; do
    cp "$STORE/root/$database" /var/lib/containerd/$database
  done
}

import_images() {
  local images=app
  [[ ${STORE##*/} != runner_* ]] || images+=" runner"
  # shellcheck disable=SC2086 # two words
  "$here/image.sh" --top $images | ctr --namespace k8s.io images import -
}

start() { # NAME COMMAND...
  "${@:2}" >"$log/$1" 2>&1 &
  names[$!]=$1
}

ended() { # PID: a part that is no longer there
  echo "the node ends, because ${names[$1]} ended; the end of $log/${names[$1]}:"
  tail -n 3 "$log/${names[$1]}"
  exit 1
}

all_there() {
  local pid
  for pid in "${!names[@]}"; do kill -0 "$pid" 2>/dev/null || ended "$pid"; done
}

await() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  until "${@:2}" >/dev/null 2>&1; do
    all_there
    ((SECONDS < deadline)) || { echo "gave up on: ${*:2}"; exit 1; }
    sleep 0.1
  done
}

control_plane() {
  local etcd=http://127.0.0.1:2379
  start etcd etcd --data-dir /var/lib/etcd --unsafe-no-fsync --listen-client-urls $etcd --advertise-client-urls $etcd \
    --listen-peer-urls http://127.0.0.1:2380 --log-level warn
  start containerd containerd --config "$conf/containerd.toml"
  start kube-apiserver kube-apiserver --etcd-servers=$etcd --advertise-address=$NODE_IP \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --kubelet-preferred-address-types=InternalIP `# the name "node" can be looked up nowhere` \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.key" \
    --service-account-signing-key-file="$pki/sa.key" --service-cluster-ip-range=$SERVICE_CIDR \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true
  await 30 ctr version
  import_images >"$log/images" 2>&1 &
  importing=$!
  await 120 curl -sf --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" https://127.0.0.1:6443/readyz
  start kube-controller-manager kube-controller-manager --kubeconfig="$conf/kube-controller-manager.kubeconfig" \
    --authentication-kubeconfig="$conf/kube-controller-manager.kubeconfig" \
    --authorization-kubeconfig="$conf/kube-controller-manager.kubeconfig" --use-service-account-credentials \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --leader-elect=false
  start kube-scheduler kube-scheduler --kubeconfig="$conf/kube-scheduler.kubeconfig" \
    --authentication-kubeconfig="$conf/kube-scheduler.kubeconfig" \
    --authorization-kubeconfig="$conf/kube-scheduler.kubeconfig" --leader-elect=false
  start kubelet kubelet --config="$conf/kubelet.yaml" --kubeconfig="$conf/kubelet.kubeconfig" \
    --hostname-override=node --node-ip=$NODE_IP
  start kube-proxy kube-proxy --kubeconfig="$conf/kube-proxy.kubeconfig" --hostname-override=node \
    --proxy-mode="$PROXY_MODE" --cluster-cidr=$POD_CIDR --conntrack-max-per-core=0 --conntrack-min=0 \
    --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 `# else it writes sysctls it may not`
}

router() {
  export KUBECONFIG=$STATE/kubeconfig
  kubectl apply --server-side -f "$CRDS/gateway-api.yaml"
  kubectl wait --for=condition=Established crd --all --timeout=30s >/dev/null
  await 30 kubectl apply --server-side -f "$here/objects.yaml"
  start traefik env KUBECONFIG="$conf/router.kubeconfig" "$TRAEFIK/traefik" --configfile="$conf/traefik.yaml"
}

metrics() {
  start prometheus prometheus --config.file="$conf/prometheus.yaml" --web.listen-address=$NODE_IP:9090 \
    --storage.tsdb.path="$STATE/var/lib/prometheus" --log.level=warn
  start targets env KUBECONFIG="$conf/prometheus.kubeconfig" "$PYTHON" "$here/targets.py" "$conf/targets.json"
}

everything_ready() {
  wait $importing || { echo "the images were not imported:"; tail -n 3 "$log/images"; exit 1; }
  await 60 kubectl wait --for=condition=Ready node/node --timeout=1s
  await 30 kubectl get serviceaccount default --namespace rolloutlab-drills
  await 30 curl -s $NODE_IP:8000 # 404: there is no route yet
}

declare -A names
mkdir -p "$pki" "$conf" "$log"
write_configuration
make_room
link_layers
write_identities
control_plane
router
[[ -z $PROMETHEUS ]] || metrics
everything_ready
all_there
touch "$STATE/ready"
wait -n -p part "${!names[@]}" || true
ended "$part"
