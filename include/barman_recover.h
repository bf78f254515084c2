/*
 * barman_recover.h - restore a Barman backup onto a PostgreSQL node through pg-backup-api
 *
 * One handle is one recovery: make it, set its options, run it, ask what came of it, free it.
 *
 *     barman_recover *recovery = barman_recover_new();
 *     int32_t code = BARMAN_RECOVER_INVALID_ARGUMENT;
 *     if (barman_recover_set_api_url(recovery, "http://barman:7480") == 0
 *         && barman_recover_set_barman_server(recovery, "main") == 0
 *         && barman_recover_set_ssh_command(recovery, "ssh postgres@node1") == 0
 *         && barman_recover_set_data_directory(recovery, "/var/lib/postgresql/17/main") == 0)
 *         code = barman_recover_run(recovery);
 *     if (code != BARMAN_RECOVER_RECOVERY_DONE)
 *         fprintf(stderr, "%s: %s\n", barman_recover_code_name(code),
 *                 barman_recover_error_message(recovery));
 *     barman_recover_free(recovery);
 *
 * Build with: cc program.c -lbarman_recover
 *
 * Threads    barman_recover_run blocks; every other function returns at once. All functions may be called
 *            from any thread, also at the same time and during a run, with one exception:
 *            barman_recover_free must be the last call for its handle. Different handles are independent.
 *            There is nothing to initialise and nothing global. A run starts helper threads, with all signals
 *            blocked, for two things: to look up the API's name, if it is no address (the thread may outlive
 *            the run if the lookup hangs), and to ask for the backup's size (barman_recover_set_no_diagnose).
 *            A run takes less than 64 KiB of stack, beside what the event callback takes.
 * Memory     The host frees the handle and nothing else. Setters copy their argument. Texts that a getter
 *            returns stay valid and unchanged until barman_recover_free, those of the functions without a
 *            handle for ever, and the message of an event until the callback returns.
 * Strings    End with NUL and are UTF-8, in both directions. No text that comes out is ever NULL: "" stands
 *            for none. None holds a password.
 * Codes      Setters and barman_recover_run return one of BARMAN_RECOVER_..., 0 for success. Messages name an
 *            option as on the command line of patroni_barman: "--api-url: must not be empty".
 * Signals    No handler and no mask is touched, and no write raises SIGPIPE; a signal that interrupts a
 *            system call of the library does no harm. No function may be called in a signal handler:
 *            set a flag there, and let the event callback return it.
 * Cancelling Ends a pause or a request at once and a name lookup within a second. The establishing of a TCP
 *            connection is not interrupted: it takes until the connect timeout at most. Barman's own work
 *            can't be stopped through its API: see barman_recover_operation_state.
 * fork       Do not use a handle in a child process that was forked after it was made. A child that calls no
 *            exec and outlives a run that was killed keeps that run's state file locked: the next run waits.
 * Output     Nothing is ever written to stdout or stderr; what there is to say comes as events.
 * Process    Locale, environment, working directory, umask and limits are not touched; SSL_CERT_FILE and
 *            SSL_CERT_DIR are read for https. Of the files only the state file is written. Descriptors are
 *            close-on-exec, and closed when the run ends. errno is not preserved.
 * Panics     A bug of the library is caught at its border: the function returns BARMAN_RECOVER_PANIC (or ""
 *            or 0), error_message says where, and of the handle only the getters, barman_recover_cancel and
 *            barman_recover_free are of use from then on.
 * ABI        Within a SONAME, functions, numbers and their meaning are neither changed nor removed, and no
 *            struct is passed, so that a program that was built against an older header goes on working.
 *            Functions, codes, states and kinds of events may be added: expect unknown ones. Before 1.0
 *            each minor version has a SONAME of its own (libbarman_recover.so.0.1).
 *
 * Generated from src/ffi of barman-recover; do not edit.
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

/**
 * How a function, above all barman_recover_run, ended. 0, 1, 2, -1 and -2 are the numbers of Patroni's
 * patroni_barman.
 */
typedef enum {
  /**
   * The backup was restored; or: the call succeeded.
   */
  BARMAN_RECOVER_RECOVERY_DONE = 0,
  /**
   * Barman says that the recovery failed; or the data directory does not hold the data that it should, or
   * nothing arrived in it for the stall timeout.
   */
  BARMAN_RECOVER_RECOVERY_FAILED = 1,
  /**
   * The API refused the request, or could not be talked to any more.
   */
  BARMAN_RECOVER_HTTP_ERROR = 2,
  /**
   * The exit status of the program patroni_barman without a sub-command; no function returns it.
   */
  BARMAN_RECOVER_NO_COMMAND = -1,
  /**
   * The API is not up and running; nothing was started.
   */
  BARMAN_RECOVER_API_NOT_OK = -2,
  /**
   * An argument or option is missing or wrong; nothing was sent.
   */
  BARMAN_RECOVER_INVALID_ARGUMENT = -3,
  /**
   * Ended by barman_recover_cancel or by the event callback.
   */
  BARMAN_RECOVER_CANCELLED = -4,
  /**
   * The overall deadline passed.
   */
  BARMAN_RECOVER_TIMED_OUT = -5,
  /**
   * The handle is running or has run, a PostgreSQL runs in the data directory, or a state file speaks of
   * another recovery; nothing was started.
   */
  BARMAN_RECOVER_BUSY = -6,
  /**
   * A bug in the library, caught at its border.
   */
  BARMAN_RECOVER_PANIC = -7,
} barman_recover_code;

/**
 * What is known about the operation on the Barman host.
 */
typedef enum {
  /**
   * None was created.
   */
  BARMAN_RECOVER_STATE_NOT_CREATED = 0,
  /**
   * A create is being sent or was sent, and its fate is unknown: files may be landing in the data directory.
   */
  BARMAN_RECOVER_STATE_MAYBE_CREATED = 1,
  /**
   * It was running when last seen: files may be landing in the data directory.
   */
  BARMAN_RECOVER_STATE_IN_PROGRESS = 2,
  /**
   * It has ended; Barman calls it done.
   */
  BARMAN_RECOVER_STATE_DONE = 3,
  /**
   * It has ended; Barman calls it failed.
   */
  BARMAN_RECOVER_STATE_FAILED = 4,
} barman_recover_state;

/**
 * The level of a BARMAN_RECOVER_EVENT_LOG.
 */
typedef enum {
  /**
   * For those who look for a fault.
   */
  BARMAN_RECOVER_LEVEL_DEBUG = 0,
  /**
   * The course of things.
   */
  BARMAN_RECOVER_LEVEL_INFO = 1,
  /**
   * Something is odd, and the run goes on.
   */
  BARMAN_RECOVER_LEVEL_WARNING = 2,
  /**
   * The run ends because of this, or a hint to it.
   */
  BARMAN_RECOVER_LEVEL_ERROR = 3,
} barman_recover_level;

/**
 * The kind of an event. Ignore those that you do not know.
 */
typedef enum {
  /**
   * A line for the log: level is a BARMAN_RECOVER_LEVEL_..., message one line of text.
   */
  BARMAN_RECOVER_EVENT_LOG = 1,
  /**
   * The state of the operation has changed: level is the BARMAN_RECOVER_STATE_..., message the ID of the
   * operation, or "" while it is not known. BARMAN_RECOVER_STATE_MAYBE_CREATED comes before the create is
   * sent, and BARMAN_RECOVER_STATE_NOT_CREATED again when it has started nothing.
   */
  BARMAN_RECOVER_EVENT_STATE = 2,
  /**
   * About a second has passed, whatever the run waits for (only while a TCP connection is being
   * established there are none): level is 0, message "".
   */
  BARMAN_RECOVER_EVENT_TICK = 3,
  /**
   * What has arrived in the data directory, from the first byte on, where the data directory can be seen.
   * Comes about once a second while an operation runs, more often in its first seconds: level is the share
   * of the backup in percent, or -1 while its size is not known, message the figures for people.
   * barman_recover_bytes and barman_recover_total_bytes have the numbers.
   */
  BARMAN_RECOVER_EVENT_PROGRESS = 4,
} barman_recover_event;

/**
 * One recovery. Its inside is the library's.
 */
typedef struct barman_recover barman_recover;

/**
 * Told what happens during a run: kind is a BARMAN_RECOVER_EVENT_..., of which the meaning of level and
 * message depends; message is never NULL and valid until the callback returns; user_data is what was given
 * to barman_recover_set_event_callback.
 *
 * Returns 0 to go on; anything else cancels the run, as barman_recover_cancel does.
 *
 * Called on the thread that is inside barman_recover_run, one call at a time. The run waits for it, so it
 * should be quick. It may call barman_recover_cancel and all functions that return something about the
 * handle. Setters and barman_recover_run return BARMAN_RECOVER_BUSY in it, and barman_recover_free is
 * forbidden in it. It must return: neither a C++ exception nor longjmp may leave it.
 */
typedef int32_t (*barman_recover_event_fn)(int32_t kind, int32_t level, const char *message, void *user_data);

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * The version of the library that is running, as BARMAN_RECOVER_VERSION_NUMBER: MAJOR << 16 | MINOR << 8 |
 * PATCH. From any thread.
 */
uint32_t barman_recover_version_number(void);

/**
 * The same as text, for example "1.2.3". Valid for ever. From any thread.
 */
const char *barman_recover_version(void);

/**
 * The name of a code, without its prefix: "RECOVERY_DONE".
 *
 * code: any number; "UNKNOWN" is the name of those that are none.
 *
 * The text is valid for ever. From any thread.
 */
const char *barman_recover_code_name(int32_t code);

/**
 * The name of an operation's state, without its prefix: "IN_PROGRESS".
 *
 * state: any number; "UNKNOWN" is the name of those that are none.
 *
 * The text is valid for ever. From any thread.
 */
const char *barman_recover_state_name(int32_t state);

/**
 * Makes a handle, for one recovery. All options have their defaults.
 *
 * Returns the handle, to be freed with barman_recover_free; NULL only in case of a bug (without memory the
 * process ends). All functions accept NULL for a handle. From any thread.
 */
barman_recover *barman_recover_new(void);

/**
 * Frees a handle and every text that its functions returned.
 *
 * handle: NULL is ignored. No other call with it may be under way, so not while barman_recover_run has not
 * returned (cancel it, and wait for its return), nor in the event callback.
 *
 * From any thread.
 */
void barman_recover_free(barman_recover *handle);

/**
 * URL of pg-backup-api, for example "http://barman:7480"; "https://user:password@host/prefix" works too.
 *
 * url: copied; NULL, not UTF-8 or no URL is refused. Required.
 *
 * Returns 0; BARMAN_RECOVER_INVALID_ARGUMENT if the value is refused (the option keeps what it had, and
 * barman_recover_error_message says why) or the handle is NULL; BARMAN_RECOVER_BUSY from
 * barman_recover_run on; BARMAN_RECOVER_PANIC. From any thread. So do all setters.
 */
int32_t barman_recover_set_api_url(barman_recover *handle, const char *url);

/**
 * Client certificate for the API, in PEM; the file may hold the key too. Read when the run begins.
 *
 * path: copied; NULL, empty or not UTF-8 is refused. Default: none.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_cert_file(barman_recover *handle, const char *path);

/**
 * Key of the client certificate, in PEM, not encrypted. Needs a client certificate.
 *
 * path: copied; NULL, empty or not UTF-8 is refused. Default: the key in the certificate's file.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_key_file(barman_recover *handle, const char *path);

/**
 * Certificates to trust, in PEM, beside the system's (or those of the environment variables SSL_CERT_FILE
 * and SSL_CERT_DIR).
 *
 * path: copied; NULL, empty or not UTF-8 is refused. Default: none.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_ca_file(barman_recover *handle, const char *path);

/**
 * HTTP proxy to reach the API through: "http://host:port" or "http://user:password@host:port". The
 * environment's proxy variables are ignored.
 *
 * url: copied; NULL, not UTF-8 or no URL is refused. Default: none.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_proxy(barman_recover *handle, const char *url);

/**
 * How long to wait before a failed request is repeated.
 *
 * seconds: whole seconds. Default: 2.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_retry_wait(barman_recover *handle, uint32_t seconds);

/**
 * How often a request that failed and started nothing is tried.
 *
 * count: any number. Default: 5.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_max_retries(barman_recover *handle, uint32_t count);

/**
 * How long connecting to the API may take, TLS handshake included.
 *
 * seconds: whole seconds; 0 is refused. Default: 10.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_connect_timeout(barman_recover *handle, uint32_t seconds);

/**
 * How long the API may take to answer a question.
 *
 * seconds: whole seconds; 0 is refused. Default: 20.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_request_timeout(barman_recover *handle, uint32_t seconds);

/**
 * How long the API may take to answer the request that starts the operation.
 *
 * seconds: whole seconds; 0 is refused. Default: 60.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_create_timeout(barman_recover *handle, uint32_t seconds);

/**
 * Name of the Barman server from which to restore.
 *
 * value: copied; NULL, empty or not UTF-8 is refused. Required.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_barman_server(barman_recover *handle, const char *value);

/**
 * Backup to restore: an ID, or what "barman recover" accepts ("latest", "oldest", ...).
 *
 * value: copied; NULL, empty or not UTF-8 is refused. Default: "latest".
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_backup_id(barman_recover *handle, const char *value);

/**
 * Command with which Barman reaches this node, as its --remote-ssh-command: "ssh postgres@node1".
 *
 * value: copied; NULL, empty or not UTF-8 is refused. Required unless an operation is followed.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_ssh_command(barman_recover *handle, const char *value);

/**
 * Data directory of this node: where to restore.
 *
 * path: copied; NULL, empty or not UTF-8 is refused. A relative one is taken from the current directory when
 * the run begins. Required.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_data_directory(barman_recover *handle, const char *path);

/**
 * Operation to follow instead of starting one.
 *
 * value: copied; NULL, empty or not UTF-8 is refused. Default: none, start one.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_operation_id(barman_recover *handle, const char *value);

/**
 * How long to wait between two looks at the operation, at most.
 *
 * seconds: whole seconds. Default: 10.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_loop_wait(barman_recover *handle, uint32_t seconds);

/**
 * How long to go on without a good answer about a running operation.
 *
 * seconds: whole seconds. Default: 300; or max_retries times retry_wait, if one of these is set.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_max_outage(barman_recover *handle, uint32_t seconds);

/**
 * How long the whole run may take; 0 for no limit.
 *
 * seconds: whole seconds. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_deadline(barman_recover *handle, uint32_t seconds);

/**
 * Whether to call the recovery failed when the data directory does not hold the data afterwards. Without,
 * that is a warning.
 *
 * flag: 0 for no, anything else for yes. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_verify(barman_recover *handle, int32_t flag);

/**
 * File that remembers the running operation, so that a run after a kill knows of it.
 *
 * path: copied; NULL, empty or not UTF-8 is refused. Default: beside the data directory, with
 * ".barman-recover.json" added to its name.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_state_file(barman_recover *handle, const char *path);

/**
 * Whether to keep no state file: a run that was killed is then forgotten.
 *
 * flag: 0 for no, anything else for yes. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_no_state_file(barman_recover *handle, int32_t flag);

/**
 * How long an operation may be in progress without anything new in the data directory; 0 for no limit. Then
 * the run ends with BARMAN_RECOVER_RECOVERY_FAILED, and the state file stays. A warning comes after 300 s.
 *
 * seconds: whole seconds. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_stall_timeout(barman_recover *handle, uint32_t seconds);

/**
 * Whether not to ask the API for the size of the backup (GET /diagnose, once, in a helper thread beside the
 * polling; it has Barman look at all its servers). barman_recover_total_bytes then stays 0.
 *
 * flag: 0 for no, anything else for yes. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_no_diagnose(barman_recover *handle, int32_t flag);

/**
 * Whether to accept the API's DONE although the data is not in the data directory: for a host that restores
 * elsewhere.
 *
 * flag: 0 for no, anything else for yes. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_no_verify(barman_recover *handle, int32_t flag);

/**
 * Whether to leave the restore running when the run is cancelled, instead of ending it.
 *
 * flag: 0 for no, anything else for yes. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_leave_running(barman_recover *handle, int32_t flag);

/**
 * Whether to restore although a check of the free space or of the data directory speaks against it.
 *
 * flag: 0 for no, anything else for yes. Default: 0.
 *
 * Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
 */
int32_t barman_recover_set_force(barman_recover *handle, int32_t flag);

/**
 * Sets the function that is told what happens during the run.
 *
 * function: NULL for none, which is the default. user_data: handed back to the function, otherwise not
 * touched; may be NULL; must be valid until barman_recover_run has returned.
 *
 * Returns 0; BARMAN_RECOVER_INVALID_ARGUMENT if the handle is NULL; BARMAN_RECOVER_BUSY from
 * barman_recover_run on; BARMAN_RECOVER_PANIC. From any thread.
 */
int32_t barman_recover_set_event_callback(barman_recover *handle,
                                          barman_recover_event_fn function,
                                          void *user_data);

/**
 * Runs the recovery; blocks until it has ended, which takes as long as the restore.
 *
 * handle: with the needed options set. It can be run once.
 *
 * Returns the code of the recovery. BARMAN_RECOVER_INVALID_ARGUMENT: the handle is NULL, or options are
 * missing or don't fit together (before anything is sent). BARMAN_RECOVER_BUSY: also when the handle is running
 * or has run; that run and its report are not touched. BARMAN_RECOVER_CANCELLED: nothing was sent if it was
 * cancelled before.
 *
 * From any thread; the event callback is called on it.
 */
int32_t barman_recover_run(barman_recover *handle);

/**
 * Asks the run to end, now or when it begins. Once cancelled, a handle stays so; a run that has ended keeps
 * its code. It does not end the operation on the Barman host: its API has no call for that.
 *
 * handle: NULL is ignored.
 *
 * Returns at once. From any thread and in the event callback, any number of times, between
 * barman_recover_new and barman_recover_free; not in a signal handler.
 */
void barman_recover_cancel(barman_recover *handle);

/**
 * What went wrong, in one line: in the setter that last refused a value, or, from barman_recover_run on, in
 * the run.
 *
 * handle: may be NULL.
 *
 * Returns "" when nothing did. Valid until barman_recover_free. From any thread and in the event callback.
 */
const char *barman_recover_error_message(const barman_recover *handle);

/**
 * What to do about it, in one line; known when the run has ended.
 *
 * handle: may be NULL.
 *
 * Returns "" when there is nothing to say. Valid until barman_recover_free. From any thread and in the event
 * callback.
 */
const char *barman_recover_hint(const barman_recover *handle);

/**
 * The ID of the operation that the run created or follows; known as soon as the run knows it.
 *
 * handle: may be NULL.
 *
 * Returns "" when there is none. Valid until barman_recover_free. From any thread and in the event callback.
 */
const char *barman_recover_operation_id(const barman_recover *handle);

/**
 * What is known about the operation, during the run and after it. After any code but
 * BARMAN_RECOVER_RECOVERY_DONE it tells whether files may still be landing in the data directory:
 * BARMAN_RECOVER_STATE_MAYBE_CREATED and BARMAN_RECOVER_STATE_IN_PROGRESS mean that they may.
 *
 * handle: may be NULL.
 *
 * Returns a BARMAN_RECOVER_STATE_..., for NULL and before the run BARMAN_RECOVER_STATE_NOT_CREATED. From any
 * thread and in the event callback.
 */
int32_t barman_recover_operation_state(const barman_recover *handle);

/**
 * The last HTTP status that the API answered with; known when the run has ended.
 *
 * handle: may be NULL.
 *
 * Returns 0 when there was no answer. From any thread and in the event callback.
 */
int32_t barman_recover_http_status(const barman_recover *handle);

/**
 * How long the run has taken so far, or took, in milliseconds.
 *
 * handle: may be NULL.
 *
 * Returns 0 before the run. From any thread and in the event callback.
 */
uint64_t barman_recover_elapsed_ms(const barman_recover *handle);

/**
 * How many bytes are in the data directory, its tablespaces and its WAL directory; counted during the run
 * where the data directory can be seen.
 *
 * handle: may be NULL.
 *
 * Returns 0 while nothing was counted. From any thread and in the event callback.
 */
uint64_t barman_recover_bytes(const barman_recover *handle);

/**
 * The size of the backup in bytes, its WAL not included, as Barman tells it.
 *
 * handle: may be NULL.
 *
 * Returns 0 while it is not known. From any thread and in the event callback.
 */
uint64_t barman_recover_total_bytes(const barman_recover *handle);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* BARMAN_RECOVER_H */
