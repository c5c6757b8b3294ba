# Where things are, and a few words for all scripts of this folder, which source it.
# shellcheck shell=bash
shopt -s inherit_errexit # a command that fails inside $(…) counts

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
project=${here%/hack/node}
home=~ # also where HOME is not set
STATE=$(realpath --canonicalize-missing "${ROLLOUTLAB_NODE:-${XDG_STATE_HOME:-$home/.local/state}/rolloutlab/node}")
CACHE=$(realpath --canonicalize-missing "${XDG_CACHE_HOME:-$home/.cache}/rolloutlab/node")

# netfilterqueue is built for the Python that drills run with.
PYTHON=python3
[[ ! -x $project/.venv/bin/python ]] || PYTHON=$project/.venv/bin/python

# The node's own network is the same in every node: nothing outside can see it.
NODE_IP=10.80.0.1 POD_CIDR=10.244.0.0/24 SERVICE_CIDR=10.96.0.0/16

CHECKED_BY_PREFLIGHT=3 LEFT_BEHIND=4 # exit codes, those of rolloutlab

say() { echo "node: $*" >&2; }

# down.sh removes the whole folder, so it must be a node's: up.sh marks those that it makes.
MARK=$STATE/.rolloutlab-node
check_folder() {
  [[ ! -e $STATE || -e $MARK ]] || [[ -d $STATE && -z $(ls -A "$STATE") ]] || {
    say "$STATE is there and is not the folder of a node; name another one with ROLLOUTLAB_NODE"
    exit 2
  }
}

# The first process of the node, seen from here; fails when the node is not up. The state folder stands in the command
# line of both, so that a process that took over the number of a dead one is not mistaken for it.
first_process() {
  local outer first
  outer=$(cat "$STATE/pid" 2>/dev/null) || return 1
  first=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null) || return 1
  first=${first%% *}
  [[ -n $first ]] && is_ours "$first" && echo "$first"
}

is_ours() { # PID
  [[ $(tr "\0" "\n" 2>/dev/null <"/proc/$1/cmdline" | tail -n 1) == "$STATE" ]]
}
