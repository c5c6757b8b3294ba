#!/bin/bash
# image.sh [--stable|--top] {pause|app|runner}...: write these images as one OCI tar on stdout; what they lack is built
# first. `kind load image-archive` takes such a tar, too.
#
# --stable writes what seldom changes: the images without the project's own source, under the name layers:IMAGE.
# --top writes whole images, but leaves out the layers that --stable writes: for a containerd that has those.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
mode=
case ${1:-} in --stable | --top) mode=$1 && shift ;; esac
arguments=()
for image in "$@"; do
  case $image in
    pause) stable=(base) top=() ;;
    app) stable=(base wheels) top=(source) ;;
    runner) stable=(base wheels runner_wheels) top=(runner_source) ;;
    *) say "unknown image '$image'; known: pause, app, runner"; exit 2 ;;
  esac
  name=$image:1
  [[ $mode != --stable ]] || { name=layers:$image image=layers top=(); }
  folders=$("$here/build.sh" "${stable[@]}" "${top[@]}")
  mapfile -t folders <<<"$folders"
  layers=("${folders[@]/%//layer.tar}")
  [[ $mode != --top ]] || for ((i = 0; i < ${#stable[@]}; i++)); do layers[i]+=.sha256; done # a digest, and no layer
  arguments+=(-- "rolloutlab.local/$name" "$here/images/$image.json" "${layers[@]}")
done
exec "$PYTHON" "$here/image.py" "${arguments[@]}"
