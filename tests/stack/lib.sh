# shellcheck shell=bash
# A real stack on loopback for the demo and the cluster tests: PostgreSQL, sshd, Barman and pg-backup-api.
#
# Everything lives in one scratch directory, $STACK, and runs as one user, $STACK_USER: PostgreSQL's own user for
# root (initdb refuses root), otherwise the caller. PostgreSQL listens on Unix sockets below $STACK only; sshd and the
# API take free ports of 127.0.0.1. The caller sets `set -euo pipefail`, calls stack_open first and stop_all from an
# EXIT trap.
# shellcheck disable=SC2034  # $SSH_COMMAND, $SSHD_COMMAND and the $API_ variables are for the callers

STACK_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BARMAN_VENV=$STACK_REPO/target/barman-venv
STACK_PROCESSES=()   # "signal pid started", in the order of their start

die() {
    printf 'ERROR: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null; }

# shellcheck source=tests/stack/install.sh
. "$STACK_REPO/tests/stack/install.sh"
# shellcheck source=tests/stack/barman.sh
. "$STACK_REPO/tests/stack/barman.sh"

# ---- Scratch directory and processes ----------------------------------------------------------------------------

# Makes the scratch directory and settles who runs the stack.
stack_open() {
    local base=${TMPDIR:-/tmp}
    # Unix sockets allow about 100 characters, and an ssh command is split at white space.
    if [[ $base =~ [[:space:]] || ${#base} -gt 40 ]]; then base=/tmp; fi
    PGBIN=$(find_pgbin) || die "PostgreSQL is not installed"
    STACK=$(mktemp -d "$base/barman-recover.XXXXXX")
    local as=()
    if ((EUID == 0)); then
        STACK_USER=postgres
        id "$STACK_USER" >/dev/null || die "PostgreSQL refuses root, and there is no user '$STACK_USER' to run it"
        as=(setpriv "--reuid=$STACK_USER" "--regid=$(id -g "$STACK_USER")" --init-groups)
    else
        STACK_USER=$(id -un)
    fi
    STACK_AS=("${as[@]}" env --ignore-environment --chdir="$STACK" "HOME=$STACK/home" "USER=$STACK_USER"
        "LOGNAME=$STACK_USER" "TMPDIR=$STACK/tmp" "PATH=$STACK/bin:$PGBIN:/usr/local/bin:/usr/bin:/bin"
        LC_ALL=C.UTF-8 "TERM=${TERM:-dumb}"
        "BARMAN_CONFIG_FILE=$STACK/barman.conf" "PG_BACKUP_API_BARMAN_CONF=$STACK/barman.conf")
    mkdir "$STACK"/{bin,home,log,run,ssh,tmp}
    chown -R "$STACK_USER" "$STACK"
}

# Runs a command as $STACK_USER, with a clean environment.
as_pg() { "${STACK_AS[@]}" "$@"; }

# Starts a command as $STACK_USER in the background, in a session of its own: spawn SIGNAL LOG COMMAND...
# SIGNAL ends it later. Its pid is in $SPAWNED.
spawn() {
    local signal=$1 log=$2
    shift 2
    setsid "${STACK_AS[@]}" "$@" </dev/null >>"$log" 2>&1 &
    SPAWNED=$!
    ends_with_us "$signal" "$SPAWNED"
}

# When a process was started, in ticks since the boot: only together with that a pid names one process. started PID
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Notes a process that stop_all ends, with its session: ends_with_us SIGNAL PID [STARTED]
ends_with_us() { STACK_PROCESSES+=("$1 $2 ${3-$(started "$2")}"); }

# Whether a process, or what it started, is still there, rather than another one with its pid by now: is_left PID STARTED
is_left() {
    if [[ -e /proc/$1 ]]; then [[ $(started "$1") == "$2" ]]; else [[ -n $(session "$1") ]]; fi
}
is_gone() { ! is_left "$@"; }

# Like as_pg for what takes long: a signal to this shell is handled at once, and ends the command too.
attend() {
    local status=0
    setsid "${STACK_AS[@]}" "$@" </dev/null &
    ends_with_us TERM "$!"
    wait "$!" || status=$?
    unset 'STACK_PROCESSES[-1]'
    return "$status"
}

# Waits until a command succeeds: wait_until SECONDS WHAT COMMAND...
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || die "gave up waiting for $what"
        sleep 0.1
    done
}

is_running() { kill -0 "$1" 2>/dev/null; }
has_ended() { [[ -z $(session "$1") ]] && ! is_running "$1"; }
has_no_children() { [[ -z $(cat "/proc/$1/task/$1/children" 2>/dev/null) ]]; }

# Prints the pids of a session. A process group is not enough: the API gives each operation one of its own.
session() {
    local stat fields
    for stat in /proc/[0-9]*/stat; do
        # Behind the name, which may hold anything: state, parent, group, session.
        fields=
        { read -r -d '' fields <"$stat" || true; } 2>/dev/null
        read -r -a fields <<<"${fields##*) }"
        if [[ ${fields[3]-} == "$1" ]]; then stat=${stat#/proc/} && echo "${stat%/stat}"; fi
    done
}

# Sends a signal to all of a session, which in the first moment after spawn is not there yet: signal_session SIGNAL PID
signal_session() {
    local pids
    mapfile -t pids < <(session "$2")
    kill "-$1" "${pids[@]:-$2}" 2>/dev/null
}

# Ends what was spawned, with all that it started, the last one first.
stop_all() {
    local i signal pid started
    for ((i = ${#STACK_PROCESSES[@]} - 1; i >= 0; i--)); do
        read -r signal pid started <<<"${STACK_PROCESSES[i]}"
        is_left "$pid" "$started" || continue
        # The sessions of sshd end by themselves once their clients are gone; nothing must write after us.
        if [[ $pid == "${SSHD_PID:-}" ]]; then (wait_until 10 "the ssh sessions" has_no_children "$pid") || true; fi
        signal_session "$signal" "$pid" || continue
        (wait_until 10 "process $pid" is_gone "$pid" "$started") || signal_session KILL "$pid" || true
        wait "$pid" 2>/dev/null || true
    done
    STACK_PROCESSES=()
}

# Makes a program executable for $STACK_USER, by a copy where it is out of reach, and prints its path.
reachable() {
    if as_pg test -x "$1"; then
        printf '%s\n' "$1"
    else
        install -m 755 "$1" "$STACK/bin/${1##*/}"
        printf '%s\n' "$STACK/bin/${1##*/}"
    fi
}

# ---- Network ----------------------------------------------------------------------------------------------------

# Prints a port on which nothing listens. It is none that the system gives to a connection or to another test, so that
# a service that is stopped for a while can have it again.
free_port() {
    "$(find_python)" -c '
import random, socket
with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
    given = int(file.read().split()[0])
while True:
    port = random.randrange(max(1024, given - 20000), given)
    try:
        socket.socket().bind(("127.0.0.1", port))
        break
    except OSError:
        pass  # in use
print(port)'
}

# Prints the body of a GET: http_get PORT PATH
http_get() (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
    sed '1,/^\r*$/d' <&3
) 2>/dev/null

# ---- PostgreSQL -------------------------------------------------------------------------------------------------

# Prints how to connect to a server that start_postgres started: conninfo NAME
conninfo() { printf 'host=%s/run/%s user=postgres dbname=postgres\n' "$STACK" "$1"; }

# Prints the unaligned result of a statement: sql CONNINFO STATEMENT
sql() { as_pg psql -XAtq -v ON_ERROR_STOP=1 -F ' ' -d "$1" -c "$2"; }

# Makes a data directory: init_postgres DATADIR
init_postgres() {
    as_pg initdb --no-sync --username=postgres --auth=trust --encoding=UTF8 -D "$1" >"$STACK/log/initdb.log"
}

# Starts a server on its data directory and waits until it is out of recovery: start_postgres NAME DATADIR
start_postgres() {
    local pid
    as_pg mkdir -m 700 "$STACK/run/$1"
    # On the command line: as settings of the source they would come back with the restored data.
    spawn INT "$STACK/log/$1.log" postgres -D "$2" -c listen_addresses= -c "unix_socket_directories=$STACK/run/$1" \
        -c fsync=off
    pid=$SPAWNED
    wait_until 300 "PostgreSQL '$1', see $STACK/log/$1.log" postgres_ready "$1" "$pid"
}

postgres_ready() {
    is_running "$2" || die "PostgreSQL '$1' has ended: $(tail -n 3 "$STACK/log/$1.log")"
    [[ $(sql "$(conninfo "$1")" 'SELECT pg_is_in_recovery()' 2>/dev/null) == f ]]
}

# Prints "table rows checksum" of every table: fingerprint CONNINFO
# The checksum is the sum of the rows' hashes: it needs no order, and no memory for large tables.
fingerprint() {
    local table
    sql "$1" "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY c.oid::regclass::text" |
        while read -r table; do
            printf '%s %s\n' "$table" \
                "$(sql "$1" "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM $table t")"
        done
}

# ---- sshd -------------------------------------------------------------------------------------------------------

# Starts an sshd that lets $STACK_USER log in with a key made for it; sets $SSH_COMMAND.
# It runs as that user, so it needs neither PAM, /run/sshd nor a password entry that is not locked.
start_sshd() {
    local dir=$STACK/ssh port
    as_pg ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
    as_pg ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
    port=$(free_port)
    as_pg tee "$dir/sshd_config" >/dev/null <<CONFIG
ListenAddress 127.0.0.1:$port
HostKey $dir/host_key
AuthorizedKeysFile $dir/key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
AcceptEnv RESTORE_PID
CONFIG
    printf '[127.0.0.1]:%s %s\n' "$port" "$(cat "$dir/host_key.pub")" | as_pg tee "$dir/known_hosts" >/dev/null
    SSHD_COMMAND=(/usr/sbin/sshd -D -e -f "$dir/sshd_config")
    spawn TERM "$STACK/log/sshd.log" "${SSHD_COMMAND[@]}"
    SSHD_PID=$SPAWNED
    SSH_COMMAND="ssh -F none -p $port -i $dir/key -o BatchMode=yes -o IdentitiesOnly=yes"
    SSH_COMMAND+=" -o UserKnownHostsFile=$dir/known_hosts -o StrictHostKeyChecking=yes $STACK_USER@127.0.0.1"
    wait_until 30 "sshd, see $STACK/log/sshd.log" sshd_ready
}

sshd_ready() {
    is_running "$SSHD_PID" || die "sshd has ended: $(tail -n 3 "$STACK/log/sshd.log")"
    grep -qs 'Server listening' "$STACK/log/sshd.log"   # not there at once
}
