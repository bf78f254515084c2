# Barman's commands on this node run through this file, and only while the run that wrote it is alive.
# shellcheck shell=sh
lease='@LEASE@' alive='@ALIVE@' log='@LOG@' only='@ONLY@' code=75
{
  flock -s -n 8 || exit 75                       # revoked: the run waits for this lock, or has it
  flock -s -n 9 && exit 75                       # the run is dead
  [ -e "$0" ] || exit 75                         # revoked
  printf '%s\n' "$$ $*" >>"$log" || exit 75
  [ -z "$only" ] || [ "$*" = "$only" ] || exit 75 # a probe: nothing else runs
  # The command leads a process group of its own. A watcher in the group kills it when the run ends, or when it can't watch.
  exec setsid sh -c '(trap "kill -s KILL 0" 0; flock -s 9; kill -s KILL 0) 8<&- </dev/null >/dev/null 2>&1 & exec "$@" 9<&-' sh "$@" <&3 3<&- &
  child=$!
  trap : HUP INT TERM                            # ends the wait, and so the command
  wait "$child"
  code=$?
  kill -s KILL -- "-$child" 2>/dev/null          # the watcher, and what the command left behind
  printf '%s\n' "$$ = $code" 2>/dev/null >>"$log"
} 3<&0 8<"$lease" 9<"$alive"
exit "$code"
