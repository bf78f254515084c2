/*
 * What the header promises about options by name, the other commands and pulled events, one function per promise:
 * commands NAME API_URL DATA_DIRECTORY. Ends with 0, or says on stderr what was not so and ends with 1.
 */
#define _XOPEN_SOURCE 700
#include "host.h"
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONE UINT32_MAX /* an index that is out of range */

static const char *api_url;
static const char *data_directory;
static barman_recover *handle;

/* For the commands that ask the API only. */
static barman_recover *for_api(void)
{
    barman_recover *made = barman_recover_new();

    CHECK(barman_recover_set(made, "api-url", api_url) == 0);
    CHECK(barman_recover_set(made, "barman-server", "main") == 0);
    return made;
}

/* Options by name. */

static void refused(const char *name, const char *value, const char *message)
{
    CHECK(barman_recover_set(handle, name, value) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK_TEXT(barman_recover_error_message(handle), message);
}

static void options_are_set_by_name(void)
{
    uint32_t i;

    handle = barman_recover_new();
    CHECK(barman_recover_set(handle, "loop-wait", "5") == 0);
    CHECK(barman_recover_set(handle, "loop_wait", "5") == 0);
    CHECK(barman_recover_set(handle, "datadir", data_directory) == 0);
    CHECK(barman_recover_set(handle, "no-verify", "true") == 0);
    CHECK(barman_recover_set(handle, "no-verify", "false") == 0);
    CHECK(barman_recover_set(handle, "switch-when", "always") == 0);
    refused("loop-wait", "-1", "--loop-wait: takes whole seconds without a unit, for example 10");
    refused("loop-wait", "4294967296", "--loop-wait: is too large (at most 4294967295)");
    refused("loop-wait", "", "--loop-wait: takes whole seconds without a unit, for example 10");
    refused("no-verify", "2", "--no-verify: takes true or false");
    refused("switch-when", "never", "--switch-when: takes one of promoted, demoted, always");
    refused("lop-wait", "5", "there is no option 'lop-wait', did you mean 'loop-wait'?");
    refused("target-time", "now", "there is no option 'target-time'");
    refused("", "5", "there is no option ''");
    refused(NULL, "5", "the name of an option must not be NULL");
    refused("\xff", "5", "the name of an option is not valid UTF-8");
    refused("loop-wait", NULL, "--loop-wait: must not be NULL");
    refused("backup-id", "caf\xe9", "--backup-id: is not valid UTF-8");
    CHECK(barman_recover_set(NULL, "loop-wait", "5") == BARMAN_RECOVER_INVALID_ARGUMENT);

    for (i = 0; i < barman_recover_option_count(); i++) {
        const char *name = barman_recover_option_name(i), *value = barman_recover_option_default(i);
        int32_t kind = barman_recover_option_kind(i);

        CHECK(name[0] != '\0' && barman_recover_option_help(i)[0] != '\0');
        CHECK(name == barman_recover_option_name(i));
        CHECK(kind >= BARMAN_RECOVER_KIND_TEXT && kind <= BARMAN_RECOVER_KIND_FLAG);
        CHECK(value[0] == '\0' || barman_recover_set(handle, name, value) == 0);
        CHECK(barman_recover_option_required(i) == 0 || barman_recover_option_required(i) == 1);
    }
    CHECK_TEXT(barman_recover_option_name(0), "api-url");
    CHECK(barman_recover_option_kind(0) == BARMAN_RECOVER_KIND_URL && barman_recover_option_required(0) == 1);
    for (i = barman_recover_option_count(); i != 0; i = i == NONE ? 0 : NONE) {
        CHECK_TEXT(barman_recover_option_name(i), "");
        CHECK_TEXT(barman_recover_option_default(i), "");
        CHECK_TEXT(barman_recover_option_help(i), "");
        CHECK(barman_recover_option_kind(i) == -1 && barman_recover_option_required(i) == -1);
    }
    barman_recover_free(handle);
}

/* Another handle with the same options, whatever became of the first. */
static void a_handle_makes_another_with_its_options(void)
{
    barman_recover *next;

    CHECK(barman_recover_again(NULL) == NULL);
    handle = for_api();
    CHECK(barman_recover_set(handle, "ssh-command", "ssh node") == 0);
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK_TEXT(barman_recover_error_message(handle), "--data-directory: is required");
    next = barman_recover_again(handle);
    CHECK_TEXT(barman_recover_error_message(next), "");
    CHECK(barman_recover_result(next) == BARMAN_RECOVER_INVALID_ARGUMENT);
    barman_recover_cancel(handle);
    barman_recover_free(handle);
    CHECK(barman_recover_set(next, "data-directory", data_directory) == 0);

    handle = barman_recover_again(next);
    expect(barman_recover_check(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    barman_recover_free(handle);
    expect(barman_recover_run(next), BARMAN_RECOVER_RECOVERY_DONE, next);
    barman_recover_free(next);
}

/* The other commands. */

static void a_check_lists_findings(void)
{
    uint32_t i, failed = 0;
    const char *detail;

    handle = ready(api_url, data_directory);
    CHECK(barman_recover_finding_count(handle) == 0);
    expect(barman_recover_check(handle), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(barman_recover_finding_count(handle) > 3);
    for (i = 0; i < barman_recover_finding_count(handle); i++) {
        CHECK(barman_recover_finding_verdict(handle, i) != BARMAN_RECOVER_VERDICT_FAILED);
        CHECK(strcmp(barman_recover_verdict_name(barman_recover_finding_verdict(handle, i)), "UNKNOWN") != 0);
        CHECK(barman_recover_finding_what(handle, i)[0] != '\0');
        CHECK(barman_recover_finding_detail(handle, i)[0] != '\0');
    }
    CHECK_TEXT(barman_recover_error_message(handle), "");
    CHECK(barman_recover_check(handle) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_result(handle) == 0);
    for (i = barman_recover_finding_count(handle); i != 0; i = i == NONE ? 0 : NONE) {
        CHECK_TEXT(barman_recover_finding_what(handle, i), "");
        CHECK_TEXT(barman_recover_finding_detail(handle, i), "");
        CHECK_TEXT(barman_recover_finding_hint(handle, i), "");
        CHECK(barman_recover_finding_verdict(handle, i) == -1);
    }
    barman_recover_free(handle);

    handle = ready(api_url, data_directory);
    CHECK(barman_recover_set(handle, "barman-server", "other") == 0);
    expect(barman_recover_check(handle), BARMAN_RECOVER_RECOVERY_FAILED, handle);
    for (i = 0; i < barman_recover_finding_count(handle); i++) {
        if (barman_recover_finding_verdict(handle, i) != BARMAN_RECOVER_VERDICT_FAILED)
            continue;
        detail = barman_recover_finding_detail(handle, i);
        if (failed++ == 0) {
            CHECK(strstr(barman_recover_error_message(handle), detail) != NULL);
            CHECK_TEXT(barman_recover_hint(handle), barman_recover_finding_hint(handle, i));
        }
        CHECK(detail == barman_recover_finding_detail(handle, i));
    }
    CHECK(failed > 0);
    barman_recover_free(handle);

    handle = ready(api_url, data_directory);
    barman_recover_cancel(handle);
    expect(barman_recover_check(handle), BARMAN_RECOVER_CANCELLED, handle);
    barman_recover_free(handle);
    handle = barman_recover_new(); /* what is missing is a finding too */
    expect(barman_recover_check(handle), BARMAN_RECOVER_RECOVERY_FAILED, handle);
    CHECK_TEXT(barman_recover_error_message(handle), "options: --api-url: is required");
    barman_recover_free(handle);
    CHECK(barman_recover_check(NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
}

/* The API has 20260103T000000, which never ends, 20260102T000000, done, and 20260101T000000, failed. */
static void operations_are_listed_shown_and_waited_for(void)
{
    uint32_t i;

    handle = for_api();
    expect(barman_recover_list_operations(handle, 0), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(barman_recover_listed_count(handle) == 3);
    for (i = barman_recover_listed_count(handle); i != 0; i = i == NONE ? 0 : NONE) {
        CHECK_TEXT(barman_recover_listed_id(handle, i), "");
        CHECK_TEXT(barman_recover_listed_kind(handle, i), "");
        CHECK(barman_recover_listed_state(handle, i) == -1);
    }
    CHECK(barman_recover_show_operation(handle, "20260101T000000") == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_show_operation(handle, NULL) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_listed_count(handle) == 3);
    barman_recover_free(handle);

    handle = for_api();
    expect(barman_recover_list_operations(handle, 2), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(barman_recover_listed_count(handle) == 2);
    barman_recover_free(handle);

    handle = for_api();
    CHECK(barman_recover_show_operation(handle, NULL) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK_TEXT(barman_recover_error_message(handle), "the ID of the operation must not be NULL");
    expect(barman_recover_show_operation(handle, "20260101T000000"), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK(barman_recover_listed_count(handle) == 1);
    CHECK_TEXT(barman_recover_listed_id(handle, 0), "20260101T000000");
    CHECK_TEXT(barman_recover_listed_kind(handle, 0), "recovery");
    CHECK(barman_recover_listed_state(handle, 0) == BARMAN_RECOVER_STATE_FAILED);
    barman_recover_free(handle);

    handle = for_api();
    expect(barman_recover_show_operation(handle, "20250101T000000"), BARMAN_RECOVER_HTTP_ERROR, handle);
    CHECK(barman_recover_listed_count(handle) == 0 && barman_recover_hint(handle)[0] != '\0');
    barman_recover_free(handle);

    handle = for_api();
    expect(barman_recover_wait_operation(handle, "20260101T000000"), BARMAN_RECOVER_RECOVERY_FAILED, handle);
    CHECK(barman_recover_error_message(handle)[0] != '\0');
    CHECK(barman_recover_listed_state(handle, 0) == BARMAN_RECOVER_STATE_FAILED);
    barman_recover_free(handle);

    handle = for_api();
    expect(barman_recover_wait_operation(handle, "20260102T000000"), BARMAN_RECOVER_RECOVERY_DONE, handle);
    CHECK_TEXT(barman_recover_listed_kind(handle, 0), "config_switch");
    barman_recover_free(handle);

    handle = for_api();
    CHECK(barman_recover_set(handle, "deadline", "1") == 0);
    expect(barman_recover_wait_operation(handle, "20260103T000000"), BARMAN_RECOVER_TIMED_OUT, handle);
    barman_recover_free(handle);

    CHECK(barman_recover_list_operations(NULL, 1) == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_show_operation(NULL, "x") == BARMAN_RECOVER_INVALID_ARGUMENT);
    CHECK(barman_recover_wait_operation(NULL, "x") == BARMAN_RECOVER_INVALID_ARGUMENT);
}

static void expect_switch(int32_t code, int32_t expected)
{
    if (code != expected)
        fprintf(stderr, "%s (%s)\n", barman_recover_switch_code_name(code), barman_recover_error_message(handle));
    CHECK(code == expected && barman_recover_result(handle) == expected);
    barman_recover_free(handle);
}

static barman_recover *for_switch(const char *model)
{
    barman_recover *made = for_api();

    CHECK(barman_recover_set(made, "switch-when", "promoted") == 0);
    CHECK(model == NULL || barman_recover_set(made, "barman-model", model) == 0);
    return made;
}

static void a_config_switch_has_codes_of_its_own(void)
{
    handle = for_switch("m");
    CHECK(barman_recover_config_switch(handle, NULL) == BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT);
    CHECK_TEXT(barman_recover_error_message(handle), "the role must not be NULL");
    expect_switch(barman_recover_config_switch(handle, "primary"), BARMAN_RECOVER_SWITCH_DONE);
    handle = for_switch("m");
    expect_switch(barman_recover_config_switch(handle, "replica"), BARMAN_RECOVER_SWITCH_SKIPPED);
    handle = for_switch(NULL);
    expect_switch(barman_recover_config_switch(handle, "primary"), BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT);
    handle = for_switch("m");
    barman_recover_cancel(handle);
    CHECK(barman_recover_config_switch(handle, "primary") == BARMAN_RECOVER_SWITCH_CANCELLED);
    CHECK(barman_recover_config_switch(handle, "primary") == BARMAN_RECOVER_SWITCH_BUSY);
    expect_switch(barman_recover_result(handle), BARMAN_RECOVER_SWITCH_CANCELLED);
    CHECK(barman_recover_config_switch(NULL, "primary") == BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT);
}

/* Why it is busy; on the second handle, what the first left behind. */
static void being_busy_has_a_reason(void)
{
    barman_recover *next;
    char path[4096];
    FILE *file;

    CHECK(barman_recover_busy_reason(NULL) == BARMAN_RECOVER_BUSY_NONE);
    CHECK_TEXT(barman_recover_busy_name(BARMAN_RECOVER_BUSY_STATE_FILE), "STATE_FILE");
    handle = ready(api_url, data_directory);
    CHECK(barman_recover_busy_reason(handle) == BARMAN_RECOVER_BUSY_NONE);
    CHECK(mkdir(data_directory, 0700) == 0);
    snprintf(path, sizeof path, "%s/postmaster.pid", data_directory);
    file = fopen(path, "w");
    CHECK(file != NULL && fprintf(file, "%d\n", (int)getpid()) > 0 && fclose(file) == 0);
    expect(barman_recover_run(handle), BARMAN_RECOVER_BUSY, handle);
    CHECK(barman_recover_busy_reason(handle) == BARMAN_RECOVER_BUSY_POSTGRES);
    CHECK(barman_recover_run(handle) == BARMAN_RECOVER_BUSY);
    CHECK(barman_recover_busy_reason(handle) == BARMAN_RECOVER_BUSY_HANDLE);
    CHECK(remove(path) == 0 && rmdir(data_directory) == 0);

    next = barman_recover_again(handle);
    barman_recover_free(handle);
    handle = next;
    CHECK(barman_recover_start(handle) == 0);
    while (barman_recover_operation_state(handle) != BARMAN_RECOVER_STATE_IN_PROGRESS)
        sleep_us(1000);
    barman_recover_detach(handle);
    while (barman_recover_next_event(handle, 60000) != -1)
        ;
    expect(barman_recover_result(handle), BARMAN_RECOVER_CANCELLED, handle);
    CHECK(barman_recover_busy_reason(handle) == BARMAN_RECOVER_BUSY_NONE);
    next = barman_recover_again(handle);
    barman_recover_free(handle);
    CHECK(barman_recover_set(next, "barman-server", "other") == 0);
    expect(barman_recover_run(next), BARMAN_RECOVER_BUSY, next);
    CHECK(barman_recover_busy_reason(next) == BARMAN_RECOVER_BUSY_STATE_FILE);
    barman_recover_free(next);
}

/* The create is answered with 500 twice, and with 404 the third time. */
static void the_status_is_that_of_the_reply_that_decided(void)
{
    static const int32_t expected[] = {500, 404, 200};
    size_t i;

    for (i = 0; i < 3; i++) {
        handle = ready(api_url, data_directory);
        CHECK(barman_recover_http_status(handle) == 0);
        CHECK(barman_recover_set(handle, "max-retries", i == 0 ? "2" : "1") == 0);
        CHECK(barman_recover_set(handle, "retry-wait", "0") == 0);
        expect(barman_recover_run(handle), i < 2 ? BARMAN_RECOVER_HTTP_ERROR : BARMAN_RECOVER_RECOVERY_DONE, handle);
        CHECK(barman_recover_http_status(handle) == expected[i]);
        barman_recover_free(handle);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*check)(void);
    } promises[] = {
        {"options", options_are_set_by_name},
        {"again", a_handle_makes_another_with_its_options},
        {"check", a_check_lists_findings},
        {"operations", operations_are_listed_shown_and_waited_for},
        {"switch", a_config_switch_has_codes_of_its_own},
        {"busy", being_busy_has_a_reason},
        {"status", the_status_is_that_of_the_reply_that_decided},
    };
    size_t i;

    CHECK(argc == 4);
    api_url = argv[2];
    data_directory = argv[3];
    for (i = 0; i < sizeof promises / sizeof promises[0]; i++) {
        if (strcmp(argv[1], promises[i].name) == 0) {
            promises[i].check();
            return 0;
        }
    }
    CHECK(!"a known promise");
}
