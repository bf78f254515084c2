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
  BARMAN_RECOVER_PANIC = -7,
} barman_recover_code;
typedef enum {
  BARMAN_RECOVER_STATE_NOT_CREATED = 0,
  BARMAN_RECOVER_STATE_MAYBE_CREATED = 1,
  BARMAN_RECOVER_STATE_IN_PROGRESS = 2,
  BARMAN_RECOVER_STATE_DONE = 3,
  BARMAN_RECOVER_STATE_FAILED = 4,
} barman_recover_state;
typedef enum {
  BARMAN_RECOVER_LEVEL_DEBUG = 0,
  BARMAN_RECOVER_LEVEL_INFO = 1,
  BARMAN_RECOVER_LEVEL_WARNING = 2,
  BARMAN_RECOVER_LEVEL_ERROR = 3,
} barman_recover_level;
typedef enum {
  BARMAN_RECOVER_EVENT_LOG = 1,
  BARMAN_RECOVER_EVENT_STATE = 2,
  BARMAN_RECOVER_EVENT_TICK = 3,
  BARMAN_RECOVER_EVENT_PROGRESS = 4,
} barman_recover_event;
typedef struct barman_recover barman_recover;
typedef int32_t (*barman_recover_event_fn)(int32_t kind, int32_t level, const char *message, void *user_data);
#ifdef __cplusplus
extern "C" {
#endif
uint32_t barman_recover_version_number(void);
const char *barman_recover_version(void);
const char *barman_recover_code_name(int32_t code);
const char *barman_recover_state_name(int32_t state);
barman_recover *barman_recover_new(void);
void barman_recover_free(barman_recover *handle);
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
int32_t barman_recover_set_event_callback(barman_recover *handle,
                                          barman_recover_event_fn function,
                                          void *user_data);
int32_t barman_recover_run(barman_recover *handle);
void barman_recover_cancel(barman_recover *handle);
const char *barman_recover_error_message(const barman_recover *handle);
const char *barman_recover_hint(const barman_recover *handle);
const char *barman_recover_operation_id(const barman_recover *handle);
int32_t barman_recover_operation_state(const barman_recover *handle);
int32_t barman_recover_http_status(const barman_recover *handle);
uint64_t barman_recover_elapsed_ms(const barman_recover *handle);
uint64_t barman_recover_bytes(const barman_recover *handle);
uint64_t barman_recover_total_bytes(const barman_recover *handle);
#ifdef __cplusplus
}
#endif
#endif
