/*
 * A promise of the header each: promises NAME API_URL DATA_DIRECTORY. Ends with 0, or says on stderr what was not so.
 * "scenario NAME=VALUE..." sets these options, recovers, and prints the names of the code and of the operation's state.
 */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>

static const char *api_url, *data_directory;

static const char *at(barman_recover *handle, const char *pointer)
{
    return barman_recover_get(handle, pointer);
}

static int contains(const char *text, const char *words)
{
    return strstr(text, words) != NULL;
}

/* Takes all events of the command; returns how many. */
static int drain(barman_recover *handle)
{
    int taken = 0, event;

    while ((event = barman_recover_next_event(handle, 60000)) >= 0)
        taken += event;
    CHECK(barman_recover_next_event(handle, 60000) == -1);
    return taken;
}

static int32_t started(barman_recover *handle, const char *command)
{
    CHECK(barman_recover_start(handle, command) == 0);
    drain(handle);
    return barman_recover_code(handle);
}

static void null(void)
{
    barman_recover *handle = barman_recover_new();

    barman_recover_free(NULL);
    barman_recover_cancel(NULL);
    CHECK(barman_recover_set(NULL, "api-url", "http://h") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_set(NULL, NULL, NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_run(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_call(NULL, "check") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_start(NULL, NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_next_event(NULL, 60000) == -1);
    CHECK(barman_recover_code(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK_TEXT(barman_recover_event(NULL, ""), "");
    CHECK_TEXT(barman_recover_get(NULL, "/message"), "");

    CHECK(barman_recover_code(handle) == BARMAN_RECOVER_NO_COMMAND);
    CHECK_TEXT(at(handle, "/code_name"), "NO_COMMAND");
    CHECK_TEXT(at(handle, "/message"), "");
    CHECK_TEXT(at(handle, NULL), "");
    CHECK_TEXT(at(handle, "\xff"), "");
    CHECK_TEXT(barman_recover_event(handle, NULL), "");
    CHECK_TEXT(barman_recover_event(handle, ""), "");
    CHECK(barman_recover_next_event(handle, 0) == 0);
    CHECK(barman_recover_set(handle, NULL, "x") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK_TEXT(at(handle, "/message"), "the name of an option must not be NULL");
    CHECK(barman_recover_call(handle, NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_start(handle, "recoverr") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(contains(at(handle, "/message"), "there is no command 'recoverr', only recover, check, "));
    barman_recover_free(handle);
}

static void version(void)
{
    char text[32];

    snprintf(text, sizeof text, "%d.%d.%d", BARMAN_RECOVER_VERSION_MAJOR, BARMAN_RECOVER_VERSION_MINOR,
             BARMAN_RECOVER_VERSION_PATCH);
    CHECK(barman_recover_version_number() == BARMAN_RECOVER_VERSION_NUMBER);
    CHECK(strncmp(barman_recover_version(), text, strlen(text)) == 0);
    CHECK_TEXT(barman_recover_version(), BARMAN_RECOVER_VERSION);
    CHECK_TEXT(barman_recover_code_name(BARMAN_RECOVER_API_NOT_OK), "API_NOT_OK");
    CHECK_TEXT(barman_recover_code_name(77), "UNKNOWN");
    CHECK(contains(barman_recover_options(), "{\"name\":\"api-url\",\"alias\":\"\",\"kind\":\"url\",\"default\":\"\","
                                             "\"required\":true,\"commands\":[\"recover\",\"check\","));
    CHECK(barman_recover_options() == barman_recover_options());
}

static void refused(void)
{
    static const char *const values[][3] = {
        {"api-url", "no-url", "--api-url: "},     {"loop-wait", "-1", "--loop-wait: takes whole seconds"},
        {"api_url", "\xff", "is not valid UTF-8"}, {"no-verify", "maybe", "takes true or false"},
        {"api-url", "", "must not be empty"},      {"lop-wait", "1", "did you mean 'loop-wait'?"},
        {"\xff", "1", "is not valid UTF-8"},       {"switch-when", "never", "takes one of promoted, demoted, always"},
    };
    barman_recover *handle = ready(api_url, data_directory);
    size_t i;

    for (i = 0; i < sizeof values / sizeof *values; i++) {
        CHECK(barman_recover_set(handle, values[i][0], values[i][1]) == BARMAN_RECOVER_INVALID_ARGUMENT);
        CHECK(contains(at(handle, "/message"), values[i][2]));
        CHECK_TEXT(at(handle, "/code"), "-3");
    }
    CHECK(barman_recover_set(handle, "api-url", "http://user:geheim@h x") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(!contains(at(handle, ""), "geheim"));
    /* NULL is the default again. */
    set(handle, "ssh-command", NULL);
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(contains(at(handle, "/message"), "--ssh-command"));
    CHECK_TEXT(at(handle, "/operation_state"), "NOT_CREATED");
    /* One that is started ends like that too. */
    CHECK(started(handle, "recover") == BARMAN_RECOVER_INVALID_ARGUMENT);
    barman_recover_free(handle);
}

/* A recovery on a thread of the library, with its events. */
static void events(void)
{
    barman_recover *handle = ready(api_url, data_directory);
    int states = 0, lines = 0, progress = 0, event;

    CHECK(barman_recover_start(handle, "recover") == 0);
    CHECK(barman_recover_code(handle) == BARMAN_RECOVER_BUSY);
    CHECK_TEXT(at(handle, "/message"), "the command recover is running");
    while ((event = barman_recover_next_event(handle, 60000)) >= 0) {
        const char *kind = barman_recover_event(handle, "/kind");

        CHECK(event == 1 && *barman_recover_event(handle, "/message") != '\0');
        CHECK(*barman_recover_event(handle, "/level") != '\0');
        lines += strcmp(kind, "log") == 0;
        if (strcmp(kind, "state") == 0) {
            states++;
            CHECK(!is_state(handle, "IN_PROGRESS") || *barman_recover_event(handle, "/operation_id") != '\0');
        }
        if (strcmp(kind, "progress") == 0)
            progress = atoi(barman_recover_event(handle, "/bytes")) > 0;
    }
    expect(handle, barman_recover_code(handle), BARMAN_RECOVER_RECOVERY_DONE);
    CHECK(states >= 3 && lines >= 3 && progress);
    CHECK_TEXT(at(handle, "/code_name"), "RECOVERY_DONE");
    CHECK_TEXT(at(handle, "/operation_state"), "DONE");
    CHECK_TEXT(at(handle, "/backup_id"), "20261122T101942");
    CHECK(atof(at(handle, "/elapsed_seconds")) > 1.0 && atoi(at(handle, "/bytes")) > 0);
    CHECK(*at(handle, "/operation_id") != '\0' && *at(handle, "/hint") == '\0');
    CHECK(*at(handle, "/warnings") == '[' && strncmp(at(handle, ""), "{\"", 2) == 0);
    barman_recover_free(handle);
}

/* Events that nobody takes during the run are kept. */
static void unread(void)
{
    barman_recover *handle = ready(api_url, data_directory);

    expect(handle, barman_recover_run(handle), BARMAN_RECOVER_RECOVERY_DONE);
    CHECK(drain(handle) > 5);
    barman_recover_free(handle);
}

/* One handle, every command. */
static void reused(void)
{
    barman_recover *handle = ready(api_url, data_directory);

    CHECK(barman_recover_call(handle, "verify") == BARMAN_RECOVER_RECOVERY_FAILED);
    CHECK_TEXT(at(handle, "/state"), "incomplete");
    barman_recover_call(handle, "check"); /* what it makes of the options is no matter here */
    CHECK(*at(handle, "/findings/0/verdict") != '\0' && *at(handle, "/findings/0/what") != '\0');
    CHECK(*at(handle, "/findings/0/detail") != '\0' && *at(handle, "/state") == '\0');
    expect(handle, barman_recover_run(handle), BARMAN_RECOVER_RECOVERY_DONE);
    CHECK(*at(handle, "/findings") == '\0');
    CHECK(started(handle, "operations") == 0);
    CHECK_TEXT(at(handle, "/operations/0/kind"), "recovery");
    CHECK_TEXT(at(handle, "/operations/0/state"), "DONE");
    CHECK(*at(handle, "/operations/0/id") != '\0' && *at(handle, "/operations/9") == '\0');
    CHECK(barman_recover_call(handle, "backups") == 0);
    CHECK_TEXT(at(handle, "/backups/0/id"), "20261122T101942");
    CHECK_TEXT(at(handle, "/backups/0/is_complete"), "true");
    CHECK(barman_recover_call(handle, "verify") == 0);
    CHECK_TEXT(at(handle, "/state"), "complete");
    CHECK_TEXT(at(handle, "/backup/id"), "20261122T101942");
    CHECK(barman_recover_call(handle, "settle") == 0);
    CHECK(*at(handle, "/left_alone") != '\0');
    CHECK_TEXT(at(handle, "/moved_to"), "[]");
    set(handle, "barman-server", "nope");
    CHECK(barman_recover_call(handle, "operations") == BARMAN_RECOVER_HTTP_ERROR);
    CHECK(*at(handle, "/message") != '\0' && *at(handle, "/hint") != '\0');
    barman_recover_free(handle);
}

static void switched(void)
{
    barman_recover *handle = ready(api_url, data_directory);

    set(handle, "switch-when", "promoted");
    set(handle, "barman-model", "model");
    CHECK(barman_recover_call(handle, "config-switch") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(contains(at(handle, "/message"), "--role"));
    set(handle, "role", "replica");
    CHECK(barman_recover_call(handle, "config-switch") == 0);
    CHECK_TEXT(at(handle, "/switched"), "false");
    set(handle, "role", "primary");
    expect(handle, barman_recover_call(handle, "config-switch"), BARMAN_RECOVER_RECOVERY_DONE);
    CHECK_TEXT(at(handle, "/switched"), "true");
    CHECK_TEXT(at(handle, "/operation_state"), "DONE");
    barman_recover_free(handle);
}

/* A cancel with nothing running ends the next command, and only that. */
static void cancelled_before(void)
{
    barman_recover *handle = ready("http://127.0.0.1:1", data_directory);

    barman_recover_cancel(handle);
    barman_recover_cancel(handle);
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_CANCELLED);
    CHECK_TEXT(at(handle, "/message"), "cancelled");
    set(handle, "max-retries", "1");
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_API_NOT_OK);
    barman_recover_cancel(handle);
    CHECK(started(handle, "check") == BARMAN_RECOVER_CANCELLED);
    CHECK(barman_recover_call(handle, "verify") == BARMAN_RECOVER_RECOVERY_FAILED);
    barman_recover_free(handle);
}

static void *run(void *handle)
{
    return (void *)(intptr_t)barman_recover_run(handle);
}

/* Cancels a run of another thread, when this state is reached; "" is at once. */
static void cancelled_at(const char *state)
{
    barman_recover *handle = ready(api_url, data_directory);
    pthread_t thread;
    void *code;

    CHECK(pthread_create(&thread, NULL, run, handle) == 0);
    while (*state != '\0' && !is_state(handle, state))
        CHECK(barman_recover_next_event(handle, 60000) >= 0);
    if (*state == '\0')
        sleep_us(100000);
    barman_recover_cancel(handle);
    CHECK(pthread_join(thread, &code) == 0);
    CHECK((intptr_t)code == BARMAN_RECOVER_CANCELLED);
    drain(handle);
    barman_recover_free(handle);
}

static void busy(void)
{
    barman_recover *handle = ready(api_url, data_directory);

    CHECK(barman_recover_start(handle, "recover") == 0);
    CHECK(barman_recover_set(handle, "loop-wait", "1") == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_start(handle, "check") == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_call(handle, "no such") == BARMAN_RECOVER_BUSY);
    CHECK_TEXT(at(handle, "/message"), "the command recover is running");
    CHECK_TEXT(at(handle, "/code"), "-6");
    barman_recover_cancel(handle);
    drain(handle);
    CHECK(barman_recover_code(handle) == BARMAN_RECOVER_CANCELLED);
    set(handle, "loop-wait", "2");
    barman_recover_free(handle);
}

/* At any moment of a run, of this thread's or of another's. */
static void freed(void)
{
    static const long moments[] = {0, 100, 1000, 10000, 50000, 200000};
    struct held before = held();
    size_t i;

    for (i = 0; i < sizeof moments / sizeof *moments; i++) {
        barman_recover *handle = ready(api_url, data_directory);
        pthread_t thread;
        void *code;

        CHECK(barman_recover_start(handle, "recover") == 0);
        sleep_us(moments[i]);
        barman_recover_free(handle);

        handle = ready(api_url, data_directory);
        CHECK(pthread_create(&thread, NULL, run, handle) == 0);
        while (barman_recover_code(handle) == BARMAN_RECOVER_NO_COMMAND)
            sleep_us(100);
        sleep_us(moments[i]);
        barman_recover_free(handle);
        CHECK(pthread_join(thread, &code) == 0);
        CHECK((intptr_t)code == BARMAN_RECOVER_CANCELLED);
    }
    check_held(before);
}

/* In a library that was built for it. */
static void panics(void)
{
    barman_recover *handle = ready(api_url, data_directory);

    CHECK(barman_recover_set(handle, "ssh-command", "panic!") == BARMAN_RECOVER_PANIC);
    CHECK(contains(at(handle, "/message"), "a bug in barman-recover: "));
    set(handle, "ssh-command", "panic in run!");
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_PANIC);
    CHECK(contains(at(handle, "/message"), "panic test") && *at(handle, "/hint") != '\0');
    set(handle, "ssh-command", "ssh node");
    expect(handle, barman_recover_run(handle), BARMAN_RECOVER_RECOVERY_DONE);
    barman_recover_free(handle);
}

static int scenario(char **options)
{
    barman_recover *handle = barman_recover_new();
    int32_t code;

    for (; *options != NULL; options++) {
        char *value = strchr(*options, '=');

        CHECK(value != NULL);
        *value = '\0';
        (void)barman_recover_set(handle, *options, value + 1); /* one that is refused is left out */
    }
    code = barman_recover_run(handle);
    printf("%s %s\n", barman_recover_code_name(code), at(handle, "/operation_state"));
    barman_recover_free(handle);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct named promises[] = {
        {"null", null},     {"version", version}, {"refused", refused},   {"events", events},
        {"unread", unread}, {"reused", reused},   {"switched", switched}, {"cancelled-before", cancelled_before},
        {"busy", busy},     {"freed", freed},     {"panics", panics},
    };

    if (argc > 1 && strcmp(argv[1], "scenario") == 0)
        return scenario(argv + 2);
    CHECK(argc == 4);
    api_url = argv[2];
    data_directory = argv[3];
    if (strncmp(argv[1], "cancelled-at=", 13) == 0) {
        cancelled_at(argv[1] + 13);
        return 0;
    }
    run_named(promises, sizeof promises / sizeof *promises, argv[1]);
    return 0;
}
