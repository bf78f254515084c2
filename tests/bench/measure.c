/*
 * Runs a program and tells what it cost: a small process in between, because the peak memory of a child begins with
 * that of its parent. Prints, CLOCK_MONOTONIC in nanoseconds and times in microseconds:
 *
 *   START              when the program is executed
 *   END USER SYSTEM PEAK_KB STATUS
 *
 * The program dies with it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long micros(struct timeval t)
{
    return t.tv_sec * 1000000LL + t.tv_usec;
}

static void run(char **command)
{
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (getenv("MEASURE_VERBOSE") == NULL)
        dup2(null, STDERR_FILENO);
    dprintf(out, "%lld\n", now());
    execv(command[0], command);
    perror(command[0]);
    _exit(127);
}

int main(int argc, char **argv)
{
    struct rusage cost;
    int status;
    pid_t pid;

    if (argc < 2 || (pid = fork()) < 0)
        return 2;
    if (pid == 0)
        run(argv + 1);
    if (wait4(pid, &status, 0, &cost) != pid)
        return 2;
    printf("%lld %lld %lld %ld %d\n", now(), micros(cost.ru_utime), micros(cost.ru_stime), cost.ru_maxrss,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
