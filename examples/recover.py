"""Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.

python3 recover.py http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main
"""
import sys

from barman_recover import Error, Event, Options, restore


def show(event: Event) -> None:
    print(event.message, file=sys.stderr)


api_url, barman_server, ssh_command, data_directory = sys.argv[1:]
try:
    restore(Options(api_url, barman_server=barman_server, ssh_command=ssh_command, data_directory=data_directory), show)
except Error as error:
    sys.exit(f"{error} {error.hint}")
