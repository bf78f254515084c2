/*
 * Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.
 * cc recover.c -lbarman_recover -o recover && ./recover http://barman:7480 main 'ssh postgres@node1' /data/main
 */
#include <barman_recover.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number; /* no function of the library may be called here */
}

int main(int argc, char **argv)
{
    const char *options[] = {"api-url", "barman-server", "ssh-command", "data-directory"};
    barman_recover *handle = barman_recover_new();
    int event = -1, i;

    if (argc != 5) {
        fprintf(stderr, "usage: recover API_URL BARMAN_SERVER SSH_COMMAND DATA_DIRECTORY\n");
        return 2;
    }
    signal(SIGINT, on_signal);
    for (i = 0; i < 4 && barman_recover_set(handle, options[i], argv[i + 1]) == 0; i++)
        ;
    if (i == 4 && barman_recover_start(handle, "recover") == 0)
        while ((event = barman_recover_next_event(handle, 200)) >= 0) {
            if (event == 1)
                fprintf(stderr, "%s\n", barman_recover_event(handle, "/message"));
            if (interrupted)
                barman_recover_cancel(handle);
        }
    i = barman_recover_code(handle);
    fprintf(stderr, "%s %s\n", barman_recover_code_name(i), barman_recover_get(handle, "/message"));
    barman_recover_free(handle);
    return i & 0xff;
}
