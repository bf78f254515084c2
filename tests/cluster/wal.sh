# shellcheck shell=bash
# Scenarios about WAL: a node made from the backup has to have all rows that its source had, and its WAL where it belongs. As
# those of scenarios.sh, and on top of the same stack.
# shellcheck disable=SC2034,SC2153  # the variables in capitals are tests/stack/lib.sh's and tests/cluster/run's

# ---- Across a switchover ----------------------------------------------------------------------------------------

# The backup is from before two switchovers, so its own timeline is not the one that the last rows are on. Each new
# cluster is bootstrapped by a recipe of docs/patroni.md.
scenario_switchover() {
    local LEADER=old1 SERVER=old SCOPE=old TARGET_TIME
    make_old_cluster
    note "at the source: $(rows old1)"
    drop_node old2
    drop_node old1

    bootstrapped all "$ALL_ROWS"
    replica_of all
    drop_node all
    barman_host_away
    bootstrapped target "$UP_TO_THE_MIDDLE" "$(recovery_conf recovery_target_name middle)"
    drop_node target
    bootstrapped moment "$UP_TO_THE_MIDDLE" "$(recovery_conf recovery_target_time "'$TARGET_TIME'")"
    drop_node moment

    # With the WAL alone that the restore brings, what the second timeline and the third have is lost. As this attempt
    # archives its WAL too, its timeline is the newest one from now on, and the one that the rows are on has to be named.
    bootstrapped lost "$FIRST_TIMELINE" "$ARCHIVING;$RESTORED_WAL_ALONE"
    archive_wal old "$(node_conninfo lost)"
    drop_node lost
    bootstrapped astray "$FIRST_TIMELINE"
    drop_node astray
    bootstrapped named "$ALL_ROWS" 's|recovery_target_timeline: latest|recovery_target_timeline: 3|'
    drop_node named
}

FIRST_TIMELINE="backup 1000, timeline1 1000"
UP_TO_THE_MIDDLE="$FIRST_TIMELINE, timeline2 1000"
ALL_ROWS="$FIRST_TIMELINE, timeline2 2000, timeline3 1000"

# What replaces the recipe by the one that fetches nothing.
RESTORED_WAL_ALONE='/^      restore_command: >-/,/exit 126/c\      restore_command: /bin/false'

# Adds a line to recovery_conf, and the action at the target: recovery_conf KEY VALUE
recovery_conf() { printf 's|^      recovery_target_timeline: .*|&\\n      %s: %s\\n      recovery_target_action: promote|' "$1" "$2"; }

# Two nodes that archive their WAL with Barman, a backup, and rows: in the backup, and on each of three timelines.
make_old_cluster() {
    local initdb='s|^  method: barman$|  initdb: [{auth: trust}, {encoding: UTF8}]|;/^    - barman$/d'
    ARCHIVING="s|^      parameters:|&\n        archive_mode: 'on'\n        archive_command: barman-wal-archive -U $STACK_USER $BARMAN_HOST old %p|"
    bandwidth 0
    make_node old1 "$initdb;$ARCHIVING"
    make_node old2 "$initdb;$ARCHIVING"
    start_node old1
    wait_until 120 "the old cluster, see $(node_log old1)" is_leader old1
    start_node old2
    wait_until 120 "its replica, see $(node_log old2)" is_streaming old2
    add_old_server
    sql "$(node_conninfo old1)" 'CREATE TABLE phases (phase text, n int)'
    write_rows old1 backup
    archive_wal old "$(node_conninfo old1)"
    backup old
    write_rows old1 timeline1
    switch_over old1 old2
    write_rows old2 timeline2
    sql "$(node_conninfo old2)" "SELECT pg_create_restore_point('middle')" >/dev/null
    TARGET_TIME=$(sql "$(node_conninfo old2)" "SELECT clock_timestamp()")
    write_rows old2 timeline2
    switch_over old2 old1
    write_rows old1 timeline3
    archive_wal old "$(node_conninfo old1)"
}

add_old_server() {
    local conninfo="host=127.0.0.1,127.0.0.1 port=${PG_PORT[old1]},${PG_PORT[old2]} user=postgres dbname=postgres"
    as_pg tee -a "$STACK/barman.conf" >/dev/null <<CONFIG

[old]
description = a cluster whose nodes archive their WAL
conninfo = $conninfo target_session_attrs=read-write
streaming_conninfo = $conninfo target_session_attrs=read-write
backup_method = postgres
archiver = on
immediate_checkpoint = true
CONFIG
    as_pg barman -q check old >/dev/null 2>&1 || true   # makes its directories
    # The real one reads Barman's configuration once.
    stop_api
    start_api "$STANDIN"
}

write_rows() { sql "$(node_conninfo "$1")" "INSERT INTO phases SELECT '$2', generate_series(1, 1000)"; }

# Prints the rows of a node: rows NAME
rows() {
    sql "$(node_conninfo "$1")" \
        "SELECT string_agg(phase || ' ' || n, ', ' ORDER BY phase) FROM (SELECT phase, count(*) AS n FROM phases GROUP BY phase) AS p"
}

# switch_over FROM TO
switch_over() {
    patronictl "$1" switchover old --leader "$1" --candidate "$2" --force >>"$STACK/log/switchover" 2>&1 ||
        die "$(tail -n 3 "$STACK/log/switchover")"
    wait_until 60 "$2 to lead, see $(node_log "$2")" is_leader "$2"
    LEADER=$2 wait_until 60 "$1 to follow, see $(node_log "$1")" is_streaming "$1"
}

# Bootstraps a cluster of one node from the backup of the old one, and counts its rows: bootstrapped NAME ROWS [SED-EXPRESSION]
bootstrapped() {
    local is
    SCOPE=$1 make_node "$1" "${3-}"
    start_node "$1"
    wait_until 180 "$1 to lead, see $(node_log "$1")" is_leader "$1"
    is=$(rows "$1")
    note "$1: $is; timeline $(LEADER=$1 timeline)"
    [[ $is == "$2" ]] || die "$1 has other rows than $2"
}

# A replica of that cluster, from the same old backup, which the leader's WAL leads to the present: replica_of NAME
replica_of() {
    local LEADER=$1
    sql "$(node_conninfo "$1")" 'CREATE TABLE mark (at timestamptz)'
    SCOPE=$1 make_node follower
    start_node follower
    must_stream follower
    must_say follower "$BARMAN_METHOD"
    drop_node follower
}

# With Barman's host out of reach PostgreSQL must not take its silence for the end of the WAL.
barman_host_away() {
    kill "$BARMAN_SSHD_PID"
    wait_until 30 "the end of that sshd" has_ended "$BARMAN_SSHD_PID"
    SCOPE=away make_node away
    start_node away
    wait_until 120 "the end of the recovery, see $(node_log away)" says away 'FATAL: .*could not restore file'
    wait_until 60 "Patroni to give up, see $(node_log away)" says away 'Failed to bootstrap cluster'
    must_not_say away 'archive recovery complete'
    note "Barman's host away: $(grep -E -m 1 -o 'could not restore file .*' "$(node_log away)")"
    drop_node away
    start_barman_sshd
}

# ---- A server with get-wal --------------------------------------------------------------------------------------

# The restore brings no WAL at all, and Patroni removes the restore_command that Barman writes: PostgreSQL fetches it by the
# recipe, the rows included that have not filled a segment yet.
scenario_get_wal() {
    local segment
    sql "$(conninfo source)" "CREATE TABLE unfinished AS SELECT generate_series(1, 1000) AS n"
    segment=$(sql "$(conninfo source)" "SELECT pg_walfile_name(pg_current_wal_flush_lsn())")
    wait_until 60 "the stream of $segment" streamed "$(sql "$(conninfo source)" 'SELECT pg_current_wal_flush_lsn()')"
    sed -i 's/^\[pg\]$/&\nrecovery_options = get-wal/' "$STACK/barman.conf"
    fingerprint "$(conninfo source)" >"$STACK/unfinished.sums"

    SCOPE=fetching make_node fetching
    start_node fetching
    wait_until 180 "fetching to lead, see $(node_log fetching)" is_leader fetching
    has_sums fetching unfinished || die "other rows than at the source: $(diff "$STACK/unfinished.sums" "$STACK/fetching.sums")"
    note "fetching: all rows of the source, those of $segment included, which is not finished"
    get_wal_replica
    drop_node fetching

    # Without the recipe PostgreSQL has nothing to start from.
    SCOPE=without make_node without "$RESTORED_WAL_ALONE"
    start_node without
    wait_until 120 "the end of the recovery, see $(node_log without)" says without 'could not locate required checkpoint record'
    drop_node without
    sed -i '/^recovery_options = get-wal$/d' "$STACK/barman.conf"
    sql "$(conninfo source)" 'DROP TABLE unfinished'
}

# Barman has received all WAL up to this position, and may not have flushed it: streamed LSN
streamed() {
    [[ $(sql "$(conninfo source)" "SELECT max(write_lsn) >= '$1' FROM pg_stat_replication") == t ]]
}

# A replica of it has no WAL either until it reaches the leader.
get_wal_replica() {
    local LEADER=fetching fetch="barman-wal-restore -U $STACK_USER $BARMAN_HOST pg %f %p"
    sql "$(node_conninfo fetching)" 'CREATE TABLE mark (at timestamptz)'
    SCOPE=fetching make_node fetched "s|^  data_dir: .*|&\n  recovery_conf:\n    restore_command: $fetch|"
    start_node fetched
    must_stream fetched
    must_say fetched "$BARMAN_METHOD"
    drop_node fetched
}

# ---- A disk for the WAL -----------------------------------------------------------------------------------------

# Barman makes pg_wal a plain directory. The example moves it to its disk, also when Patroni has removed both.
scenario_wal_disk() {
    local disk=$STACK/wal calls
    need_leader
    bandwidth 0
    as_pg mkdir "$disk"
    mount_memory "$disk" 300 || note "no file system can be mounted here: the disk is a directory"
    make_node disk "s|^    command: |&$(reachable "$PWD/examples/patroni/wal-disk") $disk/disk |"
    start_node disk
    must_stream disk
    must_be_on_disk
    patronictl disk reinit "$SCOPE" disk --force >"$STACK/log/disk.ctl" 2>&1 || die "$(cat "$STACK/log/disk.ctl")"
    wait_until 60 "the removal" says disk "Removing WAL directory: $disk/disk"
    must_stream disk
    must_be_on_disk
    calls=$(grep -c "$BARMAN_METHOD" "$(node_log disk)")
    ((calls == 2)) || die "made from the backup $calls times"
    # Patroni's SIGTERM reaches the program through the script.
    bandwidth "$SLOW"
    patronictl disk reinit "$SCOPE" disk --force >>"$STACK/log/disk.ctl" 2>&1 || die "$(cat "$STACK/log/disk.ctl")"
    wait_until 60 "the restore" in_the_middle "$(data disk)"
    end_patroni disk TERM
    must_say disk 'cancelled: '
    wait_until 5 "the end of the restore" no_restore "$(data disk)"
    drop_node disk
}

must_be_on_disk() {
    [[ $(readlink "$(data disk)/pg_wal") == "$STACK/wal/disk" ]] || die "pg_wal is no link to the disk"
    [[ ! -e $(data disk)/pg_wal.restored && ! -e $STACK/wal/disk.restored ]] || die "the move has left something"
}
