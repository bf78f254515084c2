/*
 * A recovery on a thread of the library's, with events that the host takes when it likes: pulled NAME API_URL
 * DATA_DIRECTORY. Ends with 0, or says on stderr what was not so and ends with 1.
 */
#define _XOPEN_SOURCE 700
#include "host.h"
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static const char *api_url;
static const char *data_directory;
static barman_recover *handle;

static int32_t take(uint32_t timeout_ms)
{
    int32_t kind = barman_recover_next_event(handle, timeout_ms);

    if (kind <= 0) {
        CHECK_TEXT(barman_recover_event_message(handle), "");
        CHECK(barman_recover_event_level(handle) == 0);
    } else {
        CHECK(strcmp(barman_recover_event_name(kind), "UNKNOWN") != 0);
        CHECK(barman_recover_event_message(handle) == barman_recover_event_message(handle));
    }
    return kind;
}

static int32_t take_until_the_end(void)
{
    while (take(60000) != -1)
        ;
    return barman_recover_result(handle);
}

static void take_until_in_progress(void)
{
    int32_t kind;

    do {
        kind = take(60000);
        CHECK(kind > 0);
    } while (kind != BARMAN_RECOVER_EVENT_STATE
             || barman_recover_event_level(handle) != BARMAN_RECOVER_STATE_IN_PROGRESS);
}

/* Every line and state, each once and in its order; of the others the newest. */
static void a_run_is_started_and_followed(void)
{
    int32_t kind, last_state = BARMAN_RECOVER_STATE_NOT_CREATED, percent = -1;
    int logs = 0, states = 0, ticks = 0, waits = 0;

    handle = ready(api_url, data_directory);
    CHECK(take(0) == 0 && take(1) == 0);
    CHECK(barman_recover_start(handle) == 0);
    CHECK(barman_recover_start(handle) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_set(handle, "loop-wait", "1") == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_result(handle) == BARMAN_RECOVER_BUSY);
    while ((kind = take(50)) != -1) {
        int32_t level = barman_recover_event_level(handle);
        const char *message = barman_recover_event_message(handle);

        switch (kind) {
        case BARMAN_RECOVER_EVENT_LOG:
            CHECK(message[0] != '\0' && strcmp(barman_recover_level_name(level), "UNKNOWN") != 0);
            logs++;
            break;
        case BARMAN_RECOVER_EVENT_STATE:
            last_state = level;
            states++;
            break;
        case BARMAN_RECOVER_EVENT_PROGRESS:
            CHECK(message[0] != '\0');
            percent = level;
            break;
        case BARMAN_RECOVER_EVENT_TICK:
            ticks++;
            break;
        default:
            CHECK(kind == 0);
            waits++;
        }
    }
    expect(barman_recover_result(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(logs > 3 && states == 3 && ticks > 0 && waits > 0);
    CHECK(last_state == BARMAN_RECOVER_STATE_DONE && percent == 100);
    CHECK(take(60000) == -1 && take(0) == -1);
    barman_recover_free(handle);
}

/* Nobody takes events for a while: a line is not lost, and the run does not wait. */
static void nothing_is_lost_and_nobody_waits(void)
{
    char first[256];
    int32_t kind;
    int ticks = 0, states = 0, logs = 0;

    handle = ready(api_url, data_directory);
    CHECK(barman_recover_start(handle) == 0);
    while (barman_recover_result(handle) == BARMAN_RECOVER_BUSY)
        sleep_us(10000);
    expect(barman_recover_result(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    while ((kind = take(0)) != -1) {
        CHECK(kind != 0);
        if (kind == BARMAN_RECOVER_EVENT_LOG && logs++ == 0)
            snprintf(first, sizeof first, "%s", barman_recover_event_message(handle));
        ticks += kind == BARMAN_RECOVER_EVENT_TICK;
        states += kind == BARMAN_RECOVER_EVENT_STATE;
    }
    CHECK(logs > 3 && strstr(first, "main") != NULL && states == 3 && ticks <= 1);
    barman_recover_free(handle);

    /* Those of a run without callback can be read afterwards too. */
    handle = ready(api_url, data_directory);
    CHECK(barman_recover_set(handle, "deadline", "600") == 0);
    barman_recover_cancel(handle);
    expect(barman_recover_run(handle), BARMAN_RECOVER_CANCELLED, handle);
    CHECK(take(0) == BARMAN_RECOVER_EVENT_LOG);
    CHECK(take_until_the_end() == BARMAN_RECOVER_CANCELLED);
    barman_recover_free(handle);
}

static void a_started_run_is_cancelled(void)
{
    long begun;

    handle = ready(api_url, data_directory);
    CHECK(barman_recover_start(handle) == 0);
    take_until_in_progress();
    barman_recover_cancel(handle);
    expect(take_until_the_end(), BARMAN_RECOVER_CANCELLED, handle);
    barman_recover_free(handle);

    /* To free it is enough; and a thread that waits for an event wakes up at the end. */
    handle = ready(api_url, data_directory);
    CHECK(barman_recover_set(handle, "no-state-file", "true") == 0);
    CHECK(barman_recover_start(handle) == 0);
    take_until_in_progress();
    begun = now_us();
    barman_recover_free(handle);
    CHECK(now_us() - begun < 60000000);
}

static void a_started_run_is_detached(void)
{
    handle = ready(api_url, data_directory);
    CHECK(barman_recover_start(handle) == 0);
    take_until_in_progress();
    barman_recover_detach(handle);
    expect(take_until_the_end(), BARMAN_RECOVER_CANCELLED, handle);
    CHECK(barman_recover_operation_state(handle) == BARMAN_RECOVER_STATE_IN_PROGRESS);
    barman_recover_free(handle);
    barman_recover_detach(NULL);
}

/* With a callback, a started run calls it, on the thread of the library's. */

static pthread_t host_thread;
static int called;

static int32_t on_event(int32_t kind, int32_t level, const char *message, void *user_data)
{
    sigset_t blocked;

    (void)level;
    CHECK(user_data == &called && message != NULL && kind > 0);
    CHECK(!pthread_equal(pthread_self(), host_thread));
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
    CHECK(sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGALRM) == 1);
    /* None of these waits for the run that waits for this callback. */
    CHECK(barman_recover_next_event(handle, UINT32_MAX) == 0);
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_BUSY && barman_recover_start(handle) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_check(handle) == BARMAN_RECOVER_BUSY);
    barman_recover_free(barman_recover_again(handle));
    __atomic_add_fetch(&called, 1, __ATOMIC_RELAXED);
    return 0;
}

static void a_started_run_calls_back(void)
{
    host_thread = pthread_self();
    handle = ready(api_url, data_directory);
    CHECK(barman_recover_set_event_callback(handle, on_event, &called) == 0);
    CHECK(barman_recover_start(handle) == 0);
    CHECK(barman_recover_next_event(handle, 60000) == -1); /* nothing but the end */
    expect(barman_recover_result(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(__atomic_load_n(&called, __ATOMIC_RELAXED) > 5);
    barman_recover_free(handle);
}

/* What is wrong is known at the end of the run, as with barman_recover_run. */
static void a_start_that_is_refused_ends(void)
{
    CHECK(barman_recover_start(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_next_event(NULL, UINT32_MAX) == -1);
    CHECK(barman_recover_event_level(NULL) == 0);
    CHECK_TEXT(barman_recover_event_message(NULL), "");
    CHECK(barman_recover_result(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    handle = barman_recover_new();
    CHECK(barman_recover_result(handle) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_start(handle) == 0);
    CHECK(take_until_the_end() == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK_TEXT(barman_recover_error_message(handle), "--api-url: is required");
    barman_recover_free(handle);
    barman_recover_free(barman_recover_again(NULL));
}

/* Runs that are freed at any moment, with events that nobody takes. */
static void runs_are_freed_at_any_moment(void)
{
    static unsigned seed = 1;
    struct held before;
    char path[4096];
    int number;

    handle = ready(api_url, data_directory); /* what is made once */
    CHECK(barman_recover_set(handle, "deadline", "1") == 0);
    CHECK(barman_recover_start(handle) == 0);
    barman_recover_free(handle);
    before = held();
    for (number = 0; number < 60; number++) {
        snprintf(path, sizeof path, "%s-%d", data_directory, number);
        handle = ready(api_url, path);
        CHECK(barman_recover_start(handle) == 0);
        sleep_us(rand_r(&seed) % 60000);
        if (number % 3 == 0)
            barman_recover_cancel(handle);
        if (number % 5 == 0)
            barman_recover_detach(handle);
        barman_recover_free(handle);
    }
    check_held(before);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*check)(void);
    } promises[] = {
        {"followed", a_run_is_started_and_followed}, {"unread", nothing_is_lost_and_nobody_waits},
        {"cancelled", a_started_run_is_cancelled},   {"detached", a_started_run_is_detached},
        {"called-back", a_started_run_calls_back},   {"refused", a_start_that_is_refused_ends},
        {"freed", runs_are_freed_at_any_moment},
    };
    size_t i;

    CHECK(argc == 4);
    api_url = argv[2];
    data_directory = argv[3];
    for (i = 0; i < sizeof promises / sizeof promises[0]; i++) {
        if (strcmp(argv[1], promises[i].name) == 0) {
            promises[i].check();
            return 0;
        }
    }
    CHECK(!"a known promise");
}
