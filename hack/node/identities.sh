# Certificates and kubeconfigs of everybody who talks to the API server; sourced by inside.sh.
# shellcheck shell=bash

ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

certificate() { # NAME SUBJECT [SAN]
  openssl req -new "${ec[@]}" -keyout "$pki/$1.key" -subj "$2" 2>/dev/null |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 \
      -extfile <(echo "subjectAltName=${3:-DNS:$1}") -out "$pki/$1.crt" 2>/dev/null
}

kubeconfig() { # NAME FILE: a client that shows NAME's certificate; whole in one file, which can be copied elsewhere
  (umask 077 && cat >"$2") <<YAML
apiVersion: v1
kind: Config
clusters:
- name: rolloutlab-native
  cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: $(base64 -w 0 "$pki/ca.crt")}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w 0 "$pki/$1.crt"), client-key-data: $(base64 -w 0 "$pki/$1.key")}
contexts:
- name: rolloutlab-native
  context: {cluster: rolloutlab-native, user: $1}
current-context: rolloutlab-native
YAML
}

write_identities() {
  local name
  openssl req -x509 "${ec[@]}" -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj /CN=rolloutlab-native-ca -days 30 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out "$pki/sa.key"
  certificate apiserver /CN=kube-apiserver \
    "IP:$NODE_IP,IP:127.0.0.1,IP:${SERVICE_CIDR%.*}.1,DNS:localhost,DNS:kubernetes.default.svc"
  certificate admin /O=system:masters/CN=admin
  certificate kubelet /O=system:nodes/CN=system:node:node
  for name in kube-controller-manager kube-scheduler kube-proxy; do certificate $name "/CN=system:$name"; done
  certificate router /CN=rolloutlab:router # what it may do stands in objects.yaml
  certificate prometheus /CN=rolloutlab:prometheus
  for name in kubelet kube-controller-manager kube-scheduler kube-proxy router prometheus; do
    kubeconfig $name "$conf/$name.kubeconfig"
  done
  kubeconfig admin "$STATE/kubeconfig"
}
