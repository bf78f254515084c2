/*
 * A host that knows the library only at run time: plugin API_URL DIRECTORY COUNT LIBRARY loads it, uses it and unloads it,
 * COUNT times. Ends with 0, or says on stderr what was not so and ends with 1.
 */
#define _GNU_SOURCE
#include <barman_recover.h>

#define EACH(DO)                                                                                                      \
    DO(version_number) DO(code_name) DO(new) DO(free) DO(set) DO(run) DO(start) DO(next_event) DO(event) DO(cancel)   \
    DO(code) DO(get)
#define MEMBER(name) __typeof__(barman_recover_##name) *name;
#define LOAD(name) CHECK((plugin.name = dlsym(plugin_library, "barman_recover_" #name)) != NULL);

static struct {
    EACH(MEMBER)
} plugin;
static void *plugin_library;

/* From here on each function is the one that was loaded. */
#define barman_recover_version_number plugin.version_number
#define barman_recover_code_name plugin.code_name
#define barman_recover_new plugin.new
#define barman_recover_free plugin.free
#define barman_recover_set plugin.set
#define barman_recover_run plugin.run
#define barman_recover_start plugin.start
#define barman_recover_next_event plugin.next_event
#define barman_recover_event plugin.event
#define barman_recover_cancel plugin.cancel
#define barman_recover_code plugin.code
#define barman_recover_get plugin.get
#include "host.h"
#include <dlfcn.h>
#include <pthread.h>

static const char *api_url, *directory, *library;
static int count;

static void load(void)
{
    plugin_library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (plugin_library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(plugin_library != NULL);
    EACH(LOAD)
    CHECK(barman_recover_version_number() == BARMAN_RECOVER_VERSION_NUMBER);
}

/* On a thread of the library, which ends before it is unloaded. Cancels when the operation is in this state. */
static int32_t beside(barman_recover *handle, const char *command, const char *state)
{
    int event;

    CHECK(barman_recover_start(handle, command) == 0);
    while ((event = barman_recover_next_event(handle, 60000)) >= 0) {
        CHECK(event == 1);
        if (is_state(handle, state))
            barman_recover_cancel(handle);
    }
    return barman_recover_code(handle);
}

/* Some cycles restore, about 20 and the last one: rsync takes its time. */
static int restores(int number)
{
    return number % (count / 20 + 1) == 0 || number + 1 == count;
}

/*
 * On a thread that outlives the library: what is thread-local in it ends after dlclose. Each cycle has a thread of the
 * library and a connection; a create that is refused has all of a recovery up to the first file.
 */
static void *cycle(void *data)
{
    int number = (int)(intptr_t)data;
    char path[4096];
    barman_recover *handle;

    snprintf(path, sizeof path, "%s/%d", directory, number);
    handle = ready(api_url, path);
    set(handle, "limit", "1");
    expect(handle, beside(handle, "operations", "none"), BARMAN_RECOVER_RECOVERY_DONE);
    if (number + 1 == count) {
        expect(handle, beside(handle, "recover", "IN_PROGRESS"), BARMAN_RECOVER_CANCELLED);
    } else if (restores(number) && number % 4 < 2) {
        expect(handle, barman_recover_run(handle), BARMAN_RECOVER_RECOVERY_DONE);
    } else if (restores(number)) {
        expect(handle, beside(handle, "recover", "none"), BARMAN_RECOVER_RECOVERY_DONE);
    } else if (number % 4 < 2) {
        set(handle, "backup-id", "20200101T000000");
        expect(handle, barman_recover_run(handle), BARMAN_RECOVER_HTTP_ERROR);
    }
    barman_recover_free(handle);
    CHECK(dlclose(plugin_library) == 0);
    return NULL;
}

int main(int argc, char **argv)
{
    struct held before = held();
    int number, restored = 0, warm;
    long memory = 0;

    CHECK(argc == 5);
    api_url = argv[1];
    directory = argv[2];
    count = atoi(argv[3]);
    library = argv[4];
    warm = count / 4 + 1;
    CHECK(dlopen(library, RTLD_NOW | RTLD_NOLOAD) == NULL);
    for (number = 0; number < count; number++) {
        pthread_t thread;

        load();
        if (number % 2 == 0) {
            cycle((void *)(intptr_t)number);
        } else {
            CHECK(pthread_create(&thread, NULL, cycle, (void *)(intptr_t)number) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
        }
        restored += restores(number);
        if (number == warm)
            memory = status_kib("VmRSS:");
    }
    check_held(before);
    printf("%d restores in %d cycles: VmRSS %ld KiB after %d, %ld KiB at the end\n", restored, count, memory, warm + 1,
           status_kib("VmRSS:"));
    if (count >= 10)
        CHECK(status_kib("VmRSS:") < memory + 2048);
    return 0;
}
