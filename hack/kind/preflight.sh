#!/bin/bash
# preflight.sh: is everything here that a kind cluster needs? Says all that is missing at once; exit 3.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$(readlink -f "$0")")/lib.sh"

declare -A source_of=(
  [docker]=https://docs.docker.com/engine/install
  [kind]=https://kind.sigs.k8s.io/docs/user/quick-start
  [kubectl]=https://kubernetes.io/docs/tasks/tools
  [helm]=https://helm.sh/docs/intro/install
)
problems=()
for tool in docker kind kubectl helm; do
  command -v "$tool" >/dev/null || problems+=("$tool is not installed: ${source_of[$tool]}")
done
if command -v docker >/dev/null && ! timeout 20 docker info >/dev/null 2>&1; then
  problems+=("docker is installed, and its daemon does not answer: start it, or join its group (docker info says why)")
fi

((${#problems[@]})) || exit 0
say "a kind cluster cannot be made here:"
printf '  - %s\n' "${problems[@]}" >&2
say "on Linux without Docker, root can bring up a node of its own instead: make cluster-up"
exit "$REFUSED"
