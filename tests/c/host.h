/* What the hosts of the tests share: checks, a recovery that is ready to run, and what a process holds. */
#ifndef HOST_H
#define HOST_H

#include <barman_recover.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);       \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)
#define CHECK_TEXT(text, expected) CHECK(strcmp((text), (expected)) == 0)

static inline void sleep_us(long us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};

    while (nanosleep(&left, &left) != 0)
        ;
}

static inline long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static inline void set(barman_recover *handle, const char *name, const char *value)
{
    if (barman_recover_set(handle, name, value) == 0)
        return;
    fprintf(stderr, "%s: %s\n", name, barman_recover_get(handle, "/message"));
    exit(1);
}

static inline barman_recover *ready(const char *api_url, const char *data_directory)
{
    barman_recover *handle = barman_recover_new();
    const char *ca = getenv("HOST_CA");

    CHECK(handle != NULL);
    set(handle, "api-url", api_url);
    set(handle, "barman-server", "main");
    set(handle, "ssh-command", "ssh node");
    set(handle, "data-directory", data_directory);
    set(handle, "loop-wait", "1");
    if (ca != NULL)
        set(handle, "ca-file", ca);
    return handle;
}

static inline void expect(barman_recover *handle, int32_t code, int32_t expected)
{
    CHECK(barman_recover_code(handle) == code);
    if (code == expected)
        return;
    fprintf(stderr, "%s (%s) instead of %s\n", barman_recover_code_name(code), barman_recover_get(handle, "/message"),
            barman_recover_code_name(expected));
    exit(1);
}

/* Whether the event that was taken last is this state of the operation. */
static inline int is_state(barman_recover *handle, const char *state)
{
    return strcmp(barman_recover_event(handle, "/operation_state"), state) == 0;
}

static inline int entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Of "VmRSS:" and the like, in KiB. */
static inline long status_kib(const char *field)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long value = -1;

    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            value = strtol(line + strlen(field), NULL, 10);
    fclose(status);
    CHECK(value >= 0);
    return value;
}

struct held {
    int descriptors, threads;
};

static inline struct held held(void)
{
    struct held held = {entries("/proc/self/fd"), entries("/proc/self/task")};

    return held;
}

/* A thread that has been joined, or that has given its answer, takes a moment to disappear: on a busy machine a long one. */
static inline void check_held(struct held before)
{
    struct held after = held();
    int patience;

    for (patience = 0; patience < 60000 && after.threads != before.threads; patience++) {
        sleep_us(1000);
        after = held();
    }
    if (after.threads != before.threads || after.descriptors != before.descriptors)
        fprintf(stderr, "%d threads instead of %d, %d descriptors instead of %d\n", after.threads, before.threads,
                after.descriptors, before.descriptors);
    CHECK(after.threads == before.threads);
    CHECK(after.descriptors == before.descriptors);
}

/* What a host can be asked for by name. */
struct named {
    const char *name;
    void (*run)(void);
};

static inline void run_named(const struct named *all, size_t count, const char *name)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (strcmp(name, all[i].name) == 0) {
            all[i].run();
            return;
        }
    CHECK(!"a known name");
}

#endif
