/*
 * One scenario of tests/scenarios.json: sets the options that are given as NAME=VALUE, runs, and prints the names of the
 * code and of the operation's state. A value that is refused is left out, as in the other hosts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <barman_recover.h>

int main(int argc, char **argv)
{
    barman_recover *handle = barman_recover_new();
    int32_t code;
    int i;

    for (i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (value == NULL)
            return 2;
        *value = '\0';
        (void)barman_recover_set(handle, argv[i], value + 1);
    }
    code = barman_recover_run(handle);
    printf("%s %s\n", barman_recover_code_name(code), barman_recover_state_name(barman_recover_operation_state(handle)));
    barman_recover_free(handle);
    return 0;
}
