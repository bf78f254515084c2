/*
 * What the header promises, one function per promise: promises NAME [API_URL DATA_DIRECTORY].
 * Ends with 0, or says on stderr which line was disappointed and ends with 1.
 */
#define _XOPEN_SOURCE 700
#include "host.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static const char *api_url;
static const char *data_directory;

/* What the event callback has seen, and what it is to do. */
static barman_recover *recovery;
static pthread_t running_thread;
static int logs, states, ticks, first_states[3];
static int answer_to_state, reenter;
static char operation_id[64];

static int32_t on_event(int32_t kind, int32_t level, const char *message, void *user_data)
{
    CHECK(user_data == &logs);
    CHECK(message != NULL);
    CHECK(pthread_equal(pthread_self(), running_thread));
    if (reenter) {
        CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_BUSY);
        CHECK(barman_recover_set_loop_wait(recovery, 1) == BARMAN_RECOVER_BUSY);
        CHECK(barman_recover_set_event_callback(recovery, NULL, NULL) == BARMAN_RECOVER_BUSY);
        CHECK_TEXT(barman_recover_error_message(recovery), "");
        barman_recover_elapsed_ms(recovery);
    }
    switch (kind) {
    case BARMAN_RECOVER_EVENT_LOG:
        CHECK(level >= BARMAN_RECOVER_LEVEL_DEBUG && level <= BARMAN_RECOVER_LEVEL_ERROR);
        CHECK(message[0] != '\0');
        logs++;
        return 0;
    case BARMAN_RECOVER_EVENT_STATE:
        CHECK(barman_recover_operation_state(recovery) == level);
        CHECK_TEXT(barman_recover_operation_id(recovery), message);
        snprintf(operation_id, sizeof operation_id, "%s", message);
        if (states < 3)
            first_states[states] = level;
        states++;
        return level == BARMAN_RECOVER_STATE_IN_PROGRESS ? answer_to_state : 0;
    case BARMAN_RECOVER_EVENT_PROGRESS:
        CHECK(level >= -1 && level <= 100);
        CHECK(message[0] != '\0');
        CHECK(barman_recover_bytes(recovery) > 0);
        return 0;
    default:
        CHECK(kind == BARMAN_RECOVER_EVENT_TICK && level == 0);
        CHECK_TEXT(message, "");
        ticks++;
        return 0;
    }
}

static void set_up(void)
{
    running_thread = pthread_self();
    recovery = barman_recover_new();
    CHECK(recovery != NULL);
    CHECK(barman_recover_set_api_url(recovery, api_url) == 0);
    CHECK(barman_recover_set_barman_server(recovery, "main") == 0);
    CHECK(barman_recover_set_ssh_command(recovery, "ssh node") == 0);
    CHECK(barman_recover_set_data_directory(recovery, data_directory) == 0);
    CHECK(barman_recover_set_event_callback(recovery, on_event, &logs) == 0);
}

static void null_is_an_answer_everywhere(void)
{
    typedef int32_t (*text_setter)(barman_recover *, const char *);
    typedef int32_t (*number_setter)(barman_recover *, uint32_t);
    static const text_setter texts[] = {
        barman_recover_set_api_url,       barman_recover_set_cert_file,   barman_recover_set_key_file,
        barman_recover_set_ca_file,       barman_recover_set_proxy,       barman_recover_set_barman_server,
        barman_recover_set_backup_id,     barman_recover_set_ssh_command, barman_recover_set_data_directory,
        barman_recover_set_operation_id,  barman_recover_set_state_file,
    };
    static const number_setter numbers[] = {
        barman_recover_set_retry_wait,      barman_recover_set_max_retries,    barman_recover_set_connect_timeout,
        barman_recover_set_request_timeout, barman_recover_set_create_timeout, barman_recover_set_loop_wait,
        barman_recover_set_max_outage,      barman_recover_set_deadline,
    };
    barman_recover *handle = barman_recover_new();
    size_t i;

    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CHECK(texts[i](NULL, "x") == BARMAN_RECOVER_INVALID_ARGUMENT);
        CHECK(texts[i](NULL, NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
        CHECK(texts[i](handle, NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
        CHECK(strstr(barman_recover_error_message(handle), "must not be NULL") != NULL);
    }
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        CHECK(numbers[i](NULL, 1) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_set_verify(NULL, 1) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_set_no_state_file(NULL, 1) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_set_event_callback(NULL, on_event, NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_set_event_callback(handle, NULL, NULL) == 0);
    CHECK(barman_recover_run(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    barman_recover_cancel(NULL);
    CHECK_TEXT(barman_recover_error_message(NULL), "");
    CHECK_TEXT(barman_recover_hint(NULL), "");
    CHECK_TEXT(barman_recover_operation_id(NULL), "");
    CHECK(barman_recover_operation_state(NULL) == BARMAN_RECOVER_STATE_NOT_CREATED);
    CHECK(barman_recover_http_status(NULL) == 0);
    CHECK(barman_recover_elapsed_ms(NULL) == 0);
    CHECK(barman_recover_bytes(NULL) == 0 && barman_recover_total_bytes(NULL) == 0);
    CHECK(barman_recover_finding_count(NULL) == 0 && barman_recover_listed_count(NULL) == 0);
    CHECK(barman_recover_finding_verdict(NULL, 0) == -1 && barman_recover_listed_state(NULL, 0) == -1);
    CHECK_TEXT(barman_recover_finding_what(NULL, 0), "");
    CHECK_TEXT(barman_recover_finding_detail(NULL, 0), "");
    CHECK_TEXT(barman_recover_finding_hint(NULL, 0), "");
    CHECK_TEXT(barman_recover_listed_id(NULL, 0), "");
    CHECK_TEXT(barman_recover_listed_kind(NULL, 0), "");
    barman_recover_detach(NULL);
    barman_recover_free(handle);
    barman_recover_free(NULL);
}

static void refused_values_are_explained(void)
{
    const char *first;

    recovery = barman_recover_new();
    CHECK_TEXT(barman_recover_error_message(recovery), "");
    CHECK(barman_recover_set_barman_server(recovery, "caf\xe9") == BARMAN_RECOVER_INVALID_ARGUMENT);
    first = barman_recover_error_message(recovery);
    CHECK_TEXT(first, "--barman-server: is not valid UTF-8");
    CHECK(barman_recover_set_barman_server(recovery, "caf\xc3\xa9") == 0);
    CHECK(barman_recover_set_api_url(recovery, "barman:7480") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(strncmp(barman_recover_error_message(recovery), "--api-url: ", 11) == 0);
    CHECK(barman_recover_set_connect_timeout(recovery, 0) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_set_data_directory(recovery, "") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK_TEXT(barman_recover_error_message(recovery), "--api-url: is required");
    CHECK(barman_recover_error_message(recovery) == barman_recover_error_message(recovery));
    CHECK_TEXT(first, "--barman-server: is not valid UTF-8");
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_BUSY);
    barman_recover_free(recovery);
}

static void library_and_header_have_one_version(void)
{
    CHECK(barman_recover_version_number() == BARMAN_RECOVER_VERSION_NUMBER);
    CHECK_TEXT(barman_recover_version(), BARMAN_RECOVER_VERSION);
    CHECK_TEXT(barman_recover_code_name(BARMAN_RECOVER_API_NOT_OK), "API_NOT_OK");
    CHECK_TEXT(barman_recover_code_name(12345), "UNKNOWN");
    CHECK_TEXT(barman_recover_state_name(BARMAN_RECOVER_STATE_IN_PROGRESS), "IN_PROGRESS");
    CHECK_TEXT(barman_recover_state_name(-1), "UNKNOWN");
}

/* A restore of some seconds: events, functions in the callback, what is left afterwards. */
static void a_run_tells_and_reports(void)
{
    const char *id;
    uint64_t elapsed;

    set_up();
    reenter = 1;
    CHECK(barman_recover_elapsed_ms(recovery) == 0);
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_RECOVERY_DONE);
    CHECK(logs > 0 && states == 3 && ticks > 0);
    CHECK(first_states[0] == BARMAN_RECOVER_STATE_MAYBE_CREATED);
    CHECK(first_states[1] == BARMAN_RECOVER_STATE_IN_PROGRESS);

    id = barman_recover_operation_id(recovery);
    CHECK(id[0] != '\0');
    CHECK_TEXT(id, operation_id);
    CHECK(barman_recover_operation_state(recovery) == BARMAN_RECOVER_STATE_DONE);
    CHECK(barman_recover_http_status(recovery) == 200);
    CHECK_TEXT(barman_recover_error_message(recovery), "");
    elapsed = barman_recover_elapsed_ms(recovery);
    CHECK(elapsed > 0);

    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_set_backup_id(recovery, "oldest") == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_set_backup_id(recovery, NULL) == BARMAN_RECOVER_BUSY);
    barman_recover_cancel(recovery);
    CHECK_TEXT(barman_recover_error_message(recovery), "");
    CHECK(barman_recover_operation_state(recovery) == BARMAN_RECOVER_STATE_DONE);
    CHECK(barman_recover_operation_id(recovery) == id);
    CHECK(barman_recover_elapsed_ms(recovery) == elapsed);
    barman_recover_free(recovery);
}

static void cancelled_before_nothing_is_sent(void)
{
    set_up();
    barman_recover_cancel(recovery);
    barman_recover_cancel(recovery);
    CHECK(barman_recover_set_loop_wait(recovery, 1) == 0);
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_CANCELLED);
    CHECK(barman_recover_operation_state(recovery) == BARMAN_RECOVER_STATE_NOT_CREATED);
    barman_recover_free(recovery);
}

static void the_callback_cancels(void)
{
    set_up();
    answer_to_state = 1;
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_CANCELLED);
    CHECK(barman_recover_operation_state(recovery) == BARMAN_RECOVER_STATE_IN_PROGRESS);
    CHECK_TEXT(barman_recover_operation_id(recovery), operation_id);
    CHECK(barman_recover_error_message(recovery)[0] != '\0');
    barman_recover_free(recovery);
}

static int finished;

/* Calls all kinds of functions, and cancels when the operation runs, or else some time into the run. */
static void *other_thread(void *wait_for_operation)
{
    while (wait_for_operation != NULL
               ? barman_recover_operation_state(recovery) != BARMAN_RECOVER_STATE_IN_PROGRESS
               : barman_recover_elapsed_ms(recovery) < 200) {
        CHECK(barman_recover_error_message(recovery) != NULL);
        barman_recover_elapsed_ms(recovery);
        barman_recover_set_deadline(recovery, 3600);
        sleep_us(2000);
    }
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_BUSY);
    barman_recover_cancel(recovery);
    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        CHECK(strlen(barman_recover_error_message(recovery)) < 1000);
        CHECK(strlen(barman_recover_hint(recovery)) < 1000);
        CHECK(strlen(barman_recover_operation_id(recovery)) < 1000);
    }
    return NULL;
}

static void another_thread_cancels(int wait_for_operation)
{
    pthread_t thread;

    set_up();
    CHECK(barman_recover_set_request_timeout(recovery, 3600) == 0);
    CHECK(pthread_create(&thread, NULL, other_thread, wait_for_operation ? &finished : NULL) == 0);
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_CANCELLED);
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    barman_recover_free(recovery);
}

static volatile sig_atomic_t pipes, alarms;

static void on_signal(int number)
{
    if (number == SIGPIPE)
        pipes++;
    else
        alarms++;
}

/* Resets of the server raise no SIGPIPE, signals of the host's don't disturb: every few milliseconds one
   that interrupts system calls. */
static void signals_do_no_harm(void)
{
    struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    set_up();
    CHECK(barman_recover_set_retry_wait(recovery, 0) == 0);
    CHECK(barman_recover_set_create_timeout(recovery, 2) == 0); /* so long a lost create is looked for */
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_RECOVERY_DONE);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(pipes == 0 && alarms > 0);
    CHECK(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == on_signal);
    barman_recover_free(recovery);
}

/* Only of a library with the feature panic-test. */
static void a_panic_is_caught(void)
{
    set_up();
    CHECK(barman_recover_set_backup_id(recovery, "panic!") == BARMAN_RECOVER_PANIC);
    CHECK(strstr(barman_recover_error_message(recovery), "panic test") != NULL);
    CHECK(strstr(barman_recover_error_message(recovery), "handle.rs:") != NULL);
    CHECK(barman_recover_hint(recovery)[0] != '\0');
    CHECK(barman_recover_set_backup_id(recovery, "latest") == BARMAN_RECOVER_PANIC);
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_PANIC);
    barman_recover_cancel(recovery);
    barman_recover_free(recovery);

    set_up();
    CHECK(barman_recover_set_backup_id(recovery, "panic in run!") == 0);
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_PANIC);
    CHECK(strstr(barman_recover_error_message(recovery), "panic test") != NULL);
    CHECK(barman_recover_elapsed_ms(recovery) == barman_recover_elapsed_ms(recovery));
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_PANIC);
    barman_recover_free(recovery);

    set_up(); /* on a thread of the library's too */
    CHECK(barman_recover_set_event_callback(recovery, NULL, NULL) == 0);
    CHECK(barman_recover_set_backup_id(recovery, "panic in run!") == 0);
    CHECK(barman_recover_start(recovery) == 0);
    while (barman_recover_next_event(recovery, 60000) != -1)
        ;
    CHECK(barman_recover_result(recovery) == BARMAN_RECOVER_PANIC);
    CHECK(barman_recover_set_loop_wait(recovery, 1) == BARMAN_RECOVER_PANIC);
    barman_recover_free(recovery);

    set_up(); /* other handles are not concerned */
    CHECK(barman_recover_run(recovery) == BARMAN_RECOVER_RECOVERY_DONE);
    barman_recover_free(recovery);
}

int main(int argc, char **argv)
{
    const char *promise = argc > 1 ? argv[1] : "";

    api_url = argc > 3 ? argv[2] : "";
    data_directory = argc > 3 ? argv[3] : "";
    if (strcmp(promise, "null") == 0)
        null_is_an_answer_everywhere();
    else if (strcmp(promise, "refused") == 0)
        refused_values_are_explained();
    else if (strcmp(promise, "version") == 0)
        library_and_header_have_one_version();
    else if (strcmp(promise, "run") == 0)
        a_run_tells_and_reports();
    else if (strcmp(promise, "cancelled-before") == 0)
        cancelled_before_nothing_is_sent();
    else if (strcmp(promise, "callback-cancels") == 0)
        the_callback_cancels();
    else if (strcmp(promise, "thread-cancels-operation") == 0)
        another_thread_cancels(1);
    else if (strcmp(promise, "thread-cancels-request") == 0)
        another_thread_cancels(0);
    else if (strcmp(promise, "signals") == 0)
        signals_do_no_harm();
    else if (strcmp(promise, "panic") == 0)
        a_panic_is_caught();
    else
        CHECK(!"a known promise");
    return 0;
}
