/*
 * Random functions with random arguments, from two threads, on handles that they share: misuse API_URL DIRECTORY
 * ROUNDS. All that the header forbids is left out: a free beside another call, the text of a shared handle, and texts
 * that have no end. A third thread cancels now and then, so that runs end.
 */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <unistd.h>

#define SHARED 4
#define CALLS 200 /* of each thread and round */
#define LENGTH(array) (unsigned)(sizeof(array) / sizeof((array)[0]))
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

static void *misuse(void *data)
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

static void one_round(const char *api_url, const char *data)
{
    pthread_t threads[3];
    int i;

    for (i = 0; i < SHARED; i++) /* some need only a run */
        shared[i] = i % 2 == 0 ? ready(api_url, data) : barman_recover_new();
    for (i = 0; i < 2; i++)
        own[i] = ready(api_url, data);
    __atomic_store_n(&finished, 0, __ATOMIC_RELEASE);
    CHECK(pthread_create(&threads[2], NULL, cancel_now_and_then, NULL) == 0);
    CHECK(pthread_create(&threads[0], NULL, misuse, (void *)0) == 0);
    CHECK(pthread_create(&threads[1], NULL, misuse, (void *)1) == 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    pthread_join(threads[2], NULL);
    for (i = 0; i < SHARED; i++) /* cancels what was started */
        barman_recover_free(shared[i]);
    for (i = 0; i < 2; i++)
        barman_recover_free(own[i]);
}

int main(int argc, char **argv)
{
    char data[4096], nowhere[4096];
    char *lengthy[3];
    long rounds;
    unsigned i;

    CHECK(argc == 4);
    CHECK(chdir(argv[2]) == 0); /* some of the texts become files */
    snprintf(data, sizeof data, "%s/data", argv[2]);
    snprintf(nowhere, sizeof nowhere, "%s/no/such", argv[2]);
    lengthy[0] = longer("x", 100000);
    lengthy[1] = longer("http://", 70000);
    lengthy[2] = longer("\xc3\xa9", 4096);
    {
        const char *values[] = {
            NULL, "", "main", "latest", "ssh node", "\xff\xfe", "caf\xc3", "\xed\xa0\x80", "a\nb\r\tc\x1b[31m", "%s%n%s",
            "http://", "http://[::1", "http://a:b@127.0.0.1:1/x", "https://127.0.0.1:1", "http://127.0.0.1:99999",
            "20261122T101942", "/dev/null", argv[1], "1", data, nowhere, lengthy[0], lengthy[1], lengthy[2],
        };
        memcpy(texts, values, sizeof values);
    }
    for (rounds = atol(argv[3]); rounds > 0; rounds--)
        one_round(argv[1], data);
    printf("%ld calls; commands:", calls[0] + calls[1]);
    for (i = 0; i < LENGTH(ended); i++)
        if (ended[i] > 0)
            printf(" %s %ld", barman_recover_code_name((int32_t)i + BARMAN_RECOVER_PANIC), ended[i]);
    printf("\n");
    for (i = 0; i < 3; i++)
        free(lengthy[i]);
    return 0;
}
