/*
 * A host that gets to know the library only at run time: plugin LIBRARY API_URL DIRECTORY COUNT. Loads it,
 * restores with progress, unloads it, COUNT times; in the last cycle it cancels a run that would not end.
 */
#define _GNU_SOURCE
#include "host.h"
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

static struct {
    void *library;
    __typeof__(barman_recover_new) *new_;
    __typeof__(barman_recover_free) *free_;
    __typeof__(barman_recover_set_api_url) *set_api_url, *set_barman_server, *set_ssh_command, *set_data_directory;
    __typeof__(barman_recover_set) *set;
    __typeof__(barman_recover_again) *again;
    __typeof__(barman_recover_check) *check;
    __typeof__(barman_recover_finding_count) *finding_count;
    __typeof__(barman_recover_start) *start;
    __typeof__(barman_recover_next_event) *next_event;
    __typeof__(barman_recover_event_level) *event_level;
    __typeof__(barman_recover_event_message) *event_message;
    __typeof__(barman_recover_result) *result;
    __typeof__(barman_recover_set_event_callback) *set_event_callback;
    __typeof__(barman_recover_run) *run;
    __typeof__(barman_recover_cancel) *cancel;
    __typeof__(barman_recover_error_message) *error_message;
    __typeof__(barman_recover_version_number) *version_number;
} plugin;

static void *symbol(const char *name)
{
    void *found = dlsym(plugin.library, name);

    CHECK(found != NULL);
    return found;
}

static void load(const char *path)
{
    plugin.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugin.library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(plugin.library != NULL);
    plugin.version_number = symbol("barman_recover_version_number");
    CHECK(plugin.version_number() == BARMAN_RECOVER_VERSION_NUMBER);
    plugin.new_ = symbol("barman_recover_new");
    plugin.free_ = symbol("barman_recover_free");
    plugin.set_api_url = symbol("barman_recover_set_api_url");
    plugin.set_barman_server = symbol("barman_recover_set_barman_server");
    plugin.set_ssh_command = symbol("barman_recover_set_ssh_command");
    plugin.set_data_directory = symbol("barman_recover_set_data_directory");
    plugin.set_event_callback = symbol("barman_recover_set_event_callback");
    plugin.set = symbol("barman_recover_set");
    plugin.again = symbol("barman_recover_again");
    plugin.check = symbol("barman_recover_check");
    plugin.finding_count = symbol("barman_recover_finding_count");
    plugin.start = symbol("barman_recover_start");
    plugin.next_event = symbol("barman_recover_next_event");
    plugin.event_level = symbol("barman_recover_event_level");
    plugin.event_message = symbol("barman_recover_event_message");
    plugin.result = symbol("barman_recover_result");
    plugin.run = symbol("barman_recover_run");
    plugin.cancel = symbol("barman_recover_cancel");
    plugin.error_message = symbol("barman_recover_error_message");
}

struct cycle {
    barman_recover *recovery;
    const char *api_url, *directory;
    int number, states;
    int32_t cancelled_at; /* the state in which to end the run */
    int32_t code;
};

static int32_t on_event(int32_t kind, int32_t level, const char *message, void *user_data)
{
    struct cycle *cycle = user_data;

    (void)message;
    if (kind != BARMAN_RECOVER_EVENT_STATE)
        return 0;
    cycle->states++;
    if (level == cycle->cancelled_at)
        plugin.cancel(cycle->recovery);
    return 0;
}

/* On a thread of the library's, which ends before it is unloaded. */
static int32_t run_beside(struct cycle *cycle)
{
    int32_t kind;

    CHECK(plugin.start(cycle->recovery) == 0);
    while ((kind = plugin.next_event(cycle->recovery, 60000)) != -1)
        on_event(kind, plugin.event_level(cycle->recovery), plugin.event_message(cycle->recovery), cycle);
    return plugin.result(cycle->recovery);
}

/* What a check makes of the options is no matter here. */
static void check_first(struct cycle *cycle)
{
    barman_recover *first = plugin.again(cycle->recovery);

    plugin.check(first);
    CHECK(plugin.finding_count(first) > 0);
    plugin.free_(first);
}

/* On a thread that outlives the library: what is thread-local in it ends after dlclose. */
static void *run(void *user_data)
{
    struct cycle *cycle = user_data;
    char path[4096];

    snprintf(path, sizeof path, "%s/%d", cycle->directory, cycle->number);
    cycle->recovery = plugin.new_();
    CHECK(plugin.set_api_url(cycle->recovery, cycle->api_url) == 0);
    CHECK(plugin.set_barman_server(cycle->recovery, "main") == 0);
    CHECK(plugin.set_ssh_command(cycle->recovery, "ssh node") == 0);
    CHECK(plugin.set_data_directory(cycle->recovery, path) == 0);
    CHECK(plugin.set(cycle->recovery, "loop-wait", "1") == 0);
    if (cycle->number % 4 < 2) {
        CHECK(plugin.set_event_callback(cycle->recovery, on_event, cycle) == 0);
        cycle->code = plugin.run(cycle->recovery);
    } else {
        check_first(cycle);
        cycle->code = run_beside(cycle);
    }
    if (cycle->code != BARMAN_RECOVER_RECOVERY_DONE && cycle->code != BARMAN_RECOVER_CANCELLED)
        fprintf(stderr, "%s\n", plugin.error_message(cycle->recovery));
    plugin.free_(cycle->recovery);
    CHECK(dlclose(plugin.library) == 0);
    return NULL;
}

int main(int argc, char **argv)
{
    struct held before;
    long memory = 0;
    int count, number, warm;

    CHECK(argc == 5);
    count = atoi(argv[4]);
    warm = count / 4 + 1;
    before = held();
    for (number = 0; number < count; number++) {
        struct cycle cycle = {NULL, argv[2], argv[3], number, 0, -1, BARMAN_RECOVER_PANIC};
        int last = number + 1 == count;
        pthread_t thread;

        if (last)
            cycle.cancelled_at = BARMAN_RECOVER_STATE_IN_PROGRESS;
        load(argv[1]);
        if (number % 2 == 0) {
            run(&cycle);
        } else {
            CHECK(pthread_create(&thread, NULL, run, &cycle) == 0);
            pthread_join(thread, NULL);
        }
        CHECK(cycle.code == (last ? BARMAN_RECOVER_CANCELLED : BARMAN_RECOVER_RECOVERY_DONE));
        CHECK(cycle.states >= (last ? 2 : 3));
        if (number == warm)
            memory = status_kib("VmRSS:");
    }
    check_held(before);
    printf("%d cycles: VmRSS %ld KiB after %d, %ld KiB at the end\n", count, memory, warm, status_kib("VmRSS:"));
    if (count >= 10)
        CHECK(status_kib("VmRSS:") < memory + 2048);
    return 0;
}
