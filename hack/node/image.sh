#!/bin/bash
# image.sh {pause|app|runner}...: write these images as one OCI tar on stdout; what they lack is built first.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
arguments=()
for image in "$@"; do
  case $image in
    pause) layers=(base) ;;
    app) layers=(base wheels source) ;;
    runner) layers=(base wheels source runner_wheels runner_source) ;;
    *) say "unknown image '$image'; known: pause, app, runner"; exit 2 ;;
  esac
  folders=$("$here/build.sh" "${layers[@]}")
  mapfile -t folders <<<"$folders"
  arguments+=(-- "rolloutlab.local/$image:1" "$here/images/$image.json" "${folders[@]/%//layer.tar}")
done
exec "${PYTHON:-python3}" "$here/image.py" "${arguments[@]}"
