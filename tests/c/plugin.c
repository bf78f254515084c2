/*
 * A host that knows the library only at run time: plugin NAME API_URL DIRECTORY COUNT LIBRARY. Ends with 0, or says on
 * stderr what was not so and ends with 1. The names:
 *
 * - cycles: loads the library, uses it and unloads it, COUNT times.
 * - misuse: random functions with random arguments, from two threads, on handles that they share, in COUNT rounds. All
 *   that the header forbids is left out: a free beside another call, the text of a shared handle, and texts that have no
 *   end. A third thread cancels now and then, so that runs end.
 */
#define _GNU_SOURCE
#include <barman_recover.h>

#define EACH(DO)                                                                                                      \
    DO(version_number) DO(options) DO(code_name) DO(new) DO(free) DO(set) DO(run) DO(call) DO(start) DO(next_event)   \
    DO(event) DO(cancel) DO(code) DO(get)
#define MEMBER(name) __typeof__(barman_recover_##name) *name;
#define LOAD(name) CHECK((plugin.name = dlsym(plugin_library, "barman_recover_" #name)) != NULL);

static struct {
    EACH(MEMBER)
} plugin;
static void *plugin_library;

/* From here on each function is the one that was loaded. */
#define barman_recover_version_number plugin.version_number
#define barman_recover_options plugin.options
#define barman_recover_code_name plugin.code_name
#define barman_recover_new plugin.new
#define barman_recover_free plugin.free
#define barman_recover_set plugin.set
#define barman_recover_run plugin.run
#define barman_recover_call plugin.call
#define barman_recover_start plugin.start
#define barman_recover_next_event plugin.next_event
#define barman_recover_event plugin.event
#define barman_recover_cancel plugin.cancel
#define barman_recover_code plugin.code
#define barman_recover_get plugin.get
#include "host.h"
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#define LENGTH(array) (unsigned)(sizeof(array) / sizeof((array)[0]))

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

/* ---- cycles ---- */

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

static void cycles(void)
{
    struct held before = held();
    int number, restored = 0, warm = count / 4 + 1;
    long memory = 0;

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
}

/* ---- misuse ---- */

#define SHARED 4
#define CALLS 200 /* of each thread and round */
#define ANY(array) array[below(seed, LENGTH(array))]

static barman_recover *shared[SHARED], *own[2];
static const char *texts[24];
static const char *const commands[] = {
    "recover", "check", "verify", "settle", "backups", "operations", "config-switch", "", "no such", "\xff", NULL,
};
static const char *const pointers[] = {
    "", "/", "/code", "/code_name", "/message", "/hint", "/elapsed_seconds", "/operation_id", "/warnings", "/warnings/0",
    "/findings/0/detail", "/findings/-", "/operations/0/state", "/kind", "/level", "/percent", "~", "/~2", "\xff", NULL,
};
static int finished;
static long calls[2], ended[12];

static unsigned below(unsigned *seed, unsigned limit)
{
    return (unsigned)rand_r(seed) % limit;
}

static int32_t known(int32_t code)
{
    CHECK(code > BARMAN_RECOVER_PANIC && code <= BARMAN_RECOVER_HTTP_ERROR);
    CHECK(strcmp(barman_recover_code_name(code), "UNKNOWN") != 0);
    return code;
}

/* One line of printable UTF-8. */
static void check_text(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    CHECK(text != NULL);
    while (*at != '\0') {
        int more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2 : 3;

        CHECK(*at >= 0x20 && *at != 0x7f && *at < 0xf5 && (*at < 0x80 || *at >= 0xc2));
        for (at++; more > 0; more--, at++)
            CHECK((*at & 0xc0) == 0x80);
    }
}

static const char *any_option(unsigned *seed)
{
    static const char *const names[] = {
        "api-url", "barman_server", "ssh-command", "data-directory", "datadir", "backup-id", "loop-wait", "retry-wait",
        "max-retries", "request-timeout", "create-timeout", "max-outage", "deadline", "stall-timeout", "no-verify",
        "proxy", "ca-file", "cert-file", "key-file", "barman-model", "reset", "switch-when", "role", "limit", "state-dir",
        "no-lease", "no-probe", "strict", "watch-size",
    };

    return below(seed, 8) == 0 ? ANY(texts) : ANY(names);
}

static void any_command(unsigned *seed, barman_recover *handle)
{
    const char *command = ANY(commands);
    int32_t code;

    if (below(seed, 2) == 0)
        code = known(barman_recover_call(handle, command));
    else
        code = known(barman_recover_start(handle, command));
    __atomic_add_fetch(&ended[code - BARMAN_RECOVER_PANIC], 1, __ATOMIC_RELAXED);
}

static void any_call(unsigned *seed, barman_recover *handle, int is_own)
{
    const char *text;
    int32_t number;

    switch (below(seed, 12)) {
    case 0: case 1: case 2: case 3:
        known(barman_recover_set(handle, any_option(seed), ANY(texts)));
        break;
    case 4:
        known(barman_recover_code(handle));
        break;
    case 5:
        if (below(seed, 4) == 0)
            any_command(seed, handle);
        break;
    case 6:
        if (below(seed, 8) == 0)
            barman_recover_cancel(handle);
        break;
    case 7: case 8:
        number = barman_recover_next_event(handle, below(seed, 2));
        CHECK(number >= -1 && number <= 1);
        text = barman_recover_event(handle, ANY(pointers));
        CHECK(text != NULL);
        if (is_own)
            check_text(text);
        break;
    case 9:
        check_text(barman_recover_code_name((int32_t)below(seed, 100) - 50));
        check_text(barman_recover_options());
        break;
    default:
        text = barman_recover_get(handle, ANY(pointers));
        CHECK(text != NULL);
        if (is_own)
            check_text(text);
    }
}

static void *misuser(void *data)
{
    int number = (int)(intptr_t)data, call;
    unsigned seed = 1 + (unsigned)number + (unsigned)calls[number];

    for (call = 0; call < CALLS; call++, calls[number]++) {
        if (below(&seed, 16) == 0)
            any_call(&seed, NULL, 1);
        else if (below(&seed, 4) == 0)
            any_call(&seed, own[number], 1);
        else
            any_call(&seed, shared[below(&seed, SHARED)], 0);
    }
    return NULL;
}

static void *cancel_now_and_then(void *unused)
{
    unsigned number = 0;

    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        sleep_us(5000);
        barman_recover_cancel(shared[number % SHARED]);
        barman_recover_cancel(own[number++ % 2]);
    }
    return unused;
}

static char *longer(const char *text, size_t length)
{
    char *repeated = malloc(length + 1);
    size_t at;

    CHECK(repeated != NULL);
    for (at = 0; at < length; at++)
        repeated[at] = text[at % strlen(text)];
    repeated[length] = '\0';
    return repeated;
}

static void one_round(const char *data)
{
    pthread_t threads[3];
    int i;

    for (i = 0; i < SHARED; i++) /* some need only a run */
        shared[i] = i % 2 == 0 ? ready(api_url, data) : barman_recover_new();
    for (i = 0; i < 2; i++)
        own[i] = ready(api_url, data);
    __atomic_store_n(&finished, 0, __ATOMIC_RELEASE);
    CHECK(pthread_create(&threads[2], NULL, cancel_now_and_then, NULL) == 0);
    CHECK(pthread_create(&threads[0], NULL, misuser, (void *)0) == 0);
    CHECK(pthread_create(&threads[1], NULL, misuser, (void *)1) == 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    pthread_join(threads[2], NULL);
    for (i = 0; i < SHARED; i++) /* cancels what was started */
        barman_recover_free(shared[i]);
    for (i = 0; i < 2; i++)
        barman_recover_free(own[i]);
}

static void misuse(void)
{
    char data[4096], nowhere[4096];
    char *lengthy[3];
    int number;
    unsigned i;

    load();
    CHECK(chdir(directory) == 0); /* some of the texts become files */
    snprintf(data, sizeof data, "%s/data", directory);
    snprintf(nowhere, sizeof nowhere, "%s/no/such", directory);
    lengthy[0] = longer("x", 100000);
    lengthy[1] = longer("http://", 70000);
    lengthy[2] = longer("\xc3\xa9", 4096);
    {
        const char *values[] = {
            NULL, "", "main", "latest", "ssh node", "\xff\xfe", "caf\xc3", "\xed\xa0\x80", "a\nb\r\tc\x1b[31m", "%s%n%s",
            "http://", "http://[::1", "http://a:b@127.0.0.1:1/x", "https://127.0.0.1:1", "http://127.0.0.1:99999",
            "20261122T101942", "/dev/null", api_url, "1", data, nowhere, lengthy[0], lengthy[1], lengthy[2],
        };
        memcpy(texts, values, sizeof values);
    }
    for (number = 0; number < count; number++)
        one_round(data);
    printf("%ld calls; commands:", calls[0] + calls[1]);
    for (i = 0; i < LENGTH(ended); i++)
        if (ended[i] > 0)
            printf(" %s %ld", barman_recover_code_name((int32_t)i + BARMAN_RECOVER_PANIC), ended[i]);
    printf("\n");
    for (i = 0; i < 3; i++)
        free(lengthy[i]);
}

int main(int argc, char **argv)
{
    static const struct named all[] = {{"cycles", cycles}, {"misuse", misuse}};

    CHECK(argc == 6);
    api_url = argv[2];
    directory = argv[3];
    count = atoi(argv[4]);
    library = argv[5];
    CHECK(dlopen(library, RTLD_NOW | RTLD_NOLOAD) == NULL);
    run_named(all, LENGTH(all), argv[1]);
    return 0;
}
