/*
 * A host that watches its guest: guest NAME API_URL DIRECTORY COUNT. Every recovery goes into a directory of its
 * own below DIRECTORY. HOST_CA names a certificate to trust. SIGPIPE is at its default.
 * Ends with 0, or says on stderr what was not so and ends with 1.
 */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *api_url, *directory;
static int count;

static void numbered(char *path, size_t size, int number)
{
    snprintf(path, size, "%s/%d", directory, number);
}

static barman_recover *ready_numbered(int number)
{
    char path[4096];

    numbered(path, sizeof path, number);
    return ready(api_url, path);
}

static int by_size(const void *left, const void *right)
{
    const long a = *(const long *)left, b = *(const long *)right;

    return (a > b) - (a < b);
}

/* Several recoveries, one after the other. */

static barman_recover *patient(int number)
{
    barman_recover *recovery = ready_numbered(number);

    set(recovery, "retry-wait", "0");
    set(recovery, "max-retries", "1000");
    set(recovery, "max-outage", "3600");
    set(recovery, "create-timeout", "3"); /* so long a lost create is looked for */
    set(recovery, "deadline", "300");     /* only the guard against a hang */
    return recovery;
}

static void restore(int number)
{
    barman_recover *recovery = patient(number);

    expect(recovery, barman_recover_run(recovery), BARMAN_RECOVER_RECOVERY_DONE);
    CHECK_TEXT(barman_recover_get(recovery, "/operation_state"), "DONE");
    barman_recover_free(recovery);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

/* A signal each millisecond. */
static void interrupt_often(int flags)
{
    struct itimerval often = {{0, 1000}, {0, 1000}};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    action.sa_flags = flags;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void restores(void)
{
    static struct sigaction before[32], after;
    sigset_t mask_before, mask_after;
    struct held before_all = held();
    long memory = 0;
    int number, warm = count / 4 > 2 ? count / 4 : 1;

    for (number = 1; number < 32; number++)
        sigaction(number, NULL, &before[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    for (number = 0; number < count; number++) {
        restore(number);
        if (number + 1 == warm)
            memory = status_kib("VmRSS:");
    }
    check_held(before_all);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    for (number = 1; number < 32; number++) {
        sigaction(number, NULL, &after);
        CHECK(after.sa_handler == before[number].sa_handler && after.sa_flags == before[number].sa_flags);
        CHECK(sigismember(&mask_before, number) == sigismember(&mask_after, number));
    }
    printf("%d runs: VmRSS %ld KiB after %d, %ld KiB at the end\n", count, memory, warm, status_kib("VmRSS:"));
    if (count >= 10)
        CHECK(status_kib("VmRSS:") < memory + 2048);
}

/* Many recoveries side by side, on small stacks. */

static size_t small_stack(void)
{
    const char *kib = getenv("HOST_STACK_KIB");

    return (size_t)(kib != NULL ? atoi(kib) : 128) << 10;
}

static void *restore_beside_others(void *recovery)
{
    expect(recovery, barman_recover_run(recovery), BARMAN_RECOVER_RECOVERY_DONE);
    return NULL;
}

/* Takes events until the operation runs. */
static void wait_for_progress(barman_recover *recovery)
{
    while (!is_state(recovery, "IN_PROGRESS"))
        CHECK(barman_recover_next_event(recovery, 100) >= 0);
}

static pthread_t small_thread(void *(*body)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;

    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, small_stack()) == 0);
    CHECK(pthread_create(&thread, &attributes, body, argument) == 0);
    pthread_attr_destroy(&attributes);
    return thread;
}

/* For the difference: threads that wait, without a recovery. */
static pthread_barrier_t gate;

static void *wait_at_the_gate(void *unused)
{
    pthread_barrier_wait(&gate);
    return unused;
}

static void side_by_side(void)
{
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    barman_recover **recoveries = calloc((size_t)count, sizeof *recoveries);
    long memory, of_threads;
    struct held before = held();
    struct rlimit files;
    int number;

    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    barman_recover_free(ready_numbered(0));
    memory = status_kib("VmRSS:");
    CHECK(pthread_barrier_init(&gate, NULL, (unsigned)count + 1) == 0);
    for (number = 0; number < count; number++)
        threads[number] = small_thread(wait_at_the_gate, NULL);
    sleep_us(100000);
    of_threads = status_kib("VmRSS:") - memory;
    pthread_barrier_wait(&gate);
    for (number = 0; number < count; number++)
        pthread_join(threads[number], NULL);

    memory = status_kib("VmRSS:");
    for (number = 0; number < count; number++) {
        recoveries[number] = patient(number);
        set(recoveries[number], "create-timeout", "100"); /* in this crowd an answer takes some seconds */
        threads[number] = small_thread(restore_beside_others, recoveries[number]);
    }
    for (number = 0; number < count; number++)
        wait_for_progress(recoveries[number]);
    sleep_us(300000); /* polling */
    printf("%d in progress: %ld KiB each (threads alone %ld), %d threads, %d descriptors\n", count,
           (status_kib("VmRSS:") - memory) / count, of_threads / count, held().threads - before.threads,
           held().descriptors - before.descriptors);
    fflush(stdout);
    for (number = 0; number < count; number++) {
        pthread_join(threads[number], NULL);
        barman_recover_free(recoveries[number]);
    }
    check_held(before);
    free(recoveries);
    free(threads);
}

/* Cancelling from another thread, at random moments. */

static long cancelled_at;

static void *cancel_later(void *recovery)
{
    static unsigned seed = 1;

    sleep_us(rand_r(&seed) % 150000);
    __atomic_store_n(&cancelled_at, now_us(), __ATOMIC_RELEASE);
    barman_recover_cancel(recovery);
    return NULL;
}

static void cancels(void)
{
    long *took = calloc((size_t)count, sizeof *took);
    struct held before = held();
    int number, late = 0;

    for (number = 0; number < count; number++) {
        barman_recover *recovery = ready_numbered(number);
        pthread_t thread;

        set(recovery, "max-retries", "1000");
        set(recovery, "retry-wait", "3600");
        set(recovery, "request-timeout", "3600");
        thread = small_thread(cancel_later, recovery);
        expect(recovery, barman_recover_run(recovery), BARMAN_RECOVER_CANCELLED);
        took[number] = now_us() - __atomic_load_n(&cancelled_at, __ATOMIC_ACQUIRE);
        pthread_join(thread, NULL);
        late += took[number] > 200000 && strcmp(barman_recover_get(recovery, "/operation_state"), "MAYBE_CREATED") != 0;
        barman_recover_free(recovery);
    }
    check_held(before);
    qsort(took, (size_t)count, sizeof *took, by_size);
    printf("%d cancels: median %ld us, 90%% %ld us, 99%% %ld us, longest %ld us, %d over 200 ms\n", count,
           took[count / 2], took[count * 9 / 10], took[count * 99 / 100], took[count - 1], late);
    CHECK(took[count - 1] < 60000000); /* far from the hours that it would have waited */
    CHECK(getenv("HOST_PROMPT") == NULL || late <= count / 100);
    free(took);
}

/* Forks of the host: between runs, and during one. */

static pid_t child;

/* Forks a child that outlives the recovery, which is cancelled then. */
static void fork_in_progress(barman_recover *recovery)
{
    CHECK(barman_recover_start(recovery, "recover") == 0);
    /* The directory has been seen then. */
    while (strcmp(barman_recover_event(recovery, "/kind"), "progress") != 0)
        CHECK(barman_recover_next_event(recovery, 60000) == 1);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause(); /* holds a copy of every descriptor */
        _exit(0);
    }
    CHECK(child > 0);
    barman_recover_cancel(recovery);
    while (barman_recover_next_event(recovery, 60000) >= 0)
        ;
    expect(recovery, barman_recover_code(recovery), BARMAN_RECOVER_CANCELLED);
}

static void *fork_often(void *stop)
{
    while (!__atomic_load_n((int *)stop, __ATOMIC_ACQUIRE)) {
        pid_t other = fork();

        if (other == 0)
            _exit(0);
        CHECK(other > 0 && waitpid(other, NULL, 0) == other);
        other = fork();
        if (other == 0) {
            execlp("true", "true", (char *)NULL);
            _exit(1);
        }
        CHECK(other > 0 && waitpid(other, NULL, 0) == other);
    }
    return NULL;
}

static void forks(void)
{
    struct held before = held();
    barman_recover *recovery = ready_numbered(0);
    pthread_t thread;
    int stop = 0, status, number;
    char remove[4200];

    /* The child that is left holds neither a lock nor the connection. */
    fork_in_progress(recovery);
    barman_recover_free(recovery);
    puts("forked");
    fflush(stdout);
    snprintf(remove, sizeof remove, "rm -rf '%s/0'", directory); /* Barman refuses remains */
    CHECK(system(remove) == 0);
    restore(0);
    CHECK(waitpid(child, &status, WNOHANG) == 0);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);

    CHECK(pthread_create(&thread, NULL, fork_often, &stop) == 0);
    for (number = 1; number <= count; number++)
        restore(number);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);

    /* A child that makes a handle of its own is a host like any other. */
    child = fork();
    if (child == 0) {
        restore(count + 1);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    restore(count + 2);
    check_held(before);
}

static void interrupted(void)
{
    interrupt_often(0);
    restores();
    CHECK(alarms > 100);
}

static void restarted(void)
{
    interrupt_often(SA_RESTART);
    restores();
    CHECK(alarms > 100);
}

int main(int argc, char **argv)
{
    static const struct named guests[] = {
        {"restores", restores}, {"interrupted", interrupted}, {"restarted", restarted}, {"side-by-side", side_by_side},
        {"cancels", cancels},   {"forks", forks},
    };

    CHECK(argc == 5);
    api_url = argv[2];
    directory = argv[3];
    count = atoi(argv[4]);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    run_named(guests, sizeof guests / sizeof *guests, argv[1]);
    return 0;
}
