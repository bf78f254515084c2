/* The least that a host has to do: recover API_URL DATA_DIRECTORY. */
#include <barman_recover.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    barman_recover *recovery = barman_recover_new();
    int32_t code = BARMAN_RECOVER_INVALID_ARGUMENT;

    if (argc == 3 && barman_recover_set_api_url(recovery, argv[1]) == 0
        && barman_recover_set_barman_server(recovery, "main") == 0
        && barman_recover_set_ssh_command(recovery, "ssh node") == 0
        && barman_recover_set_data_directory(recovery, argv[2]) == 0)
        code = barman_recover_run(recovery);
    printf("%s %s\n", barman_recover_code_name(code), barman_recover_error_message(recovery));
    barman_recover_free(recovery);
    return code & 0xff;
}
