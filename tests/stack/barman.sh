# shellcheck shell=bash
# The Barman host: Barman, pg-backup-api, and an sshd of its own for barman-cli on the nodes. Part of lib.sh.
# shellcheck disable=SC2034,SC2153  # the variables in capitals are lib.sh's, and for its callers

# ---- Barman -----------------------------------------------------------------------------------------------------

# Sets up Barman for one server and streams its WAL from now on: make_barman SERVER CONNINFO
make_barman() {
    local venv
    venv=$(reachable_venv "$BARMAN_VENV")
    as_pg tee "$STACK/bin/barman" >/dev/null <<SCRIPT
#!/bin/sh
exec "$venv/bin/python" -m barman.cli "\$@"
SCRIPT
    chmod 755 "$STACK/bin/barman"
    as_pg tee "$STACK/barman.conf" >/dev/null <<CONFIG
[barman]
barman_user = $STACK_USER
barman_home = $STACK/barman
log_file = $STACK/log/barman.log
cloud_staging_directory = $STACK/barman/cloud-staging
path_prefix = $PGBIN

[$1]
description = source of the demo
conninfo = $2
streaming_conninfo = $2
backup_method = postgres
streaming_archiver = on
slot_name = barman
immediate_checkpoint = true
CONFIG
    as_pg mkdir "$STACK/barman"
    as_pg barman -q receive-wal --create-slot "$1" >>"$STACK/log/barman.out" 2>&1
    spawn TERM "$STACK/log/receive-wal.log" barman receive-wal "$1"
    wait_until 60 "the WAL stream of '$1', see $STACK/log/receive-wal.log" receives_wal "$1"
    # Barman starts no backup before its archive holds a first segment.
    archive_wal "$1" "$2"
}

receives_wal() { compgen -G "$STACK/barman/$1/streaming/*.partial" >/dev/null; }

# Takes a base backup and waits for the WAL that it needs: backup SERVER
backup() { attend barman backup --wait "$1" >>"$STACK/log/barman.out"; }

# Brings everything written so far into Barman's archive: archive_wal SERVER CONNINFO
archive_wal() {
    local mark="SELECT pg_create_restore_point('archive_wal')" segment
    segment=$(sql "$2" "$mark" >/dev/null && sql "$2" 'SELECT pg_walfile_name(pg_switch_wal())')
    # Barman takes a segment only once the stream has begun the next one.
    sql "$2" "$mark" >/dev/null
    wait_until 120 "segment $segment in Barman's archive, see $STACK/log/barman.log" archived "$1" "$segment"
}

archived() {
    as_pg barman archive-wal "$1" >>"$STACK/log/barman.out" 2>&1 || true
    [[ -e $STACK/barman/$1/wals/${2:0:16}/$2 ]]
}

# ---- barman-cli on the nodes ------------------------------------------------------------------------------------

# Lets the nodes run barman-wal-restore and barman-wal-archive against Barman's host: an sshd for that host, with a key
# of the nodes, and the two commands on the nodes. They call `ssh` with the name of the host, so this name, its port and
# the key stand in a configuration file, as in ~postgres/.ssh/config.
BARMAN_HOST=barman-host
start_barman_host() {
    local dir=$STACK/ssh port venv tool
    as_pg ssh-keygen -q -t ed25519 -N '' -f "$dir/node_key"
    printf 'restrict %s\n' "$(cat "$dir/node_key.pub")" | as_pg tee "$dir/barman_authorized_keys" >/dev/null
    port=$(free_port)
    sed -e "s/^ListenAddress .*/ListenAddress 127.0.0.1:$port/" \
        -e "s|^AuthorizedKeysFile .*|AuthorizedKeysFile $dir/barman_authorized_keys|" "$dir/sshd_config" |
        as_pg tee "$dir/barman_sshd_config" >/dev/null
    echo "SetEnv PATH=$STACK/bin:/usr/bin:/bin BARMAN_CONFIG_FILE=$STACK/barman.conf" >>"$dir/barman_sshd_config"
    printf '%s %s\n' "$BARMAN_HOST" "$(cat "$dir/host_key.pub")" | as_pg tee "$dir/node_known_hosts" >/dev/null
    as_pg tee "$dir/node_config" >/dev/null <<CONFIG
Host $BARMAN_HOST
    HostName 127.0.0.1
    Port $port
    HostKeyAlias $BARMAN_HOST
    UserKnownHostsFile $dir/node_known_hosts
    IdentityFile $dir/node_key
    IdentitiesOnly yes
    BatchMode yes
    ConnectTimeout 10
    ServerAliveInterval 10
CONFIG
    as_pg mkdir "$STACK/node-bin"
    as_pg tee "$STACK/node-bin/ssh" >/dev/null <<SCRIPT
#!/bin/sh
exec $(command -v ssh) -F "$dir/node_config" "\$@"
SCRIPT
    venv=$(reachable_venv "$BARMAN_VENV")
    for tool in restore archive; do
        as_pg tee "$STACK/bin/barman-wal-$tool" >/dev/null <<SCRIPT
#!/bin/sh
PATH=$STACK/node-bin:\$PATH exec "$venv/bin/python" -m barman.clients.wal$tool "\$@"
SCRIPT
    done
    chmod 755 "$STACK/node-bin/ssh" "$STACK"/bin/barman-wal-*
    start_barman_sshd
}

# Starts it, also after it was stopped.
start_barman_sshd() {
    : >"$STACK/log/barman-sshd.log"
    spawn TERM "$STACK/log/barman-sshd.log" /usr/sbin/sshd -D -e -f "$STACK/ssh/barman_sshd_config"
    BARMAN_SSHD_PID=$SPAWNED
    wait_until 30 "the sshd of Barman's host, see $STACK/log/barman-sshd.log" \
        grep -qs 'Server listening' "$STACK/log/barman-sshd.log"
}

# ---- pg-backup-api ----------------------------------------------------------------------------------------------

# Starts pg-backup-api where it is installed (or $PG_BACKUP_API names it), else the stand-in; sets $API_PORT,
# $API_URL, $API_NAME, $API_COMMAND and $API_WORKERS (whether its children are processes that answer), and takes the
# same port again after stop_api: start_api STANDIN
start_api() {
    local program
    program=${PG_BACKUP_API:-$(command -v pg-backup-api || true)}
    API_WORKERS=false
    if [[ -n $program ]]; then
        start_pg_backup_api "$program"
    else
        start_standin_api "$1"
    fi
    API_URL=http://127.0.0.1:$API_PORT
    wait_until 60 "the API, see $STACK/log/api.log" api_ready
}

start_pg_backup_api() {
    local program=$1 gunicorn=${1%/*}/gunicorn
    API_NAME=pg-backup-api
    API_PORT=${API_PORT:-$(free_port)}
    # It starts its operations by the name of the command.
    as_pg ln -sf "$program" "$STACK/bin/pg-backup-api"
    if [[ -x $gunicorn ]]; then
        # As its service does. With threads, as "serve" has them, a server is now and then unknown to it. Its own
        # application is the same, but for a log in /var/log/barman.
        as_pg tee "$STACK/run/api_service.py" >/dev/null <<'PYTHON'
from barman import output
from pg_backup_api.run import app as application
from pg_backup_api.utils import load_barman_config

load_barman_config()
output.set_output_writer(output.AVAILABLE_WRITERS["json"]())
PYTHON
        # Each request with its status and how many microseconds it took.
        API_COMMAND=("$gunicorn" --workers 2 --timeout 60 --bind "127.0.0.1:$API_PORT" --pythonpath "$STACK/run"
            --access-logfile "$STACK/log/api-requests.log" --access-logformat '%(t)s %(m)s %(U)s %(s)s %(D)s' api_service)
        API_WORKERS=true
    else
        API_COMMAND=(pg-backup-api serve --port "$API_PORT")
    fi
    spawn TERM "$STACK/log/api.log" "${API_COMMAND[@]}"
    API_PID=$SPAWNED
}

start_standin_api() {
    API_NAME="the stand-in for pg-backup-api"
    API_PORT=${API_PORT:-$(free_port)}
    API_COMMAND=("$(reachable "$1")" --listen "127.0.0.1:$API_PORT" --barman "$STACK/bin/barman"
        --barman-config "$STACK/barman.conf" --barman-home "$STACK/barman")
    spawn TERM "$STACK/log/api.log" "${API_COMMAND[@]}"
    API_PID=$SPAWNED
}

# Stops the API alone: its operations go on.
stop_api() {
    kill "$API_PID"
    wait_until 60 "the end of the API" api_stopped
}

api_stopped() { ! is_running "$API_PID" && ! http_get "$API_PORT" /status; }

api_ready() {
    is_running "$API_PID" || die "the API has ended: $(tail -n 3 "$STACK/log/api.log")"
    [[ $(http_get "$API_PORT" /status) == *OK* ]]
}
