/*
 * What the header promises about what has been restored and can be: restored NAME API_URL DATA_DIRECTORY. Ends with 0,
 * or says on stderr what was not so and ends with 1.
 */
#define _XOPEN_SOURCE 700
#include "host.h"
#include <sys/stat.h>
#include <unistd.h>

static const char *api_url;
static const char *data_directory;
static barman_recover *handle;

static barman_recover *offline(void)
{
    barman_recover *made = barman_recover_new();

    CHECK(barman_recover_set(made, "data-directory", data_directory) == 0);
    return made;
}

static void verified(int32_t code, int32_t state)
{
    handle = offline();
    CHECK(barman_recover_verified_state(handle) == -1);
    CHECK_TEXT(barman_recover_verified_detail(handle), "");
    expect(barman_recover_verify(handle), code, handle);
    CHECK(barman_recover_verified_state(handle) == state && barman_recover_result(handle) == code);
    CHECK(barman_recover_verified_detail(handle)[0] != '\0');
    CHECK(strcmp(barman_recover_verified_name(state), "UNKNOWN") != 0);
    if (code == BARMAN_RECOVER_RECOVERY_DONE) {
        CHECK_TEXT(barman_recover_error_message(handle), "");
        CHECK_TEXT(barman_recover_verified_backup_id(handle), "20261122T101942");
        CHECK_TEXT(barman_recover_verified_server(handle), "main");
        CHECK(barman_recover_verified_taken(handle)[0] != '\0');
        CHECK(barman_recover_verified_restored(handle) > 1700000000);
        CHECK(barman_recover_verified_last_wal(handle) == barman_recover_verified_last_wal(handle));
    } else {
        CHECK_TEXT(barman_recover_error_message(handle), barman_recover_verified_detail(handle));
        CHECK_TEXT(barman_recover_verified_backup_id(handle), "");
        CHECK(barman_recover_verified_restored(handle) == 0);
    }
    barman_recover_free(handle);
}

static void a_directory_is_verified(void)
{
    char path[4096];
    FILE *file;

    verified(BARMAN_RECOVER_RECOVERY_FAILED, BARMAN_RECOVER_VERIFIED_NONE);
    CHECK(mkdir(data_directory, 0700) == 0);
    verified(BARMAN_RECOVER_RECOVERY_FAILED, BARMAN_RECOVER_VERIFIED_NONE);
    snprintf(path, sizeof path, "%s/PG_VERSION", data_directory);
    file = fopen(path, "w");
    CHECK(file != NULL && fputs("15\n", file) >= 0 && fclose(file) == 0);
    verified(BARMAN_RECOVER_RECOVERY_FAILED, BARMAN_RECOVER_VERIFIED_INCOMPLETE);
    CHECK(remove(path) == 0);
    handle = ready(api_url, data_directory);
    CHECK(barman_recover_set(handle, "backup-id", "20261122T101942") == 0);
    expect(barman_recover_run(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    barman_recover_free(handle);
    verified(BARMAN_RECOVER_RECOVERY_DONE, BARMAN_RECOVER_VERIFIED_COMPLETE);

    handle = barman_recover_new();
    expect(barman_recover_verify(handle), BARMAN_RECOVER_INVALID_ARGUMENT, handle);
    CHECK_TEXT(barman_recover_error_message(handle), "--data-directory: is required");
    barman_recover_free(handle);
    handle = offline();
    barman_recover_cancel(handle);
    expect(barman_recover_verify(handle), BARMAN_RECOVER_CANCELLED, handle);
    CHECK(barman_recover_verify(handle) == BARMAN_RECOVER_BUSY);
    barman_recover_free(handle);
    CHECK(barman_recover_verify(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_verified_state(NULL) == -1 && barman_recover_verified_restored(NULL) == 0);
    CHECK_TEXT(barman_recover_verified_server(NULL), "");
}

static void backups_are_listed(void)
{
    uint32_t i;

    handle = barman_recover_new();
    CHECK(barman_recover_set(handle, "api-url", api_url) == 0);
    CHECK(barman_recover_set(handle, "barman-server", "main") == 0);
    expect(barman_recover_list_backups(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(barman_recover_backup_count(handle) == 2);
    CHECK_TEXT(barman_recover_backup_id(handle, 0), "20261122T101942");
    CHECK_TEXT(barman_recover_backup_id(handle, 1), "20261121T101942");
    CHECK_TEXT(barman_recover_backup_status(handle, 0), "DONE");
    CHECK(barman_recover_backup_is_complete(handle, 0) == 1 && barman_recover_backup_bytes(handle, 0) > 0);
    for (i = 0; i < 4; i++) {
        CHECK(strlen(barman_recover_backup_begin_time(handle, i)) < 100);
        CHECK(strlen(barman_recover_backup_end_time(handle, i)) < 100);
        CHECK(strlen(barman_recover_backup_version(handle, i)) < 100);
        CHECK(strlen(barman_recover_backup_mode(handle, i)) < 100);
    }
    CHECK_TEXT(barman_recover_backup_id(handle, 2), "");
    CHECK(barman_recover_backup_is_complete(handle, UINT32_MAX) == -1);
    CHECK(barman_recover_backup_bytes(handle, UINT32_MAX) == 0);
    barman_recover_free(handle);

    handle = barman_recover_new();
    CHECK(barman_recover_set(handle, "api-url", api_url) == 0);
    CHECK(barman_recover_set(handle, "barman-server", "other") == 0);
    expect(barman_recover_list_backups(handle), BARMAN_RECOVER_HTTP_ERROR, handle);
    CHECK(barman_recover_backup_count(handle) == 0 && barman_recover_error_message(handle)[0] != '\0');
    barman_recover_free(handle);
    CHECK(barman_recover_list_backups(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_backup_count(NULL) == 0 && barman_recover_backup_is_complete(NULL, 0) == -1);
}

/* The operation never ends; its run does, and leaves the state file. */
static void a_restore_is_ended(void)
{
    barman_recover *run;

    handle = offline();
    expect(barman_recover_end_restore(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    barman_recover_free(handle);

    run = ready(api_url, data_directory);
    CHECK(barman_recover_start(run) == 0);
    while (barman_recover_operation_state(run) != BARMAN_RECOVER_STATE_IN_PROGRESS)
        sleep_us(1000);
    handle = offline();
    expect(barman_recover_end_restore(handle), BARMAN_RECOVER_BUSY, handle);
    CHECK(barman_recover_busy_reason(handle) == BARMAN_RECOVER_BUSY_STATE_FILE);
    CHECK(barman_recover_hint(handle)[0] != '\0');
    barman_recover_free(handle);
    barman_recover_detach(run);
    barman_recover_free(run);

    handle = offline();
    expect(barman_recover_end_restore(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(barman_recover_operation_id(handle)[0] != '\0');
    barman_recover_free(handle);
    handle = offline();
    barman_recover_cancel(handle);
    expect(barman_recover_end_restore(handle), BARMAN_RECOVER_CANCELLED, handle);
    barman_recover_free(handle);
    CHECK(barman_recover_end_restore(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    api_url = argv[2];
    data_directory = argv[3];
    if (strcmp(argv[1], "verify") == 0)
        a_directory_is_verified();
    else if (strcmp(argv[1], "backups") == 0)
        backups_are_listed();
    else if (strcmp(argv[1], "end") == 0)
        a_restore_is_ended();
    else
        CHECK(!"a known promise");
    return 0;
}
