# shellcheck shell=bash
# Restores that fail, each for a cause that is made here: what is printed has to name that cause first. Part of run.
# shellcheck disable=SC2034,SC2153  # the variables in capitals are those of run and of tests/stack/lib.sh

WRONG=()   # what was not explained as it should be; all causes are made before the test fails

# Restores onto the node, prints what is said and which commands Barman ran there, and holds the hint against what is
# true: fails NAME 'CAUSE' [OPTION...]
fails() {
    local name=$1 cause=$2 status=0 output=$STACK/log/failure log
    shift 2
    printf '\n--- %s\n' "$name"
    attend "$PROGRAM" --api-url "$API_URL" recover --barman-server pg --ssh-command "$SSH_COMMAND" \
        --datadir "$STACK/node/data" "$@" >"$output" 2>&1 || status=$?
    sed "s|$STACK|.|g" "$output"
    echo "exit status $status"
    for log in "$STACK"/node/{data,state}*/log-*; do
        if [[ -s $log ]]; then sed "s|$STACK|.|g; s/^/    /" "$log" | tr -d '\0' | cut -c 1-140; fi
    done
    [[ $status == 1 ]] || WRONG+=("$name: exit status $status, expected 1")
    grep -q -- "HINT: $cause" "$output" || WRONG+=("$name: the hint does not begin with '$cause'")
    rm -rf "$STACK"/node/*
}

# For Barman's section of the source: with_line LINE COMMAND...
with_line() {
    local kept=$STACK/run/barman.conf
    cp -p "$STACK/barman.conf" "$kept"
    sed -i "s|^\[pg\]$|&\n$1|" "$STACK/barman.conf"
    "${@:2}"
    cp -p "$kept" "$STACK/barman.conf"
}

# Ends something as soon as the first file has come: cut NAME CAUSE COMMAND...
cut_off() {
    local name=$1 cause=$2 waits
    shift 2
    (
        wait_until 60 "the first file" has_noted "$STACK/node/data"
        "$@"
    ) &
    waits=$!
    with_line "bandwidth_limit = 3000" fails "$name" "$cause"
    wait "$waits"
}

# As root sshd has two processes for each connection.
end_connections() {
    local pid
    for pid in $(<"/proc/$SSHD_PID/task/$SSHD_PID/children"); do
        pkill -KILL -P "$pid" "^sshd" || kill -KILL "$pid"
    done
}

end_barman() { pkill -KILL -f "barman.cli .*recover .*$STACK/node/data"; }

# Another sshd that Barman is led to, with a line of its own in its configuration: with_login LINE COMMAND...
with_login() {
    local config=$STACK/ssh/login_config log=$STACK/log/login-sshd.log port ssh_command=$SSH_COMMAND
    port=$(free_port)
    { printf '%s\n' "$1" && sed "s/^ListenAddress .*/ListenAddress 127.0.0.1:$port/" "$STACK/ssh/sshd_config"; } >"$config"
    printf '[127.0.0.1]:%s %s\n' "$port" "$(cat "$STACK/ssh/host_key.pub")" >>"$STACK/ssh/known_hosts"
    : >"$log"
    spawn TERM "$log" /usr/sbin/sshd -D -e -f "$config"
    wait_until 30 "the sshd of another login" grep -qs 'Server listening' "$log"
    SSH_COMMAND=${SSH_COMMAND/-p $SSH_PORT/-p $port}
    "${@:2}"
    SSH_COMMAND=$ssh_command
}

# As .bashrc or a forced command can print on each login.
PRINTS="ForceCommand echo Welcome; eval \"\$SSH_ORIGINAL_COMMAND\""

# ---- On the way to the node -------------------------------------------------------------------------------------

on_the_way() {
    local bin=$STACK/run/without-rsync ssh_command=$SSH_COMMAND
    SSH_COMMAND=${SSH_COMMAND/-p $SSH_PORT/-p $(free_port)}
    fails "no way to the node" "Barman never ran a command on this node"
    SSH_COMMAND=$ssh_command
    with_login "$PRINTS" fails "a login shell that prints" ".*the login shell prints"
    mkdir "$bin"
    ln -s /usr/bin/* "$bin"
    rm "$bin/rsync"
    with_login "SetEnv PATH=$bin" fails "no rsync for the login of Barman" "rsync is not in the PATH"
}

# ---- On the node ------------------------------------------------------------------------------------------------

on_the_node() {
    as_pg mkdir "$STACK/node/data"
    as_pg touch "$STACK/node/data/of-someone"
    fails "a data directory that is not empty" ".*was not empty (of-someone)"
    cut_off "a connection that was cut" "the copy to this node .*rsync" end_connections
    # Its rsync may live on, and end well, until the API finds that Barman has gone.
    cut_off "Barman killed in the copy" ".*on its own host" end_barman
    ((EUID == 0)) || { echo "left out, as they need root: rights, a full disk"; return; }
    mkdir "$STACK/locked"
    fails "no right to make the data directory" ".*could not create" --datadir "$STACK/locked/data" \
        --state-dir "$STACK/node/state"
    full_disk
}

full_disk() {
    FULL_DISK=$STACK/small
    mkdir "$FULL_DISK"
    mount -t tmpfs -o "size=20m,uid=$(id -u "$STACK_USER")" none "$FULL_DISK"
    fails "a full disk" "the disk is full" --datadir "$FULL_DISK/data" --state-dir "$STACK/node/state"
    umount "$FULL_DISK"
    FULL_DISK=
}

# ---- On the Barman host -----------------------------------------------------------------------------------------

on_the_barman_host() {
    local base with_config=("${STACK_AS[@]}")
    base=$(compgen -G "$STACK/barman/pg/base/*/data")
    as_pg mv "$base" "$base.away"
    fails "a backup whose files are gone" ".*on its own host\|.*on the Barman host"
    as_pg mv "$base.away" "$base"
    with_line "pre_recovery_retry_script = exit 63" fails "a hook script that forbids the restore" ".*on its own host"
    # In place of a script that breaks off: Barman 3.19 does not take its status for a failure.
    with_line "post_recovery_script = kill -KILL \$PPID" fails "a hook script that ends Barman after all is here" \
        "Barman failed after everything was here"
    [[ $API_NAME == pg-backup-api ]] || { echo "left out, as it needs the real API: its configuration"; return; }
    # The API reads PG_BACKUP_API_BARMAN_CONF, the Barman that it starts does not.
    stop_api
    STACK_AS+=("BARMAN_CONFIG_FILE=$STACK/nowhere.conf")
    start_api "$STANDIN"
    STACK_AS=("${with_config[@]}")
    fails "an API with another configuration than Barman's" "Barman never ran a command on this node"
    stop_api
    start_api "$STANDIN"
}

# ---- Tablespaces ------------------------------------------------------------------------------------------------

# The location of a tablespace is the source's own, which has it still: as when it is on a disk that the node shares.
tablespaces() {
    as_pg mkdir -p "$STACK/disk/space"
    sql "$(conninfo source)" "CREATE TABLESPACE space LOCATION '$STACK/disk/space'"
    sql "$(conninfo source)" "CREATE TABLE in_space TABLESPACE space AS SELECT generate_series(1, 1000) AS n"
    backup pg
    expect "a tablespace location that is not empty" 1 "FAILED .*tablespace" -- --ssh-command "$SSH_COMMAND"
    fails "a tablespace location that is not empty" "[^;]*$STACK/disk/space[^;]*not empty"
    ((EUID == 0)) || { echo "left out, as it needs root: rights for a tablespace location"; return; }
    signal_session INT "$SOURCE_PID"
    wait_until 60 "the end of the source" has_ended "$SOURCE_PID"
    rm -rf "$STACK/disk/space"
    chown root: "$STACK/disk"
    fails "no right to make a tablespace location" ".*could not create [^;:]*$STACK/disk"
}
