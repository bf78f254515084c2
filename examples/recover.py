"""Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.

python3 recover.py http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main
"""
import sys

from barman_recover import Error, Event, EventKind, Options, State, restore


def show(event: Event) -> None:
    if event.kind in (EventKind.LOG, EventKind.PROGRESS) and event.message:
        print(event.message, file=sys.stderr)
    elif event.kind == EventKind.STATE:
        print(f"operation {event.message}: {State(event.level).name}", file=sys.stderr)


api_url, barman_server, ssh_command, data_directory = sys.argv[1:]
try:
    restore(Options(api_url, barman_server=barman_server, ssh_command=ssh_command, data_directory=data_directory), show)
except Error as error:
    sys.exit(f"{error} {error.hint}")
