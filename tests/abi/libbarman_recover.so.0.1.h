#ifndef BARMAN_RECOVER_H
#define BARMAN_RECOVER_H
#include <stdint.h>
typedef enum {
  BARMAN_RECOVER_RECOVERY_DONE = 0,
  BARMAN_RECOVER_RECOVERY_FAILED = 1,
  BARMAN_RECOVER_HTTP_ERROR = 2,
  BARMAN_RECOVER_NO_COMMAND = -1,
  BARMAN_RECOVER_API_NOT_OK = -2,
  BARMAN_RECOVER_INVALID_ARGUMENT = -3,
  BARMAN_RECOVER_CANCELLED = -4,
  BARMAN_RECOVER_TIMED_OUT = -5,
  BARMAN_RECOVER_BUSY = -6,
  BARMAN_RECOVER_PANIC = -7
} barman_recover_code;
typedef enum {
  BARMAN_RECOVER_SWITCH_DONE = 0,
  BARMAN_RECOVER_SWITCH_SKIPPED = 1,
  BARMAN_RECOVER_SWITCH_FAILED = 2,
  BARMAN_RECOVER_SWITCH_HTTP_ERROR = 3,
  BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT = 4,
  BARMAN_RECOVER_SWITCH_API_NOT_OK = -2,
  BARMAN_RECOVER_SWITCH_CANCELLED = -4,
  BARMAN_RECOVER_SWITCH_TIMED_OUT = -5,
  BARMAN_RECOVER_SWITCH_BUSY = -6,
  BARMAN_RECOVER_SWITCH_PANIC = -7
} barman_recover_switch_code;
typedef enum {
  BARMAN_RECOVER_BUSY_NONE = 0,
  BARMAN_RECOVER_BUSY_HANDLE = 1,
  BARMAN_RECOVER_BUSY_POSTGRES = 2,
  BARMAN_RECOVER_BUSY_STATE_FILE = 3,
  BARMAN_RECOVER_BUSY_THREAD = 4
} barman_recover_busy;
typedef enum {
  BARMAN_RECOVER_STATE_NOT_CREATED = 0,
  BARMAN_RECOVER_STATE_MAYBE_CREATED = 1,
  BARMAN_RECOVER_STATE_IN_PROGRESS = 2,
  BARMAN_RECOVER_STATE_DONE = 3,
  BARMAN_RECOVER_STATE_FAILED = 4
} barman_recover_state;
typedef enum {
  BARMAN_RECOVER_LEVEL_DEBUG = 0,
  BARMAN_RECOVER_LEVEL_INFO = 1,
  BARMAN_RECOVER_LEVEL_WARNING = 2,
  BARMAN_RECOVER_LEVEL_ERROR = 3
} barman_recover_level;
typedef enum {
  BARMAN_RECOVER_EVENT_LOG = 1,
  BARMAN_RECOVER_EVENT_STATE = 2,
  BARMAN_RECOVER_EVENT_TICK = 3,
  BARMAN_RECOVER_EVENT_PROGRESS = 4
} barman_recover_event;
typedef enum {
  BARMAN_RECOVER_VERDICT_OK = 0,
  BARMAN_RECOVER_VERDICT_WARNING = 1,
  BARMAN_RECOVER_VERDICT_FAILED = 2,
  BARMAN_RECOVER_VERDICT_SKIPPED = 3
} barman_recover_verdict;
typedef enum {
  BARMAN_RECOVER_VERIFIED_NONE = 0,
  BARMAN_RECOVER_VERIFIED_COMPLETE = 1,
  BARMAN_RECOVER_VERIFIED_BEING_WRITTEN = 2,
  BARMAN_RECOVER_VERIFIED_INCOMPLETE = 3,
  BARMAN_RECOVER_VERIFIED_IN_USE = 4
} barman_recover_verified;
typedef enum {
  BARMAN_RECOVER_KIND_TEXT = 1,
  BARMAN_RECOVER_KIND_WORD = 2,
  BARMAN_RECOVER_KIND_PATH = 3,
  BARMAN_RECOVER_KIND_URL = 4,
  BARMAN_RECOVER_KIND_SECONDS = 5,
  BARMAN_RECOVER_KIND_COUNT = 6,
  BARMAN_RECOVER_KIND_FLAG = 7
} barman_recover_kind;
typedef struct barman_recover barman_recover;
typedef int32_t (*barman_recover_event_fn)(int32_t kind, int32_t level, const char *message, void *user_data);
#ifdef __cplusplus
extern "C" {
#endif
uint32_t barman_recover_version_number(void);
const char *barman_recover_version(void);
const char *barman_recover_code_name(int32_t code);
const char *barman_recover_switch_code_name(int32_t code);
const char *barman_recover_busy_name(int32_t reason);
const char *barman_recover_state_name(int32_t state);
const char *barman_recover_level_name(int32_t level);
const char *barman_recover_event_name(int32_t kind);
const char *barman_recover_verdict_name(int32_t verdict);
const char *barman_recover_verified_name(int32_t state);
barman_recover *barman_recover_new(void);
barman_recover *barman_recover_again(const barman_recover *handle);
void barman_recover_free(barman_recover *handle);
int32_t barman_recover_set(barman_recover *handle, const char *name, const char *value);
uint32_t barman_recover_option_count(void);
const char *barman_recover_option_name(uint32_t i);
const char *barman_recover_option_default(uint32_t i);
const char *barman_recover_option_help(uint32_t i);
int32_t barman_recover_option_kind(uint32_t i);
int32_t barman_recover_option_required(uint32_t i);
int32_t barman_recover_set_api_url(barman_recover *handle, const char *url);
int32_t barman_recover_set_cert_file(barman_recover *handle, const char *path);
int32_t barman_recover_set_key_file(barman_recover *handle, const char *path);
int32_t barman_recover_set_ca_file(barman_recover *handle, const char *path);
int32_t barman_recover_set_proxy(barman_recover *handle, const char *url);
int32_t barman_recover_set_retry_wait(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_max_retries(barman_recover *handle, uint32_t count);
int32_t barman_recover_set_connect_timeout(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_request_timeout(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_create_timeout(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_barman_server(barman_recover *handle, const char *value);
int32_t barman_recover_set_backup_id(barman_recover *handle, const char *value);
int32_t barman_recover_set_ssh_command(barman_recover *handle, const char *value);
int32_t barman_recover_set_data_directory(barman_recover *handle, const char *path);
int32_t barman_recover_set_operation_id(barman_recover *handle, const char *value);
int32_t barman_recover_set_loop_wait(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_max_outage(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_deadline(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_verify(barman_recover *handle, int32_t flag);
int32_t barman_recover_set_state_file(barman_recover *handle, const char *path);
int32_t barman_recover_set_no_state_file(barman_recover *handle, int32_t flag);
int32_t barman_recover_set_stall_timeout(barman_recover *handle, uint32_t seconds);
int32_t barman_recover_set_no_diagnose(barman_recover *handle, int32_t flag);
int32_t barman_recover_set_no_verify(barman_recover *handle, int32_t flag);
int32_t barman_recover_set_leave_running(barman_recover *handle, int32_t flag);
int32_t barman_recover_set_force(barman_recover *handle, int32_t flag);
int32_t barman_recover_run(barman_recover *handle);
int32_t barman_recover_start(barman_recover *handle);
int32_t barman_recover_check(barman_recover *handle);
int32_t barman_recover_verify(barman_recover *handle);
int32_t barman_recover_end_restore(barman_recover *handle);
int32_t barman_recover_list_backups(barman_recover *handle);
int32_t barman_recover_list_operations(barman_recover *handle, uint32_t newest);
int32_t barman_recover_show_operation(barman_recover *handle, const char *id);
int32_t barman_recover_wait_operation(barman_recover *handle, const char *id);
int32_t barman_recover_config_switch(barman_recover *handle, const char *role);
void barman_recover_cancel(barman_recover *handle);
void barman_recover_detach(barman_recover *handle);
int32_t barman_recover_set_event_callback(barman_recover *handle, barman_recover_event_fn function, void *user_data);
int32_t barman_recover_next_event(barman_recover *handle, uint32_t timeout_ms);
int32_t barman_recover_event_level(const barman_recover *handle);
const char *barman_recover_event_message(const barman_recover *handle);
int32_t barman_recover_result(const barman_recover *handle);
const char *barman_recover_error_message(const barman_recover *handle);
const char *barman_recover_hint(const barman_recover *handle);
const char *barman_recover_operation_id(const barman_recover *handle);
int32_t barman_recover_operation_state(const barman_recover *handle);
int32_t barman_recover_http_status(const barman_recover *handle);
int32_t barman_recover_busy_reason(const barman_recover *handle);
uint64_t barman_recover_elapsed_ms(const barman_recover *handle);
uint64_t barman_recover_bytes(const barman_recover *handle);
uint64_t barman_recover_total_bytes(const barman_recover *handle);
uint32_t barman_recover_finding_count(const barman_recover *handle);
int32_t barman_recover_finding_verdict(const barman_recover *handle, uint32_t i);
const char *barman_recover_finding_what(const barman_recover *handle, uint32_t i);
const char *barman_recover_finding_detail(const barman_recover *handle, uint32_t i);
const char *barman_recover_finding_hint(const barman_recover *handle, uint32_t i);
uint32_t barman_recover_listed_count(const barman_recover *handle);
const char *barman_recover_listed_id(const barman_recover *handle, uint32_t i);
const char *barman_recover_listed_kind(const barman_recover *handle, uint32_t i);
int32_t barman_recover_listed_state(const barman_recover *handle, uint32_t i);
uint32_t barman_recover_backup_count(const barman_recover *handle);
const char *barman_recover_backup_id(const barman_recover *handle, uint32_t i);
const char *barman_recover_backup_status(const barman_recover *handle, uint32_t i);
int32_t barman_recover_backup_is_complete(const barman_recover *handle, uint32_t i);
const char *barman_recover_backup_begin_time(const barman_recover *handle, uint32_t i);
const char *barman_recover_backup_end_time(const barman_recover *handle, uint32_t i);
uint64_t barman_recover_backup_bytes(const barman_recover *handle, uint32_t i);
const char *barman_recover_backup_version(const barman_recover *handle, uint32_t i);
const char *barman_recover_backup_mode(const barman_recover *handle, uint32_t i);
int32_t barman_recover_verified_state(const barman_recover *handle);
const char *barman_recover_verified_detail(const barman_recover *handle);
const char *barman_recover_verified_backup_id(const barman_recover *handle);
const char *barman_recover_verified_server(const barman_recover *handle);
const char *barman_recover_verified_taken(const barman_recover *handle);
uint64_t barman_recover_verified_restored(const barman_recover *handle);
const char *barman_recover_verified_last_wal(const barman_recover *handle);
#ifdef __cplusplus
}
#endif
#endif
