/*
 * barman_recover.h - restore a Barman backup onto a PostgreSQL node through pg-backup-api
 *
 *     barman_recover *handle = barman_recover_new();
 *     if (barman_recover_set(handle, "api-url", "http://barman:7480") == 0
 *         && barman_recover_set(handle, "barman-server", "main") == 0
 *         && barman_recover_set(handle, "ssh-command", "ssh postgres@node1") == 0
 *         && barman_recover_set(handle, "data-directory", "/var/lib/postgresql/17/main") == 0)
 *         barman_recover_run(handle);
 *     if (barman_recover_code(handle) != 0)
 *         fprintf(stderr, "%s\n", barman_recover_get(handle, "/message"));
 *     barman_recover_free(handle);
 *
 * Build with: cc program.c -lbarman_recover
 *
 * What all functions have in common:
 *
 * Handles    A handle has options and runs one command at a time, any number one after the other; the options stay.
 *            While a command runs, barman_recover_set and another command return BARMAN_RECOVER_BUSY.
 * Codes      The functions that set or run return 0 or a BARMAN_RECOVER_... below. For a NULL handle, name or command
 *            and for a text that is not UTF-8 that is BARMAN_RECOVER_INVALID_ARGUMENT.
 * JSON       A result and an event are JSON objects. A pointer (RFC 6901) names a place in them: "/message",
 *            "/findings/0/detail", "" for all. A text or number there is returned as text, an object or list as JSON,
 *            nothing (and a NULL handle or pointer) as "", never NULL. docs/abi.md lists all places.
 * Memory     The host frees handles and nothing else; arguments are copied. A text from barman_recover_get or
 *            barman_recover_event is valid until the next set, run, call, start, next_event or free of its handle;
 *            other texts are valid for ever.
 * Events     Of a command wait in its handle until they are taken, from any thread: every log line and change of state,
 *            and the newest progress. A command never waits for a reader. The next command drops what was not taken.
 * Threads    Any function may be called from any thread at any time, except that a handle must not be used when or after
 *            it is freed; a free while another thread runs a command is allowed. One thread at a time should take events:
 *            barman_recover_event is about the last one that any thread took. There is nothing to initialise. Threads of
 *            the library have all signals blocked.
 * Text       NUL-terminated UTF-8, on one line; never contains a password.
 * Signals    No handler and no mask is changed, no write raises SIGPIPE, and a signal that interrupts a system call
 *            does no harm. No function may be called in a signal handler: set a flag there, and look at it whenever
 *            barman_recover_next_event returns 0.
 * fork       A child may make handles of its own; those of its parent it must not use.
 * Process    Nothing is written to stdout or stderr; locale, environment, working directory and umask are not changed.
 *            Descriptors are close-on-exec. errno is not preserved.
 * ABI        Within a SONAME no function, number, option or place in the JSON is changed or removed; all may be added.
 *            Before 1.0 each minor version has its own SONAME (libbarman_recover.so.0.1).
 *
 * Generated from the sources of barman-recover; do not edit.
 */


#ifndef BARMAN_RECOVER_H
#define BARMAN_RECOVER_H

#include <stdint.h>

/** The version of this header; compare with barman_recover_version_number(). */
#define BARMAN_RECOVER_VERSION_MAJOR 0
#define BARMAN_RECOVER_VERSION_MINOR 1
#define BARMAN_RECOVER_VERSION_PATCH 0
/** MAJOR << 16 | MINOR << 8 | PATCH */
#define BARMAN_RECOVER_VERSION_NUMBER 0x000100
#define BARMAN_RECOVER_VERSION "0.1.0"

/** Options, and one command after the other. */
typedef struct barman_recover barman_recover;

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/** The version of the library that is running, as BARMAN_RECOVER_VERSION_NUMBER. */
uint32_t barman_recover_version_number(void);

/** The same as text: "1.2.3". */
const char *barman_recover_version(void);

/**
 * All options, as a JSON list of objects: name, alias, kind (text, word, path, url, seconds, count, flag), words (of
 * a word), default, required, commands (that take it), help.
 */
const char *barman_recover_options(void);

/** The name of a code, without its prefix: "HTTP_ERROR"; "UNKNOWN" for another number. */
const char *barman_recover_code_name(int32_t code);

/** Makes a handle whose options have their defaults. Returns NULL only in case of a bug. */
barman_recover *barman_recover_new(void);

/**
 * Frees a handle. If a command runs, cancels it and waits for its end: 9 seconds at most in a restore, less otherwise.
 */
void barman_recover_free(barman_recover *handle);

/**
 * Sets an option. name: one of barman_recover_options, with "-" or "_" between its words. value: as on the command line
 * of patroni_barman, "5"; of a flag "true" or "false"; NULL: the default again. Returns 0, or why the value was refused,
 * which changes no option.
 */
int32_t barman_recover_set(barman_recover *handle, const char *name, const char *value);

/** Restores the backup: barman_recover_call with "recover". */
int32_t barman_recover_run(barman_recover *handle);

/**
 * Runs a command and returns its code, when it has ended: "recover", "check", "verify", "settle", "backups",
 * "operations" or "config-switch".
 */
int32_t barman_recover_call(barman_recover *handle, const char *command);

/**
 * Runs a command on a thread of the library. Returns 0 at once, or why it was not started; barman_recover_code has the
 * code of the command when barman_recover_next_event has returned -1.
 */
int32_t barman_recover_start(barman_recover *handle, const char *command);

/**
 * Takes the next event of the command, for which it waits timeout_ms milliseconds at most. Returns 1: an event, for
 * barman_recover_event; 0: none in time, or no command has begun; -1: the command has ended, and all were taken.
 */
int32_t barman_recover_next_event(barman_recover *handle, uint32_t timeout_ms);

/**
 * What stands at a pointer in the event that was taken last: "/kind" (log, state or progress), "/level" (DEBUG, INFO,
 * WARNING or ERROR) and "/message" in each; "/operation_id" and "/operation_state" in a state; "/percent", "/bytes",
 * "/total_bytes" and more in a progress.
 */
const char *barman_recover_event(const barman_recover *handle, const char *pointer);

/**
 * Ends the command that runs, and its restore with it; a restore without a lease and a config switch go on. When none
 * runs, ends the next one, as it begins. Returns at once: the command has ended when its function returns, or
 * barman_recover_next_event returns -1.
 */
void barman_recover_cancel(barman_recover *handle);

/**
 * The code of the last command, or of a call that was refused since; BUSY while a command runs, NO_COMMAND before the
 * first.
 */
int32_t barman_recover_code(const barman_recover *handle);

/**
 * What stands at a pointer in the result of the last command: "/code", "/code_name", "/message", "/hint" and
 * "/elapsed_seconds" in each; "/operation_id", "/operation_state", "/backup_id", "/bytes", "/total_bytes",
 * "/http_status" and "/warnings/0" of "recover"; "/findings/0/verdict" (what, detail, hint) of "check";
 * "/operations/0/id" (kind, state) of "operations"; docs/abi.md has all. "/message" is also why a call was refused.
 */
const char *barman_recover_get(const barman_recover *handle, const char *pointer);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

/** How a command ended. The numbers never change; 0, 1, 2, -1 and -2 are those of patroni_barman. */
typedef enum {
  /** Done; of a recovery: the backup was restored, and the data is in the data directory. */
  BARMAN_RECOVER_RECOVERY_DONE = 0,
  /**
   * Barman says that it failed, the data is not in the data directory, nothing has arrived in it for the stall
   * timeout; or a finding of a check has FAILED, "verify" found no complete restore, "settle" could not move the
   * remains of one.
   */
  BARMAN_RECOVER_RECOVERY_FAILED = 1,
  /** The API refused the request, or could not be reached any more. */
  BARMAN_RECOVER_HTTP_ERROR = 2,
  /** No command has run. */
  BARMAN_RECOVER_NO_COMMAND = -1,
  /** The API is not up and running; nothing was started. */
  BARMAN_RECOVER_API_NOT_OK = -2,
  /**
   * An option is missing or wrong, or the state directory or the data directory can't be used; nothing was started.
   */
  BARMAN_RECOVER_INVALID_ARGUMENT = -3,
  /** Ended by a cancel. */
  BARMAN_RECOVER_CANCELLED = -4,
  /** The overall deadline passed. */
  BARMAN_RECOVER_TIMED_OUT = -5,
  /**
   * A command runs on this handle, no thread can be started for one, or PostgreSQL runs in the data directory:
   * nothing was started, or the restore was ended.
   */
  BARMAN_RECOVER_BUSY = -6,
  /** A bug in the library, which was caught. */
  BARMAN_RECOVER_PANIC = -7
} barman_recover_codes;

#endif  /* BARMAN_RECOVER_H */
