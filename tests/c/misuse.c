/*
 * Random functions with random arguments, from two threads, on handles that they share: misuse API_URL DIRECTORY
 * ROUNDS. All that the header forbids is left out: a free beside another call, and texts that have no end.
 * A third thread cancels now and then, so that runs end.
 */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <unistd.h>

#define HANDLES 4
#define CALLS 200 /* of each thread and round */

static barman_recover *handles[HANDLES];
static const char *texts[24];
static int finished, in_callback;
static long calls[2], runs[12];

static unsigned below(unsigned *seed, unsigned limit)
{
    return (unsigned)rand_r(seed) % limit;
}

static int32_t known(int32_t code)
{
    CHECK(code >= BARMAN_RECOVER_BUSY && code <= BARMAN_RECOVER_HTTP_ERROR);
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

typedef int32_t (*text_setter)(barman_recover *, const char *);
typedef int32_t (*number_setter)(barman_recover *, uint32_t);
typedef int32_t (*flag_setter)(barman_recover *, int32_t);
typedef const char *(*text_getter)(const barman_recover *);
typedef const char *(*row_getter)(const barman_recover *, uint32_t);
typedef const char *(*namer)(int32_t);

static const text_setter text_setters[] = {
    barman_recover_set_api_url,      barman_recover_set_cert_file,    barman_recover_set_key_file,
    barman_recover_set_ca_file,      barman_recover_set_proxy,        barman_recover_set_barman_server,
    barman_recover_set_backup_id,    barman_recover_set_ssh_command,  barman_recover_set_data_directory,
    barman_recover_set_operation_id, barman_recover_set_state_file,
};
static const number_setter number_setters[] = {
    barman_recover_set_retry_wait,      barman_recover_set_max_retries,    barman_recover_set_connect_timeout,
    barman_recover_set_request_timeout, barman_recover_set_create_timeout, barman_recover_set_loop_wait,
    barman_recover_set_max_outage,      barman_recover_set_deadline,       barman_recover_set_stall_timeout,
};
static const flag_setter flag_setters[] = {
    barman_recover_set_verify,    barman_recover_set_no_state_file,  barman_recover_set_no_diagnose,
    barman_recover_set_no_verify, barman_recover_set_leave_running,  barman_recover_set_force,
};
static const text_getter text_getters[] = {
    barman_recover_error_message,
    barman_recover_hint,
    barman_recover_operation_id,
    barman_recover_verified_detail,
    barman_recover_verified_taken,
};

static const row_getter row_getters[] = {
    barman_recover_finding_what, barman_recover_finding_detail, barman_recover_finding_hint,
    barman_recover_listed_id,    barman_recover_listed_kind,    barman_recover_backup_id,
    barman_recover_backup_mode,  barman_recover_backup_version, barman_recover_backup_end_time,
};
static const namer namers[] = {
    barman_recover_code_name,  barman_recover_switch_code_name, barman_recover_busy_name,    barman_recover_state_name,
    barman_recover_level_name, barman_recover_event_name,       barman_recover_verdict_name,
};

#define LENGTH(array) (unsigned)(sizeof(array) / sizeof((array)[0]))
#define ANY(array) array[below(seed, LENGTH(array))]

static int32_t on_event(int32_t kind, int32_t level, const char *message, void *user_data);

static const uint32_t numbers[] = {0, 1, 2, 60, 86400, INT32_MAX, UINT32_MAX - 1, UINT32_MAX};

static void any_command(unsigned *seed, barman_recover *handle)
{
    int32_t code;

    switch (below(seed, 11)) {
    case 0:
        code = barman_recover_start(handle);
        break;
    case 6:
        code = barman_recover_verify(handle);
        break;
    case 7:
        code = barman_recover_end_restore(handle);
        break;
    case 8:
        code = barman_recover_list_backups(handle);
        break;
    case 1:
        code = barman_recover_check(handle);
        break;
    case 2:
        code = barman_recover_list_operations(handle, ANY(numbers));
        break;
    case 3:
        code = barman_recover_show_operation(handle, ANY(texts));
        break;
    case 4:
        code = barman_recover_wait_operation(handle, ANY(texts));
        break;
    case 5:
        code = barman_recover_config_switch(handle, ANY(texts));
        CHECK(strcmp(barman_recover_switch_code_name(code), "UNKNOWN") != 0);
        return;
    default:
        code = barman_recover_run(handle);
    }
    __atomic_add_fetch(&runs[known(code) - BARMAN_RECOVER_PANIC], 1, __ATOMIC_RELAXED);
}

static void any_option(unsigned *seed, barman_recover *handle)
{
    uint32_t i = below(seed, barman_recover_option_count() + 1);

    known(barman_recover_set(handle, barman_recover_option_name(i), ANY(texts)));
    known(barman_recover_set(handle, ANY(texts), barman_recover_option_default(i)));
    check_text(barman_recover_option_help(ANY(numbers)));
    CHECK(barman_recover_option_kind(ANY(numbers)) <= BARMAN_RECOVER_KIND_FLAG);
    CHECK(barman_recover_option_required(ANY(numbers)) <= 1);
}

static void any_row(unsigned *seed, barman_recover *handle)
{
    uint32_t i = below(seed, barman_recover_finding_count(handle) + barman_recover_listed_count(handle)
                                 + barman_recover_backup_count(handle) + 2);

    check_text(ANY(row_getters)(handle, below(seed, 4) == 0 ? ANY(numbers) : i));
    CHECK(barman_recover_finding_verdict(handle, i) >= -1);
    CHECK(barman_recover_listed_state(handle, i) >= -1);
    CHECK(barman_recover_backup_is_complete(handle, i) >= -1);
    CHECK(barman_recover_verified_state(handle) >= -1);
}

static void any_call(unsigned *seed, barman_recover *handle)
{
    int32_t number;

    switch (below(seed, 20)) {
    case 0: case 1: case 2: case 3:
        known(ANY(text_setters)(handle, ANY(texts)));
        break;
    case 4: case 5:
        known(ANY(number_setters)(handle, ANY(numbers)));
        break;
    case 6:
        known(ANY(flag_setters)(handle, (int32_t)ANY(numbers)));
        break;
    case 7:
        known(barman_recover_set_event_callback(handle, below(seed, 2) ? on_event : NULL, NULL));
        break;
    case 8:
        number = barman_recover_operation_state(handle);
        CHECK(number >= BARMAN_RECOVER_STATE_NOT_CREATED && number <= BARMAN_RECOVER_STATE_FAILED);
        CHECK(strcmp(barman_recover_state_name(number), "UNKNOWN") != 0);
        break;
    case 9:
        number = barman_recover_http_status(handle);
        CHECK(number == 0 || (number >= 100 && number <= 999));
        CHECK(barman_recover_elapsed_ms(handle) < 600000);
        break;
    case 10:
        check_text(ANY(namers)((int32_t)ANY(numbers) - (int32_t)below(seed, 10)));
        CHECK(strcmp(barman_recover_busy_name(barman_recover_busy_reason(handle)), "UNKNOWN") != 0);
        break;
    case 11:
        if (below(seed, 8) == 0)
            below(seed, 2) ? barman_recover_cancel(handle) : barman_recover_detach(handle);
        break;
    case 12:
        if (below(seed, 4) == 0)
            any_command(seed, handle);
        break;
    case 13: case 14:
        any_option(seed, handle);
        break;
    case 15:
        any_row(seed, handle);
        break;
    case 16:
        if (below(seed, 8) == 0) {
            barman_recover *other = barman_recover_again(handle);

            if (below(seed, 4) == 0)
                known(barman_recover_start(other));
            barman_recover_free(other);
        }
        break;
    case 17: /* the message is the one thread's that takes the events: only asked for here */
        number = barman_recover_next_event(handle, below(seed, 2));
        CHECK(number == -1 || number == 0 || strcmp(barman_recover_event_name(number), "UNKNOWN") != 0);
        CHECK(barman_recover_event_level(handle) >= -1 && barman_recover_event_message(handle) != NULL);
        barman_recover_result(handle);
        break;
    default:
        check_text(ANY(text_getters)(handle));
    }
}

/* In a run. Every function may be called in it, though not all do what they say. */
static int32_t on_event(int32_t kind, int32_t level, const char *message, void *user_data)
{
    static unsigned shared_seed = 99;
    unsigned seed = __atomic_add_fetch(&shared_seed, 7919, __ATOMIC_RELAXED);
    int32_t answer;

    (void)user_data;
    __atomic_add_fetch(&in_callback, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&finished, __ATOMIC_SEQ_CST)) {
        __atomic_sub_fetch(&in_callback, 1, __ATOMIC_SEQ_CST);
        return 1;
    }
    CHECK(kind >= BARMAN_RECOVER_EVENT_LOG && kind <= BARMAN_RECOVER_EVENT_PROGRESS && level >= -1);
    check_text(message);
    any_call(&seed, handles[below(&seed, HANDLES)]);
    answer = below(&seed, 8) == 0 ? (int32_t)below(&seed, 3) - 1 : 0;
    __atomic_sub_fetch(&in_callback, 1, __ATOMIC_SEQ_CST);
    return answer;
}

static void *misuse(void *number)
{
    unsigned seed = 1 + (unsigned)(intptr_t)number;
    long begun = calls[(intptr_t)number];

    seed += (unsigned)begun;
    while (calls[(intptr_t)number] < begun + CALLS) {
        any_call(&seed, below(&seed, 16) == 0 ? NULL : handles[below(&seed, HANDLES)]);
        calls[(intptr_t)number]++;
    }
    return NULL;
}

static void *cancel_now_and_then(void *unused)
{
    unsigned number = 0;

    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        sleep_us(5000);
        barman_recover_cancel(handles[number++ % HANDLES]);
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

int main(int argc, char **argv)
{
    char paths[3][4096];
    char *lengthy[3];
    long round, rounds;
    unsigned i;

    CHECK(argc == 4);
    rounds = atol(argv[3]);
    CHECK(chdir(argv[2]) == 0); /* some of the texts become files */
    for (i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], i == 0 ? "%s/data" : i == 1 ? "%s/state" : "%s/no/such", argv[2]);
    lengthy[0] = longer("x", 100000);
    lengthy[1] = longer("http://", 70000);
    lengthy[2] = longer("\xc3\xa9", 4096);
    {
        const char *values[] = {
            NULL, "", "main", "latest", "ssh node", "\xff\xfe", "caf\xc3", "\xed\xa0\x80", "a\nb\r\tc\x1b[31m", "%s%n%s",
            "http://", "http://[::1", "http://a:b@127.0.0.1:1/x", "https://127.0.0.1:1", "http://127.0.0.1:99999",
            "20261122T101942", "/dev/null", argv[1], argv[1], paths[0], paths[1], lengthy[0], lengthy[1], lengthy[2],
        };
        memcpy(texts, values, sizeof values);
    }
    for (round = 0; round < rounds; round++) {
        pthread_t threads[3];

        for (i = 0; i < HANDLES; i++) /* some need only a run */
            handles[i] = i % 2 == 0 ? ready(argv[1], paths[2 * (i / 2)]) : barman_recover_new();
        __atomic_store_n(&finished, 0, __ATOMIC_SEQ_CST);
        CHECK(pthread_create(&threads[2], NULL, cancel_now_and_then, NULL) == 0);
        CHECK(pthread_create(&threads[0], NULL, misuse, (void *)0) == 0);
        CHECK(pthread_create(&threads[1], NULL, misuse, (void *)1) == 0);
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
        __atomic_store_n(&finished, 1, __ATOMIC_SEQ_CST);
        pthread_join(threads[2], NULL);
        /* Runs that were started may still call back, which must touch no handle that is freed. */
        while (__atomic_load_n(&in_callback, __ATOMIC_SEQ_CST) > 0) {
            for (i = 0; i < HANDLES; i++)
                barman_recover_cancel(handles[i]);
            sleep_us(1000);
        }
        for (i = 0; i < HANDLES; i++)
            barman_recover_free(handles[i]);
    }
    printf("%ld calls; runs:", calls[0] + calls[1]);
    for (i = 0; i < LENGTH(runs); i++)
        if (runs[i] > 0)
            printf(" %s %ld", barman_recover_code_name((int32_t)i + BARMAN_RECOVER_PANIC), runs[i]);
    printf("\n");
    for (i = 0; i < 3; i++)
        free(lengthy[i]);
    return 0;
}
