/* The header compiles by itself, twice, as C and as C++, without a warning. */
#include "barman_recover.h"
#include "barman_recover.h"

int32_t use(barman_recover *handle);

int32_t use(barman_recover *handle)
{
    int32_t code = BARMAN_RECOVER_INVALID_ARGUMENT;

    if (barman_recover_version_number() >= BARMAN_RECOVER_VERSION_NUMBER)
        code = barman_recover_run(handle);
    switch (code) {
    case BARMAN_RECOVER_BUSY:
        return *barman_recover_get(handle, "/message") != '\0';
    default:
        return code;
    }
}

#if BARMAN_RECOVER_VERSION_NUMBER != (BARMAN_RECOVER_VERSION_MAJOR << 16 | BARMAN_RECOVER_VERSION_MINOR << 8 | BARMAN_RECOVER_VERSION_PATCH)
#error the parts of the version are not those of its number
#endif
