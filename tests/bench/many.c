/*
 * Many recoveries side by side in one process, a thread each, through the C ABI; prints what they cost as JSON.
 *
 *   many COUNT API_URL BARMAN_SERVER BACKUP_ID SCRATCH_DIRECTORY
 */
#include <barman_recover.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define STACK (128 * 1024)
#define SPREAD_NS 2000000000LL /* over which they start */

static int count;
static char **arguments;
static atomic_int running, failed;

struct sample {
    long rss_kb, threads, fds;
};

static void pause_ns(long long ns)
{
    struct timespec t = { ns / 1000000000LL, ns % 1000000000LL };

    nanosleep(&t, NULL);
}

static void *recover(void *number)
{
    char parent[512], directory[544];
    barman_recover *recovery;
    int32_t code;
    long n = (long)number;

    pause_ns(SPREAD_NS / count * n);
    snprintf(parent, sizeof parent, "%s/%d-%ld", arguments[5], count, n);
    snprintf(directory, sizeof directory, "%s/data", parent);
    mkdir(parent, 0700);
    recovery = barman_recover_new();
    if ((code = barman_recover_set(recovery, "api-url", arguments[2])) == 0
        && (code = barman_recover_set(recovery, "barman-server", arguments[3])) == 0
        && (code = barman_recover_set(recovery, "backup-id", arguments[4])) == 0
        && (code = barman_recover_set(recovery, "ssh-command", "ssh node")) == 0
        && (code = barman_recover_set(recovery, "data-directory", directory)) == 0)
        code = barman_recover_run(recovery);
    if (code != BARMAN_RECOVER_RECOVERY_DONE && atomic_fetch_add(&failed, 1) == 0)
        fprintf(stderr, "many: %s: %s %s\n", barman_recover_code_name(code), barman_recover_get(recovery, "/message"),
                barman_recover_get(recovery, "/hint"));
    barman_recover_free(recovery);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static long in_status(const char *text, const char *name)
{
    const char *found = strstr(text, name);

    return found != NULL ? atol(found + strlen(name)) : 0;
}

static long max(long a, long b)
{
    return a > b ? a : b;
}

static void take(struct sample *most)
{
    char text[4096] = "";
    FILE *status = fopen("/proc/self/status", "r");
    DIR *fds = opendir("/proc/self/fd");
    long open = -6; /* ".", "..", the directory itself, and the standard streams */

    if (status != NULL) {
        text[fread(text, 1, sizeof text - 1, status)] = '\0';
        fclose(status);
    }
    while (fds != NULL && readdir(fds) != NULL)
        open++;
    if (fds != NULL)
        closedir(fds);
    most->rss_kb = max(most->rss_kb, in_status(text, "VmHWM:"));
    most->threads = max(most->threads, in_status(text, "\nThreads:") - 1);
    most->fds = max(most->fds, open);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct sample most = { 0, 0, 0 };
    struct rlimit files;
    struct rusage cost;
    pthread_attr_t small;
    pthread_t thread;
    long n;

    if (argc != 6)
        return 2;
    arguments = argv;
    count = atoi(argv[1]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    for (n = 0; n < count; n++) {
        atomic_fetch_add(&running, 1);
        if (pthread_create(&thread, &small, recover, (void *)n) != 0) {
            fprintf(stderr, "many: no thread %ld\n", n);
            return 1;
        }
    }
    while (atomic_load(&running) > 0) {
        take(&most);
        pause_ns(100000000LL);
    }
    getrusage(RUSAGE_SELF, &cost);
    printf("{\"count\": %d, \"failed\": %d, \"rss_kb\": %ld, \"threads\": %ld, \"fds\": %ld, \"cpu\": %.3f}\n", count,
           atomic_load(&failed), most.rss_kb, most.threads, most.fds, seconds(cost.ru_utime) + seconds(cost.ru_stime));
    return 0;
}
