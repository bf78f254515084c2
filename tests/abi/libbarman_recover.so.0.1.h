#ifndef BARMAN_RECOVER_H
#define BARMAN_RECOVER_H
#include <stdint.h>
typedef struct barman_recover barman_recover;
#ifdef __cplusplus
extern "C" {
#endif
uint32_t barman_recover_version_number(void);
const char *barman_recover_version(void);
const char *barman_recover_options(void);
const char *barman_recover_code_name(int32_t code);
barman_recover *barman_recover_new(void);
void barman_recover_free(barman_recover *handle);
int32_t barman_recover_set(barman_recover *handle, const char *name, const char *value);
int32_t barman_recover_run(barman_recover *handle);
int32_t barman_recover_call(barman_recover *handle, const char *command);
int32_t barman_recover_start(barman_recover *handle, const char *command);
int32_t barman_recover_next_event(barman_recover *handle, uint32_t timeout_ms);
const char *barman_recover_event(const barman_recover *handle, const char *pointer);
void barman_recover_cancel(barman_recover *handle);
int32_t barman_recover_code(const barman_recover *handle);
const char *barman_recover_get(const barman_recover *handle, const char *pointer);
#ifdef __cplusplus
}
#endif
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
} barman_recover_codes;
#endif
