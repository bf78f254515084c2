# shellcheck shell=bash
# What the real stack needs on this machine, and how it gets there. Part of lib.sh.
# shellcheck disable=SC2153  # the variables in capitals are lib.sh's

# Prints the directory of the newest complete PostgreSQL: Debian's layout first, then the one on PATH.
find_pgbin() {
    local dir
    while read -r dir; do
        if [[ -x $dir/postgres && -x $dir/initdb && -x $dir/pgbench ]]; then
            printf '%s\n' "$dir"
            return
        fi
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV; have pg_config && pg_config --bindir)
    return 1
}

# Debian's Python where there is one: another user's (pyenv in a home directory) may be out of $STACK_USER's reach.
find_python() {
    if [[ -x /usr/bin/python3 ]]; then echo /usr/bin/python3; else command -v python3; fi
}

missing_packages() {
    local python
    find_pgbin >/dev/null || echo postgresql
    [[ -x /usr/sbin/sshd ]] || echo openssh-server
    have ssh || echo openssh-client
    have rsync || echo rsync
    have file || echo file   # Barman asks it what a WAL segment is
    { python=$(find_python) && "$python" -c 'import ensurepip, venv' 2>/dev/null; } || echo python3-venv
    have cc || printf '%s\n' gcc libc6-dev
}

# Installs what is missing when root; an ordinary user is told what to install.
install_packages() {
    local packages
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]})) || return 0
    if ((EUID != 0)) || ! have apt-get; then
        die "missing on this machine; as root: apt-get install --no-install-recommends ${packages[*]}"
    fi
    echo "installing: ${packages[*]}"
    (
        flock 9
        apt_install "${packages[@]}"
    ) 9>/run/lock/barman-recover-install.lock
}

# Installs packages without leaving a service or a PostgreSQL cluster behind.
apt_install() (
    local policy=/usr/sbin/policy-rc.d no_cluster=/etc/postgresql-common/createcluster.d/barman-recover.conf
    # shellcheck disable=SC2317  # the trap calls it
    restore() {
        rm -f "$no_cluster" "$policy"
        rmdir --ignore-fail-on-non-empty "${no_cluster%/*}"
        if [[ -e $policy.barman-recover ]]; then mv "$policy.barman-recover" "$policy"; fi
    }
    trap restore EXIT
    mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' >"$no_cluster"
    if [[ -e $policy && ! -e $policy.barman-recover ]]; then mv "$policy" "$policy.barman-recover"; fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    export DEBIAN_FRONTEND=noninteractive
    local output
    apt-get -qq update
    output=$(apt-get -qq -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "$@" </dev/null 2>&1) ||
        die "apt-get: $output"
    # The packages enable their services for the next boot.
    if have systemctl; then
        if [[ " $* " == *" openssh-server "* ]]; then
            systemctl --quiet disable ssh.service ssh.socket 2>/dev/null || true
        fi
        if [[ " $* " == *" etcd-server "* ]]; then systemctl --quiet disable etcd.service 2>/dev/null || true; fi
    fi
)

# Barman from PyPI. Without its own dependencies: of psycopg2 there is only the source, which needs libpq's and
# Python's headers.
install_barman() { install_venv "$BARMAN_VENV" --no-deps 'barman~=3.19' psycopg2-binary python-dateutil six; }

# Makes a virtual environment below target/ with packages from PyPI: install_venv DIRECTORY PIP-ARGUMENT...
install_venv() (
    local venv=$1
    shift
    mkdir -p "$STACK_REPO/target"
    exec 9>"$venv.lock"
    flock 9
    [[ -e $venv/complete ]] && exit
    echo "installing: $*, into $venv"
    rm -rf "$venv"
    "$(find_python)" -m venv "$venv"
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check install "$@"
    touch "$venv/complete"
)

# Prints a virtual environment that $STACK_USER can use, a copy where the given one is out of reach.
reachable_venv() {
    if as_pg test -x "$1/bin/python"; then
        printf '%s\n' "$1"
    else
        [[ -e $STACK/${1##*/} ]] || cp -r "$1" "$STACK/${1##*/}"
        printf '%s\n' "$STACK/${1##*/}"
    fi
}
