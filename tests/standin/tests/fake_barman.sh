#!/bin/sh
# Barman's command line as far as the stand-in calls it, with one server and one backup. A restore
# waits while CONFIG.hold exists, and writes the process group that it runs in to CONFIG.group.
set -eu
[ "$1" = -c ] || exit 9
config=$2
shift 2
case $1 in
list-servers) echo pg ;;
show-backup) [ "$2" = pg ] && [ "$3" = 20261122T101942 ] ;;
recover)
    [ "$2 $4 $5" = "--remote-ssh-command pg 20261122T101942" ]
    echo "by way of $3"
    echo "$PPID" > "$config.group.new"
    mv "$config.group.new" "$config.group"
    while [ -e "$config.hold" ]; do sleep 0.02; done
    mkdir "$6"
    ;;
config-switch) [ "$2 $3" = "pg --reset" ] ;;
diagnose) echo '{"servers": {"pg": {}}}' ;;
esac
