/* The header compiles by itself, twice, as C and as C++, without a warning. */
#include "barman_recover.h"
#include "barman_recover.h"

static int32_t on_event(int32_t kind, int32_t level, const char *message, void *user_data)
{
    (void)message;
    (void)user_data;
    return kind == BARMAN_RECOVER_EVENT_LOG && level == BARMAN_RECOVER_LEVEL_ERROR;
}

int32_t use(barman_recover *recovery);

int32_t use(barman_recover *recovery)
{
    int32_t code = barman_recover_set_event_callback(recovery, on_event, recovery);

    if (barman_recover_version_number() >= BARMAN_RECOVER_VERSION_NUMBER && code == BARMAN_RECOVER_RECOVERY_DONE)
        code = barman_recover_run(recovery);
    switch (code) {
    case BARMAN_RECOVER_BUSY:
        return barman_recover_operation_state(recovery) == BARMAN_RECOVER_STATE_IN_PROGRESS;
    default:
        return code;
    }
}

#if BARMAN_RECOVER_VERSION_NUMBER != (BARMAN_RECOVER_VERSION_MAJOR << 16 | BARMAN_RECOVER_VERSION_MINOR << 8 | BARMAN_RECOVER_VERSION_PATCH)
#error the parts of the version are not those of its number
#endif
