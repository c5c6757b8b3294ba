#!/bin/bash
# down.sh: end the node that up.sh started and leave nothing of it. Exit 4 when something stays.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/lib.sh"
check_folder
[[ -d $STATE ]] || exit 0
left=0

network=
if first=$(first_process); then network=$(readlink "/proc/$first/ns/net"); fi
if outer=$(cat "$STATE/pid" 2>/dev/null) && is_ours "$outer"; then
  kill -KILL "$outer" # its child, the first process of the PID namespace, dies with it, and so all
fi
for dir in $(cat "$STATE/cgroups" 2>/dev/null); do
  for _ in {1..100}; do # a cgroup can go once its last process has
    [[ ! -d $dir ]] || find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [[ -d $dir ]] || break
    sleep 0.1
  done
  [[ ! -d $dir ]] || { say "left: $dir"; left=$LEFT_BEHIND; }
done
# Commands of run.sh are not the node's, and would keep its network alive.
if [[ -n $network ]]; then
  inode=${network//[!0-9]/}
  while read -r process; do
    say "still in the node's network, end it: $(tr '\0' ' ' 2>/dev/null <"$process/cmdline")(process ${process#/proc/})"
    left=$LEFT_BEHIND
  done < <(find /proc/[0-9]*/ns/net -maxdepth 0 -lname "net:?$inode?" -printf '%H\n' 2>/dev/null | sed 's#/ns/net$##')
fi
rm -rf --one-file-system "$STATE"
exit $left
