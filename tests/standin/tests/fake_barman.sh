#!/bin/sh
# Barman's command line as far as the stand-in calls it, with one server and one backup. A restore
# makes CONFIG.began, and waits while CONFIG.hold exists.
set -eu
[ "$1" = -c ] || exit 9
config=$2
shift 2
case $1 in
list-servers) echo pg ;;
show-backup) [ "$2" = pg ] && [ "$3" = 20261122T101942 ] ;;
recover)
    [ "$2 $4 $5" = "--remote-ssh-command pg 20261122T101942" ]
    echo "by way of \"$3\""
    : > "$config.began"
    while [ -e "$config.hold" ]; do sleep 0.02; done
    mkdir "$6"
    ;;
diagnose) echo '{"servers": {"pg": {}}}' ;;
esac
