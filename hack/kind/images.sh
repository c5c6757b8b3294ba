#!/bin/bash
# images.sh: build the images of the application, of the runner and of the pause, and load them into the cluster.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$(readlink -f "$0")")/lib.sh"

for target in app runner pause; do
  say "building rolloutlab.local/$target:1"
  docker build --quiet --file "$here/Dockerfile" --target "$target" --tag "rolloutlab.local/$target:1" "$project" >/dev/null
done
kind load docker-image --name "$CLUSTER" "$APP_IMAGE" "$RUNNER_IMAGE" "$PAUSE_IMAGE"
