module rolloutlab/hack/node/crds

go 1.24.0

require sigs.k8s.io/gateway-api v1.6.1
