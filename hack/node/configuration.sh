# The configuration files of the node's parts; sourced by inside.sh.
# shellcheck shell=bash

write_configuration() {
  : >"$conf/resolv.conf" # no name servers: nothing in here resolves outside names
  write_network
  write_containerd
  write_kubelet
  write_traefik
  write_prometheus
}

write_network() {
  mkdir -p "$conf/cni"
  cat >"$conf/cni/10-rolloutlab.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "rolloutlab", "plugins": [
  {"type": "ptp", "mtu": 1500, "ipMasq": false, "ipam": {
    "type": "host-local", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

write_containerd() {
  cat >"$conf/containerd.toml" <<TOML
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "rolloutlab.local/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true # the machine may not let us go below our own score
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$conf/cni"
TOML
}

write_kubelet() {
  cat >"$conf/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$pki/ca.crt"}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
resolvConf: "$conf/resolv.conf"
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
maxPods: 110
YAML
}

write_traefik() { # addresses of the node, so that nothing listens where a pod could be mistaken for it
  cat >"$conf/traefik.yaml" <<YAML
global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints:
  web: {address: "$NODE_IP:8000"}
  metrics: {address: "$NODE_IP:8082"}
providers:
  providersThrottleDuration: 50ms # by default a second change of weights would wait for 2 s
  kubernetesGateway: {statusAddress: {ip: "$NODE_IP"}}
metrics:
  prometheus:
    entryPoint: metrics
    addServicesLabels: true
    addRoutersLabels: true
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] # as the application under test
log: {level: INFO}
YAML
}

write_prometheus() {
  echo "[]" >"$conf/targets.json"
  cat >"$conf/prometheus.yaml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs:
- job_name: pods
  honor_labels: true # the application says itself which pod, namespace and revision it is
  file_sd_configs: [{files: ["$conf/targets.json"], refresh_interval: 1s}]
- job_name: router
  static_configs: [{targets: ["$NODE_IP:8082"]}]
YAML
}
