#!/bin/bash
# test.sh: drills in the kind cluster: each strategy, faults of Chaos Mesh, one by a Job; and then nothing is left.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$(readlink -f "$0")")/lib.sh"
"$here/preflight.sh"
cluster_exists || { say "there is no cluster $CLUSTER: make kind-up"; exit "$REFUSED"; }
rolloutlab=$project/.venv/bin/rolloutlab
reached=(--world cluster --kubeconfig "$KUBECONFIG" --namespace "$NAMESPACE")
through=(--gateway rolloutlab-system/rolloutlab --address 127.0.0.1:30080)
failed=()
drill() { # WHAT OPTION...
  say "drill: $1"
  "$rolloutlab" drill chaos-half "${@:2}" "${reached[@]}" "${through[@]}" || failed+=("$1 (exit $?)")
}

"$rolloutlab" doctor "${reached[@]}" "${through[@]}"
for strategy in rolling blue-green canary; do drill "$strategy" --strategy "$strategy"; done
# Faults of Chaos Mesh that a good release outlives. One that does not bite makes its drill inconclusive: exit 5.
for fault in pod_kill:on=stable,replicas=1,from=8s packet_delay:latency=20ms,from=5s cpu_stress:workers=1,from=5s; do
  drill "${fault%%:*}" --strategy canary --variant none --engine chaos-mesh --fault "$fault"
done

say "a scheduled drill, as a Job"
# From inside the cluster the gateway is reached by its Service.
inside=$(kubectl get service traefik --namespace rolloutlab-system --output 'jsonpath={.spec.clusterIP}')
"$rolloutlab" schedule chaos-half --strategy canary --cron '0 10 * * 2' --name kind-test --namespace "$NAMESPACE" \
  --gateway rolloutlab-system/rolloutlab --address "$inside:80" | kubectl apply --filename -
kubectl create job --namespace "$NAMESPACE" --from cronjob/kind-test-drill kind-test-now
ended='jsonpath={.status.conditions[?(@.status=="True")].type}'
until [[ $(kubectl get job --namespace "$NAMESPACE" kind-test-now --output "$ended") =~ Complete|Failed ]]; do sleep 2; done
kubectl logs --namespace "$NAMESPACE" job/kind-test-now | tail -n 1
[[ ${BASH_REMATCH[0]} == Complete ]] || failed+=("the scheduled drill")
kubectl delete --namespace "$NAMESPACE" --selector rolloutlab/schedule=kind-test \
  cronjob,job,configmap,rolebinding,role,serviceaccount
"$rolloutlab" sweep "${reached[@]}" || failed+=("sweep")

((${#failed[@]} == 0)) || { say "failed: ${failed[*]}"; exit 1; }
say "passed"
