/*
 * Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.
 * cc recover.c -lbarman_recover -o recover && ./recover http://barman:7480 main 'ssh postgres@node1' /data/main
 */
#include <barman_recover.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number; /* no function of the library may be called here */
}

int main(int argc, char **argv)
{
    const char *options[] = {"api-url", "barman-server", "ssh-command", "data-directory"};
    barman_recover *handle = barman_recover_new();
    int event, i, code = 0;

    signal(SIGINT, on_signal);
    for (i = 1; i < argc && i <= 4 && code == 0; i++) /* one that is missing is named below */
        code = barman_recover_set(handle, options[i - 1], argv[i]);
    if (code == 0 && barman_recover_start(handle, "recover") == 0)
        while ((event = barman_recover_next_event(handle, 200)) >= 0) {
            if (event == 1 && strcmp(barman_recover_event(handle, "/level"), "DEBUG") != 0)
                fprintf(stderr, "%s\n", barman_recover_event(handle, "/message"));
            if (interrupted)
                barman_recover_cancel(handle);
        }
    code = barman_recover_code(handle);
    fprintf(stderr, "%s %s\n", barman_recover_code_name(code), barman_recover_get(handle, "/message"));
    barman_recover_free(handle);
    return code & 0xff;
}
