# shellcheck shell=bash
# The scenarios. Each is a function scenario_NAME that builds on the leader of the cluster, adds what it needs, and
# leaves only the leader behind. NAME's dashes are underscores.
# shellcheck disable=SC2153  # the variables in capitals are tests/stack/lib.sh's and tests/cluster/run's

BARMAN_METHOD="replica has been created using barman"
METHOD_FAILED="Error creating replica using method barman"
OUR_START="INFO: Restoring backup"

# ---- A cluster from the backup ----------------------------------------------------------------------------------

# A new cluster is bootstrapped from the backup, and its leader has all data.
scenario_bootstrap() {
    need_leader
    must_say "$LEADER" 'Running custom bootstrap script'
    must_say "$LEADER" 'Recovery operation finished successfully'
    (($(restores "$(data "$LEADER")") == 1)) || die "not one restore of the leader"
    cmp "$STACK/source.sums" "$STACK/bootstrapped.sums" || die "the leader's data differ from the source's"
    note "leader has $(wc -l <"$STACK/bootstrapped.sums") tables as the source, on timeline $(timeline)"
    (($(timeline) == 2)) || die "the new cluster goes on with the timeline of the old one"
}

timeline() { sql "$(node_conninfo "$LEADER")" "SELECT timeline_id FROM pg_control_checkpoint()"; }

# A replica is created by our method and streams.
scenario_replica() {
    need_leader
    bandwidth 0
    make_node replica
    start_node replica
    must_stream replica
    must_say replica "$BARMAN_METHOD"
    (($(operations "$(data replica)") == 1)) || die "not one operation"
    drop_node replica
}

# The node streams, has the leader's data, and no other method came into play; two restores were never at one time:
# must_stream NAME [any], the latter where another method may have done it
must_stream() {
    wait_until 300 "$1 to stream, see $(node_log "$1")" is_streaming "$1"
    has_all_data "$1"
    if [[ ${2-} != any ]]; then must_not_say "$1" 'using basebackup|fetching backup'; fi
    never_two
    note "$1: $(operations "$(data "$1")") operations, $(restores "$(data "$1")") restores, streams"
}

# ---- Many at once -----------------------------------------------------------------------------------------------

# Eight nodes ask in one second, each for its own directory: all get their operation, and none fails.
scenario_eight() {
    local i collisions
    bandwidth 0
    eight_at_once eight "$PROGRAM" --api-url "$API_URL" recover --barman-server=pg "--ssh-command=$SSH_COMMAND" \
        --scope=eight --role=replica --datadir=
    for i in {1..8}; do
        (($(operations "$(data "eight/$i")") == 1)) || die "node $i: not one operation"
        (($(restores "$(data "eight/$i")") == 1)) || die "node $i: not one restore"
        must_not_say "$STACK/log/eight-$i.log" 'ERROR'
    done
    never_two
    collisions=$(cat "$STACK"/log/eight-*.log | grep -c 'busy with other nodes') || true
    note "eight nodes restored in $TOOK s, $collisions collisions"
    as_pg rm -rf "$STACK/data/eight"
}

# What they are compared with: eight restores that are started by hand.
scenario_eight_by_hand() {
    bandwidth 0
    eight_at_once hand barman recover --remote-ssh-command "$SSH_COMMAND" pg latest ""
    note "eight restores by hand took $TOOK s"
    as_pg rm -rf "$STACK/data/hand"
}

# Runs a command eight times at once, each time with another directory below data/NAME joined to its last word, and
# sets TOOK. None may fail, and the data have to be there: eight_at_once NAME COMMAND...
eight_at_once() {
    local i name=$1 command=("${@:2}") last=${*: -1} pids=() started
    unset 'command[-1]'
    as_pg mkdir "$STACK/data/$name"
    started=$(now)
    for i in {1..8}; do
        spawn TERM "$STACK/log/$name-$i.log" "${command[@]}" "$last$(data "$name/$i")"
        pids+=("$SPAWNED")
    done
    for i in {1..8}; do
        wait "${pids[i - 1]}" || die "$name $i: exit code $?: $(tail -n 3 "$STACK/log/$name-$i.log")"
    done
    TOOK=$(since "$started")
    for i in {1..8}; do
        [[ -s $(data "$name/$i")/global/pg_control ]] || die "$name $i: no data"
    done
}

# The same under Patroni, which has no other method: it calls the program until each node is made from the backup.
scenario_eight_patroni() {
    local i nodes=(many{1..8}) started took
    need_leader
    bandwidth 0
    for i in "${nodes[@]}"; do make_node "$i" '/^    - basebackup$/d'; done
    started=$(now)
    for i in "${nodes[@]}"; do start_node "$i"; done
    for i in "${nodes[@]}"; do
        wait_until 300 "$i to stream, see $(node_log "$i")" is_streaming "$i"
    done
    took=$(since "$started")
    note "eight nodes stream after $took s: $(made "$started" "${nodes[@]}")"
    for i in "${nodes[@]}"; do must_stream "$i"; done
    for i in "${nodes[@]}"; do
        (($(operations "$(data "$i")") == 1)) || die "$i: not one operation"
        must_not_say "$i" "$METHOD_FAILED"
    done
    for i in "${nodes[@]}"; do drop_node "$i"; done
}

# Says how these nodes were made, in times since then: made START NAME...
made() {
    local start=$1 name log accepted=0 begun=0 calls=0 failed=0 successes barman=0 ended
    shift
    for name; do
        log=$(node_log "$name")
        accepted=$((accepted + $(operations "$(data "$name")")))
        begun=$((begun + $(restores "$(data "$name")")))
        successes=$(grep -c "$BARMAN_METHOD" "$log" || true)
        failed=$((failed + $(grep -c "$METHOD_FAILED" "$log" || true)))
        calls=$((calls + successes))
        barman=$((barman + (successes > 0)))
    done
    ended=$(awk '$1 == "end" { at = $4 } END { print at }' "$JOURNAL")
    echo "$((calls + failed)) calls, $failed failed; $accepted creates accepted, the last after" \
        "$(seconds "$start" "$(last_create)") s; $begun restores, the last ended after $(seconds "$start" "$ended") s;" \
        "$barman nodes from the backup, $(($# - barman)) by other means"
}

# Prints when the API noted the last create, in seconds since the epoch.
last_create() { stat --format %.Y "$STACK"/barman/pg/jobs/*.json | sort -n | tail -n 1; }

# ---- Stopped in the middle of a restore -------------------------------------------------------------------------

# Starts a node and waits until its restore is in full swing: restoring_node NAME [SED-EXPRESSION]
restoring_node() {
    need_leader
    bandwidth "$SLOW"
    make_node "$@"
    start_node "$1"
    wait_until 120 "the restore of $1" in_the_middle "$(data "$1")"
    bandwidth 0
}

# The node streams at most so many seconds later than the restore that counts took, the last one: streams_in_time NAME
# START SECONDS
streams_in_time() {
    local late
    wait_until 300 "$1 to stream, see $(node_log "$1")" is_streaming "$1"
    late=$(awk -v dir="$(data "$1")" -v start="$2" -v now="$(now)" '$3 == dir { at[$1] = $4 }
        END { printf "%.1f\n", now - start - (at["end"] - at["begin"]) }' "$JOURNAL")
    at_most "$late" "$3" "later than the restore took"
    must_stream "$1"
    note "streams $late s later than the restore took, of $3 s at most"
}

now() { date +%s.%N; }

# Prints the seconds since then: since START
since() { seconds "$1" "$(now)"; }

# Prints the seconds between two times: seconds FROM TO
seconds() { awk -v from="$1" -v to="$2" 'BEGIN { printf "%.1f\n", to - from }'; }

still_restoring() { restore_runs "$(data "$1")" || die "the restore was over too early for this scenario"; }

# Patroni is stopped with SIGTERM, which it passes on to us, and is started again: the restore has ended by then, and the
# next one begins at once.
scenario_sigterm() {
    local started
    restoring_node term
    end_patroni term TERM
    must_say term 'cancelled'
    must_have_ended term
    started=$(now)
    start_node term
    streams_in_time term "$started" 20
    (($(restores "$(data term)") == 2)) || die "not two restores"
    drop_node term
}

# Barman is told on its host, and ends a moment later.
must_have_ended() { wait_until 5 "the end of the restore of $1" no_restore "$(data "$1")"; }

# The same before the first file has come.
scenario_sigterm_early() {
    local started
    need_leader
    bandwidth "$SLOW"
    make_node early
    start_node early
    wait_until 120 "the restore of early" restore_runs "$(data early)"
    end_patroni early TERM
    must_have_ended early
    bandwidth 0
    started=$(now)
    start_node early
    streams_in_time early "$started" 20
    drop_node early
}

# Only the hook is killed: for Patroni it has failed, and pg_basebackup has the directory for itself at once.
scenario_hook_kill() {
    local killed all copy
    restoring_node hook
    killed=$(now)
    kill -KILL "$(hook_of hook)"
    must_have_ended hook
    wait_until 300 "hook to stream, see $(node_log hook)" is_streaming hook
    all=$(since "$killed")
    must_stream hook any
    must_say hook 'replica has been created using basebackup'
    copy=$(seconds_between hook "$METHOD_FAILED" 'created using basebackup')
    note "the operation ended $(seconds "$killed" "$(restore_end "$(data hook)")") s after the kill; hook streams" \
        "$(seconds "$copy" "$all") s later than pg_basebackup took, which is $copy s"
    drop_node hook
}

# Prints the pid of the program that a node's Patroni has called: hook_of NAME
hook_of() {
    local pid
    for pid in $(descendants "${NODE_PID[$1]}"); do
        if tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -F -- "--datadir=$(data "$1")"; then echo "$pid" && return; fi
    done
    die "$1 has called nothing"
}

# Patroni alone is killed; patroni_barman goes on. Patroni then finds a data directory that is not empty, and does not
# call us: it starts PostgreSQL as soon as there is a pg_control.
scenario_sigkill() {
    restoring_node kill
    end_patroni kill KILL
    still_restoring kill
    start_node kill
    must_stream kill
    wait_until 120 "the end of the restore" no_restore "$(data kill)"
    (($(restores "$(data kill)") == 1)) || die "not one restore"
    note "PostgreSQL was started $(awk -v end="$(restore_end "$(data kill)")" \
        -v start="$(log_time kill 'postmaster pid=')" 'BEGIN { printf "%.1f", end - start }') s before Barman was done"
    is_streaming kill || die "kill does not stream any more"
    drop_node kill
}

# With settle before Patroni it does not: settle waits for the run that lives on.
scenario_sigkill_wait() {
    restoring_node wait
    end_patroni wait KILL
    still_restoring wait
    start_node wait "$PROGRAM" settle --datadir "$(data wait)"
    must_stream wait
    (($(restores "$(data wait)") == 1)) || die "not one restore"
    at_most "$(restore_end "$(data wait)")" "$(log_time wait 'postmaster pid=')" "PostgreSQL started before Barman was done"
    drop_node wait
}

# All that Patroni has started is killed with it, as systemd and containers do. The restore ends with it, settle moves aside
# what is left, and Patroni calls us again.
scenario_sigkill_all() {
    restoring_node all
    signal_session KILL "${NODE_PID[all]}"
    wait "${NODE_PID[all]}" 2>/dev/null || true
    must_have_ended all
    start_node all "$PROGRAM" settle --datadir "$(data all)"
    must_stream all
    (($(restores "$(data all)") == 2)) || die "not two restores"
    compgen -G "$(data all).failed-*" >/dev/null || die "the remains were not moved aside"
    drop_node all
}

# An operator has the node made anew: Patroni ends us, empties the directory and calls us again. When its next cycle
# comes within a second, it takes that call for the one that it has ended, and kills it after ten seconds; pg_basebackup is
# its next method then.
scenario_reinit() {
    local started kills
    restoring_node reinit
    started=$(now)
    patronictl reinit reinit "$SCOPE" reinit --force >"$STACK/log/reinit.ctl" 2>&1 || die "$(cat "$STACK/log/reinit.ctl")"
    must_say "$STACK/log/reinit.ctl" '^Success: reinitialize'
    must_say reinit 'Cancelling long running task'
    must_stream reinit any
    kills=$(grep -c 'WARNING: Killed' "$(node_log reinit)" || true)
    note "streams after $(since "$started") s; Patroni killed us by mistake: $kills"
    drop_node reinit
}

# ---- An API in trouble ------------------------------------------------------------------------------------------

# The API stops for a while in the middle of a restore: the operation goes on, and nobody starts a second one.
scenario_outage() {
    restoring_node outage
    stop_api
    sleep "$OUTAGE"
    start_api "$STANDIN"
    must_stream outage
    (($(operations "$(data outage)") == 1)) || die "not one operation"
    must_say outage "$BARMAN_METHOD"
    drop_node outage
}

# The backup does not exist: Patroni knows at once, and its log says why.
scenario_wrong_backup() {
    local took
    need_leader
    make_node wrong "s|^    backup-id: .*|    backup-id: 20010101T010101|"
    start_node wrong
    wait_until 120 "wrong to stream" is_streaming wrong
    must_say wrong "404.*Backup '20010101T010101' does not exist"
    must_say wrong 'replica has been created using basebackup'
    took=$(seconds_between wrong "$OUR_START" "$METHOD_FAILED")
    at_most "$took" 5 "a wrong backup"
    (($(operations "$(data wrong)") == 0)) || die "an operation was created"
    note "next method after $took s: $(grep -m 1 ' ERROR: ' "$(node_log wrong)" | cut -c 1-200)"
    drop_node wrong
}

# An API that accepts and stays silent: the program gives up within two minutes.
scenario_silent() {
    local status=0 started=$SECONDS
    start_silence
    attend "$PROGRAM" --api-url "http://127.0.0.1:$SILENT_PORT" recover --barman-server=pg --ssh-command=ssh \
        --request-timeout=1 --retry-wait=1 "--datadir=$(data silent)" >"$STACK/log/silent.out" 2>&1 || status=$?
    ((status == 254)) || die "exit code $status: $(tail -n 3 "$STACK/log/silent.out")"
    note "exit code 254 after $((SECONDS - started)) s: $(grep -m 1 ' ERROR: ' "$STACK/log/silent.out" | cut -c 1-200)"
}

# The same with the default limits, under Patroni.
scenario_silent_patroni() {
    local took
    need_leader
    start_silence
    make_node mute "s|$API_URL|http://127.0.0.1:$SILENT_PORT|"
    start_node mute
    wait_until 200 "mute to stream" is_streaming mute
    must_say mute 'replica has been created using basebackup'
    took=$(seconds_between mute "$OUR_START" "$METHOD_FAILED")
    at_most "$took" 120 "a silent API"
    note "next method after $took s: $(grep -m 1 ' ERROR: ' "$(node_log mute)" | cut -c 1-200)"
    drop_node mute
}

# Listens, and the kernel accepts; nobody answers.
start_silence() {
    SILENT_PORT=$(free_port)
    spawn TERM "$STACK/log/silence.log" "$(find_python)" -c \
        "import signal, socket; s = socket.create_server(('127.0.0.1', $SILENT_PORT)); signal.pause()"
    wait_until 30 "the silent API" listens "$SILENT_PORT"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- A Barman host in trouble -----------------------------------------------------------------------------------

# The operation is killed on the Barman host, and is in progress for ever: the deadline lets the node go on.
scenario_dead_host() {
    dead_host
    drop_node dead
}

# The same, and later the node is made anew: that operation holds nobody up, although the API still has it in progress.
scenario_dead_host_reinit() {
    dead_host
    patronictl dead reinit "$SCOPE" dead --force >"$STACK/log/dead.ctl" 2>&1 || die "$(cat "$STACK/log/dead.ctl")"
    wait_until 120 "the next call" says dead "$BARMAN_METHOD"
    must_stream dead any
    drop_node dead
}

dead_host() {
    local pid
    need_leader
    bandwidth "$SLOW"
    make_node dead "$(option deadline "$DEADLINE")"
    start_node dead
    wait_until 120 "the restore of dead" in_the_middle "$(data dead)"
    bandwidth 0
    pid=$(running_restores "$(data dead)")
    kill_operation "$pid"
    wait_until 180 "dead to stream" is_streaming dead
    echo "end $pid $(data dead) 0 killed" >>"$JOURNAL"
    never_two
    must_say dead 'replica has been created using basebackup'
    has_all_data dead
    note "next method after $(seconds_between dead "$OUR_START" "$METHOD_FAILED") s"
}
