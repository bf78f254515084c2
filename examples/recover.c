/*
 * Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.
 *
 *   cc recover.c -lbarman_recover -o recover
 *   ./recover http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main
 */
#include <barman_recover.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1; /* no function of the library may be called here */
}

/* Called at least about once a second, so Ctrl-C is noticed soon. Any result other than 0 cancels the run. */
static int32_t on_event(int32_t kind, int32_t level, const char *message, void *user_data)
{
    const barman_recover *recovery = user_data;

    switch (kind) {
    case BARMAN_RECOVER_EVENT_LOG:
        if (level >= BARMAN_RECOVER_LEVEL_INFO)
            fprintf(stderr, "%s\n", message);
        break;
    case BARMAN_RECOVER_EVENT_STATE:
        fprintf(stderr, "operation: %s %s\n", barman_recover_state_name(level), message);
        break;
    case BARMAN_RECOVER_EVENT_TICK:
        fprintf(stderr, "%lu s\r", (unsigned long)(barman_recover_elapsed_ms(recovery) / 1000));
        break;
    default: /* of a later version */
        break;
    }
    return interrupted;
}

int main(int argc, char **argv)
{
    barman_recover *recovery;
    int32_t code;

    if (argc != 5) {
        fprintf(stderr, "usage: recover API_URL BARMAN_SERVER SSH_COMMAND DATA_DIRECTORY\n");
        return 2;
    }
    signal(SIGINT, on_signal);

    recovery = barman_recover_new();
    if ((code = barman_recover_set_api_url(recovery, argv[1])) == 0
        && (code = barman_recover_set_barman_server(recovery, argv[2])) == 0
        && (code = barman_recover_set_ssh_command(recovery, argv[3])) == 0
        && (code = barman_recover_set_data_directory(recovery, argv[4])) == 0
        && (code = barman_recover_set_event_callback(recovery, on_event, recovery)) == 0)
        code = barman_recover_run(recovery);

    if (code != BARMAN_RECOVER_RECOVERY_DONE) {
        int32_t state = barman_recover_operation_state(recovery);

        fprintf(stderr, "%s: %s\n", barman_recover_code_name(code), barman_recover_error_message(recovery));
        fprintf(stderr, "%s\n", barman_recover_hint(recovery));
        if (state == BARMAN_RECOVER_STATE_MAYBE_CREATED || state == BARMAN_RECOVER_STATE_IN_PROGRESS)
            fprintf(stderr, "Barman may still be writing into %s\n", argv[4]);
    }
    barman_recover_free(recovery);
    return code & 0xff;
}
