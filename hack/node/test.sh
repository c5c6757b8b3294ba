#!/bin/bash
# test.sh [PYTEST ARGUMENTS]: run tests of the cluster in a node that is up, or in one that lives for them only.
#
# Exit 3, with the reasons, where no node can run; else pytest's.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
"$here/preflight.sh" --before-packages || exit 3
"$here/packages.sh"
if [[ -e $STATE/ready ]] && first_process >/dev/null; then
  say "the node in $STATE is up and stays"
else
  trap '"$here/down.sh"' EXIT
fi
"$here/up.sh" --with-prometheus --with-runner
"$project/.venv/bin/python" -m pytest "$@"
