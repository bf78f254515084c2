# shellcheck shell=bash
# What the scenarios are made of: Patroni nodes that run the YAML of examples/patroni, a Barman that keeps a journal of
# its restores and can be slowed down, and what has to hold of both. On top of tests/stack/lib.sh.
# shellcheck disable=SC2153  # the variables in capitals are tests/stack/lib.sh's and tests/cluster/run's

PATRONI_VENV=$STACK_REPO/target/patroni-venv
PATRONI_YML=$STACK_REPO/examples/patroni/patroni.yml
declare -A NODE_PID REST_PORT PG_PORT
MOUNTED=()         # file systems in the scratch directory
declare -A BELOW   # of nodes whose data lie in a folder of their own below data/: that folder, with a slash

install_patroni() {
    have etcd || { ((EUID == 0)) && have apt-get; } ||
        die "missing on this machine; as root: apt-get install --no-install-recommends etcd-server"
    (
        flock 9
        have etcd || { echo "installing: etcd-server" && apt_install etcd-server; }
    ) 9>"$PATRONI_VENV.lock"
    install_venv "$PATRONI_VENV" 'patroni[etcd3]~=4.1' psycopg2-binary
}

# ---- Setting up and taking down ---------------------------------------------------------------------------------

step() { printf '\n==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }

build() {
    local release=$STACK_REPO/target/release
    PROGRAM=${PATRONI_BARMAN:-$release/patroni_barman}
    if [[ -n ${PATRONI_BARMAN-} && -n ${STANDIN-} ]]; then return; fi
    STANDIN=$release/standin_api
    cargo build --quiet --release --bins -p barman-recover -p barman-recover-standin
}

set_up() {
    step "PostgreSQL, sshd, Barman, the API and etcd"
    stack_open
    as_pg mkdir "$STACK/data"
    init_postgres "$STACK/source"
    start_postgres source "$STACK/source"
    as_pg pgbench --initialize --quiet --scale=2 "$(conninfo source)" 2>>"$STACK/log/pgbench.log"
    start_sshd
    start_barman_host
    make_barman pg "$(conninfo source)"
    backup pg
    as_pg pgbench --client=2 --transactions=200 "$(conninfo source)" >>"$STACK/log/pgbench.log" 2>&1
    archive_wal pg "$(conninfo source)"
    fingerprint "$(conninfo source)" >"$STACK/source.sums"
    echo "bandwidth_limit = 0" >>"$STACK/barman.conf"
    keep_journal
    start_api "$STANDIN"
    # Makes its directories; of the first requests ever, two at once can fail at that.
    http_get "$API_PORT" /servers/pg/operations >/dev/null
    start_etcd
    PROGRAM=$(reachable "$(realpath -s "$PROGRAM")")
    PATRONI_PYTHON=$(reachable_venv "$PATRONI_VENV")/bin/python
    note "$("$PATRONI_PYTHON" -m patroni --version), $(as_pg postgres --version), $API_NAME, $PROGRAM, in $STACK"
}

# Takes all down and exits: close [STATUS]
close() {
    local status=${1:-$?} volume
    trap '' INT TERM
    trap - EXIT
    stop_all
    if [[ -n ${STACK-} ]]; then
        end_all_postgres
        for volume in "${MOUNTED[@]}"; do umount --lazy "$volume"; done
        if [[ -n $KEEP ]]; then
            printf '\nKept: %s\n' "$STACK"
        else
            if ((status == 1)); then failed_logs >&2; fi
            rm -rf "$STACK"
        fi
    fi
    exit "$status"
}

# Mounts a file system in memory, where that is allowed: mount_memory DIRECTORY MEGABYTES
mount_memory() {
    ((EUID == 0)) && mount -t tmpfs -o "size=${2}m,mode=700,uid=$(id -u "$STACK_USER")" tmpfs "$1" 2>/dev/null || return
    MOUNTED+=("$1")
}

# Makes an executable script that runs a command: script NAME WORD...
script() {
    printf '#!/bin/bash\nexec %s "$@"\n' "${*:2}" | as_pg tee "$STACK/run/$1" >/dev/null
    chmod 755 "$STACK/run/$1"
}

# What a failed run leaves in place of its scratch directory.
failed_logs() {
    local log
    for log in "$STACK"/log/{restores,api.log} "${SHOWN_LOGS[@]}"; do
        if [[ -s $log ]]; then printf '\n--- %s\n' "${log##*/}" && tail -n 40 "$log"; fi
    done
    echo "HINT: --keep leaves all logs"
}

# ---- etcd -------------------------------------------------------------------------------------------------------

start_etcd() {
    local peer
    ETCD_PORT=$(free_port)
    peer=$(free_port)
    spawn TERM "$STACK/log/etcd.log" etcd --data-dir "$STACK/etcd" --name etcd \
        --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "etcd=http://127.0.0.1:$peer"
    ETCD_PID=$SPAWNED
    wait_until 60 "etcd, see $STACK/log/etcd.log" etcd_ready
}

etcd_ready() {
    is_running "$ETCD_PID" || die "etcd has ended: $(tail -n 3 "$STACK/log/etcd.log")"
    [[ $(http_get "$ETCD_PORT" /health) == *true* ]]
}

# ---- Barman's journal -------------------------------------------------------------------------------------------

# Puts a wrapper around Barman that writes down when a restore begins and ends: "begin PID DIRECTORY
# TIME", "end PID DIRECTORY TIME STATUS". What is written can't be missed, as by a look at the processes now and then.
keep_journal() {
    JOURNAL=$STACK/log/restores
    as_pg touch "$JOURNAL"
    as_pg mv "$STACK/bin/barman" "$STACK/bin/barman.real"
    as_pg tee "$STACK/bin/barman" >/dev/null <<SCRIPT
#!/bin/bash
# Around Barman: keeps a journal of the restores.
directory= restore=
for word; do
    case \$word in
        recover) restore=1 ;;
        /*) if [[ -n \$restore ]]; then directory=\$word; fi ;;
    esac
done
[[ -n \$restore ]] || exec "$STACK/bin/barman.real" "\$@"
echo "begin \$\$ \$directory \$(date +%s.%N)" >>"$JOURNAL"
# An ssh command with SendEnv hands it on to the processes on the node.
export RESTORE_PID=\$\$
"$STACK/bin/barman.real" "\$@"
status=\$?
echo "end \$\$ \$directory \$(date +%s.%N) \$status" >>"$JOURNAL"
exit \$status
SCRIPT
    chmod 755 "$STACK/bin/barman"
}

# Prints how many restores into a directory were begun: restores DIRECTORY
restores() { awk -v dir="$1" '$1 == "begin" && $3 == dir { n++ } END { print n + 0 }' "$JOURNAL"; }

# Prints the pids of the restores that have not ended: running_restores DIRECTORY
running_restores() {
    awk -v dir="$1" '$3 == dir { if ($1 == "begin") open[$2] = 1; else delete open[$2] }
        END { for (pid in open) print pid }' "$JOURNAL"
}

restore_runs() { [[ -n $(running_restores "$1") ]]; }

# No directory has ever had two restores at one time.
never_two() {
    awk '$1 == "begin" && ++open[$3] > 1 { print "two restores at one time into " $3; bad = 1 }
        $1 == "end" { open[$3]-- }
        END { exit bad }' "$JOURNAL" >&2 || die "the journal of the restores: $(tr '\n' ';' <"$JOURNAL")"
}

# Prints how many operations the API was asked for with this destination: operations DIRECTORY
operations() { { grep -l -s -F "\"$1\"" "$STACK/barman/$SERVER"/jobs/*.json || true; } | wc -l; }

# Prints when the last restore into a directory ended, in seconds since the epoch: restore_end DIRECTORY
restore_end() { awk -v dir="$1" '$1 == "end" && $3 == dir { end = $4 } END { print end }' "$JOURNAL"; }

# Limits the restores that begin from now on: bandwidth KILOBYTES-PER-SECOND, 0 for no limit
bandwidth() { sed -i "s/^bandwidth_limit = .*/bandwidth_limit = $1/" "$STACK/barman.conf"; }

# A restore into this directory is in full swing.
in_the_middle() {
    local size
    restore_runs "$1" || return
    size=$(as_pg du -s "$1" 2>/dev/null | cut -f 1) || return
    ((${size:-0} > 6000))
}

# ---- Patroni's nodes --------------------------------------------------------------------------------------------

data() { printf '%s/data/%s\n' "$STACK" "${BELOW[$1]-}$1"; }
node_log() { printf '%s/log/%s.log\n' "$STACK" "$1"; }

# Makes the configuration of a node from the example: make_node NAME [SED-EXPRESSION]
# The leader keeps the slot of a node that has gone for half an hour, so it needs more than the ten it has by default. Each
# pg_basebackup begins a new segment of WAL, so that an hour of them needs more than the example keeps since the backup.
make_node() {
    local name=$1 yml=$STACK/$1.yml
    : "${REST_PORT[$name]:=$(free_port)}" "${PG_PORT[$name]:=$(free_port)}"
    sed -e "s|^name: .*|name: $name|" \
        -e "s|^scope: .*|scope: $SCOPE|" \
        -e "s|/usr/local/bin/patroni_barman|$PROGRAM|" \
        -e "s|http://barman.example.com:7480|$API_URL|" \
        -e "s|barman-server: main|barman-server: $SERVER|" \
        -e "s|-U barman barman.example.com main|-U $STACK_USER $BARMAN_HOST $SERVER|" \
        -e "s|ssh postgres@node1.example.com|$SSH_COMMAND|" \
        -e "s|etcd.example.com:2379|127.0.0.1:$ETCD_PORT|" \
        -e "s/: .*:8008$/: 127.0.0.1:${REST_PORT[$name]}/" -e "s/: .*:5432$/: 127.0.0.1:${PG_PORT[$name]}/" \
        -e "s|/var/lib/postgresql/15/main|$(data "$name")|" \
        -e "s|/usr/lib/postgresql/15/bin|$PGBIN|" \
        -e "s|^    ttl: .*|    ttl: 20|" -e "s|^    loop_wait: .*|    loop_wait: 1|" \
        -e "s|^    retry_timeout: .*|    retry_timeout: 3|" \
        -e "s|^      parameters:|&\n        unix_socket_directories: $STACK/run\n        fsync: 'off'|" \
        -e "s|^      parameters:|&\n        max_replication_slots: 40|" \
        -e "s|^        wal_keep_size: .*|        wal_keep_size: 16GB|" \
        "$PATRONI_YML" | sed -e "${2-}" | as_pg tee "$yml" >/dev/null
    if grep -n -e 'example\.com' -e /usr/local "$yml"; then die "examples/patroni: not replaced for the test"; fi
}

# An option of patroni_barman in the section of replicas and of the bootstrap: option KEY VALUE
option() { printf 's|^    ssh-command: .*|&\\n    %s: %s|' "$1" "$2"; }

# The leader that everything else starts from, bootstrapped when it is first asked for.
need_leader() {
    if [[ -n ${NODE_PID[$LEADER]-} ]]; then return; fi
    bandwidth 0
    make_node "$LEADER"
    start_node "$LEADER"
    wait_until 180 "the leader, see $(node_log "$LEADER")" is_leader "$LEADER"
    fingerprint "$(node_conninfo "$LEADER")" >"$STACK/bootstrapped.sums"
    sql "$(node_conninfo "$LEADER")" 'CREATE TABLE mark (at timestamptz)'
}

# Starts Patroni on a node, after a command that has to succeed: start_node NAME [COMMAND...]
start_node() {
    if (($# > 1)); then as_pg "${@:2}" >>"$(node_log "$1")" 2>&1; fi
    spawn TERM "$(node_log "$1")" "$PATRONI_PYTHON" -m patroni "$STACK/$1.yml"
    NODE_PID[$1]=$SPAWNED
    if [[ " ${SHOWN_LOGS[*]} " != *" $(node_log "$1") "* ]]; then SHOWN_LOGS+=("$(node_log "$1")"); fi
}

# Sends a signal to Patroni alone and waits for its end: end_patroni NAME SIGNAL
end_patroni() {
    kill "-$2" "${NODE_PID[$1]}"
    wait "${NODE_PID[$1]}" 2>/dev/null || true   # without bash's word about it
}

patronictl() { as_pg "$PATRONI_PYTHON" "${PATRONI_PYTHON%/*}/patronictl" -c "$STACK/$1.yml" "${@:2}"; }

# Ends a node, PostgreSQL included, and removes its data: drop_node NAME
drop_node() {
    if is_running "${NODE_PID[$1]}"; then end_patroni "$1" TERM; fi
    end_postgres "$(data "$1")"
    wait_until 120 "the end of the restores of $1" no_restore "$(data "$1")"
    as_pg rm -rf "$(data "$1")" "$(data "$1").barman-recover" "$(data "$1")".failed-*
}

no_restore() { ! restore_runs "$1"; }

# Ends the PostgreSQL that a killed Patroni left: end_postgres DIRECTORY
end_postgres() {
    if [[ -e $1/postmaster.pid ]]; then as_pg pg_ctl -D "$1" -m immediate -w stop >/dev/null 2>&1 || true; fi
}

end_all_postgres() {
    local dir
    for dir in "$STACK"/data/*/ "$STACK"/data/*/*/; do end_postgres "${dir%/}"; done
}

node_conninfo() { printf 'host=127.0.0.1 port=%s user=postgres dbname=postgres password=change-me\n' "${PG_PORT[$1]}"; }

is_leader() {
    [[ $(http_get "${REST_PORT[$1]}" /patroni) == *'"state": "running"'*'"role": "primary"'* ]] &&
        # It runs as one before the other nodes can know: they would try to do without a leader first.
        [[ $(http_get "${REST_PORT[$1]}" /cluster) == *'"role": "leader"'* ]]
}

# The leader sends WAL to this node: is_streaming NAME
is_streaming() {
    [[ $(sql "$(node_conninfo "$LEADER")" \
        "SELECT state FROM pg_stat_replication WHERE application_name = '$1'" 2>/dev/null) == streaming ]]
}

# The node has all data of the leader, a row that is written now included: has_all_data NAME
has_all_data() {
    sql "$(node_conninfo "$LEADER")" 'INSERT INTO mark VALUES (now())'
    fingerprint "$(node_conninfo "$LEADER")" >"$STACK/leader.sums"
    wait_until 60 "the data of the leader on $1" has_sums "$1" leader
}

has_sums() {
    fingerprint "$(node_conninfo "$1")" >"$STACK/$1.sums" 2>/dev/null && cmp -s "$STACK/$2.sums" "$STACK/$1.sums"
}

# ---- What a log says --------------------------------------------------------------------------------------------

# A line like this is in the log of a node, or in another file: says NAME|FILE PATTERN
says() { grep -q -E -e "$2" "$(log_of "$1")"; }
log_of() { if [[ $1 == /* ]]; then printf '%s\n' "$1"; else node_log "$1"; fi; }

must_say() { says "$1" "$2" || die "not in the log of $1: $2"; }
must_not_say() { if says "$1" "$2"; then die "in the log of $1: $(grep -E -m 1 -e "$2" "$(log_of "$1")")"; fi; }

# Prints the lines of a log with news.
story() {
    grep -E -v -e 'INFO: (Lock owner|bootstrap|no action|Selected|not healthy enough|Using default value|Patroni global|No PostgreSQL config|REST API|establishing|waiting for|Recovery operation [^ ]+ is still)' \
        -e '^localhost:|server signaled' -e '(LOG|HINT|DETAIL|FATAL|STATEMENT):  ' -e '(in progress|consider doing reinitialize|for reading: No such file or directory)$' -e 'Error when calling pg_controldata|Can not fetch local timeline|^Traceback' -e '^ |^$' "$(log_of "$1")" | cut -c 1-230
}

# Prints the seconds between the first line like one pattern and the first line like another:
# seconds_between NAME PATTERN PATTERN
seconds_between() {
    local from to
    if ! from=$(log_time "$1" "$2") || ! to=$(log_time "$1" "$3"); then die "not in the log of $1: $2, or $3"; fi
    awk -v from="$from" -v to="$to" 'BEGIN { printf "%.1f\n", to - from }'
}

log_time() {
    local line
    line=$(grep -E -m 1 -e "$2" "$(log_of "$1")" | cut -c 1-23)
    [[ -n $line ]] && date -d "${line/,/.}" +%s.%N
}

at_most() { awk -v is="$1" -v most="$2" 'BEGIN { exit !(is <= most) }' || die "$3: $1 s, at most $2 s"; }

# Kills the processes of an operation: this one, its parent, which would note the end, and all that it has started.
kill_operation() {
    local pids
    mapfile -t pids < <(awk '$1 == "PPid:" { print $2 }' "/proc/$1/status"; descendants "$1")
    kill -KILL "${pids[@]}"
}

descendants() {
    local children child
    echo "$1"
    read -r -a children < <(cat "/proc/$1/task/"*/children 2>/dev/null) || true
    for child in "${children[@]}"; do descendants "$child"; done
}
