/*
 * barman_recover.h - restore a Barman backup onto a PostgreSQL node through pg-backup-api
 *
 * A handle takes options, then one command, and keeps the result until it is freed.
 *
 *     barman_recover *handle = barman_recover_new();
 *     int32_t code = BARMAN_RECOVER_INVALID_ARGUMENT;
 *     if (barman_recover_set(handle, "api-url", "http://barman:7480") == 0
 *         && barman_recover_set(handle, "barman-server", "main") == 0
 *         && barman_recover_set(handle, "ssh-command", "ssh postgres@node1") == 0
 *         && barman_recover_set(handle, "data-directory", "/var/lib/postgresql/17/main") == 0)
 *         code = barman_recover_run(handle);
 *     if (code != BARMAN_RECOVER_RECOVERY_DONE)
 *         fprintf(stderr, "%s: %s\n", barman_recover_code_name(code), barman_recover_error_message(handle));
 *     barman_recover_free(handle);
 *
 * Build with: cc program.c -lbarman_recover
 *
 * These rules apply to all functions; the comment of a function only adds what is specific to it.
 *
 * Codes      Setters and commands return 0 for success or a BARMAN_RECOVER_... that gives the reason;
 *            barman_recover_error_message has the details, barman_recover_hint what to do. They return
 *            BARMAN_RECOVER_INVALID_ARGUMENT for a NULL handle or text and for a value that is refused (the
 *            option keeps its previous value), and BARMAN_RECOVER_BUSY once the command of the handle has begun.
 *            Messages name options as on the command line of patroni_barman.
 * Getters    Return 0 or "" for a NULL handle or if there is nothing to return, and -1 or "" for an index i
 *            that is not below the count. They may be called before, during and after the command.
 * Commands   barman_recover_run, _check, _verify, _end_restore, _list_backups, _list_operations, _show_operation,
 *            _wait_operation and _config_switch return when the command has ended; barman_recover_start returns
 *            at once. For another command with the same options, barman_recover_again makes another handle.
 * Events     Go to the event callback, one at a time, on the thread that runs the command. Without a callback
 *            they wait in the handle for barman_recover_next_event, during the command and after it: only the
 *            newest TICK and PROGRESS, but every LOG and STATE, so that none is lost and the command never waits
 *            for a reader. They use memory (a few lines a minute) until they are read or the handle is freed.
 * Threads    Every function may be called from any thread, at the same time as others and during a command, except that
 *            barman_recover_free must be the last call with its handle. Handles are independent of each
 *            other. There is nothing to initialise. A command starts helper threads, with all signals blocked,
 *            to look up the name of the API and to ask for the size of the backup; it uses less than 64 KiB
 *            of stack, plus what the event callback uses.
 * Memory     The host frees handles, and nothing else. Arguments are copied. Texts stay valid and unchanged until
 *            their handle is freed, unless the comment says otherwise; texts that need no handle are valid forever.
 * Text       NUL-terminated UTF-8, in both directions; "" rather than NULL; never contains a password.
 * Signals    No handler and no mask is changed, and no write raises SIGPIPE; a signal that interrupts a system call
 *            does no harm. No function may be called in a signal handler: set a flag there, and let the event
 *            callback return it.
 * Cancelling Interrupts a pause and a request at once, a name lookup within a second; only connecting over TCP
 *            can't be interrupted before the connect timeout. A request that starts an operation still gets up to
 *            8 s for its reply, and Barman up to 8 s to report that the restore has ended.
 * fork       A handle must not be used in a child that was forked after it was made. If a child outlives a killed
 *            run without calling exec, it keeps the state file of that run locked, and the next run waits for it.
 * Process    Nothing is written to stdout or stderr. Locale, environment, working directory, umask and limits
 *            are not changed; SSL_CERT_FILE and SSL_CERT_DIR are read for https. Only the state file is written.
 *            Descriptors are close-on-exec, and closed when the command ends. errno is not preserved.
 * Panics     A bug in the library is caught: the function returns BARMAN_RECOVER_PANIC (a getter returns 0, -1
 *            or ""), and barman_recover_error_message says where. After that, only the getters,
 *            barman_recover_again, barman_recover_cancel and barman_recover_free can be used with the handle.
 * ABI        Within a SONAME no function and no number is changed or removed, and no struct is passed, so that a
 *            program that was built with an older header keeps working. Functions, options, codes, states,
 *            levels and kinds may be added: expect unknown ones. Before 1.0 each minor version has its own
 *            SONAME (libbarman_recover.so.0.1).
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

/** How a command ended, or a call. 0, 1, 2, -1 and -2 are the numbers of Patroni's patroni_barman. */
typedef enum {
  /** The backup was restored, and the data is in the data directory; or: the call succeeded. */
  BARMAN_RECOVER_RECOVERY_DONE = 0,
  /**
   * Barman reports that the recovery failed; or the data is not in the data directory; or nothing has arrived in
   * it for the stall timeout.
   */
  BARMAN_RECOVER_RECOVERY_FAILED = 1,
  /** The API refused the request, or can't be reached any more. */
  BARMAN_RECOVER_HTTP_ERROR = 2,
  /** Only an exit status of the program patroni_barman: without a sub-command. */
  BARMAN_RECOVER_NO_COMMAND = -1,
  /** The API is not up and running; nothing was started. */
  BARMAN_RECOVER_API_NOT_OK = -2,
  /** An argument or option is missing or wrong; nothing was sent. */
  BARMAN_RECOVER_INVALID_ARGUMENT = -3,
  /** Ended by barman_recover_cancel, barman_recover_detach or the event callback. */
  BARMAN_RECOVER_CANCELLED = -4,
  /** The deadline has passed. */
  BARMAN_RECOVER_TIMED_OUT = -5,
  /** Nothing was started; barman_recover_busy_reason says why. */
  BARMAN_RECOVER_BUSY = -6,
  /** A bug in the library was caught. */
  BARMAN_RECOVER_PANIC = -7
} barman_recover_code;

/** How a config switch ended. 0 to 4 and -2 are the numbers of Patroni's patroni_barman. */
typedef enum {
  /** The configuration was switched. */
  BARMAN_RECOVER_SWITCH_DONE = 0,
  /** "switch-when" does not include the new role; nothing was sent. */
  BARMAN_RECOVER_SWITCH_SKIPPED = 1,
  /** Barman reports that the switch failed. */
  BARMAN_RECOVER_SWITCH_FAILED = 2,
  /** The API refused the request, or can't be reached any more. */
  BARMAN_RECOVER_SWITCH_HTTP_ERROR = 3,
  /** An argument or option is missing or wrong; nothing was sent. */
  BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT = 4,
  /** The API is not up and running; nothing was switched. */
  BARMAN_RECOVER_SWITCH_API_NOT_OK = -2,
  /** Ended by barman_recover_cancel, barman_recover_detach or the event callback. */
  BARMAN_RECOVER_SWITCH_CANCELLED = -4,
  /** The deadline has passed. */
  BARMAN_RECOVER_SWITCH_TIMED_OUT = -5,
  /** The command of this handle has already begun. */
  BARMAN_RECOVER_SWITCH_BUSY = -6,
  /** A bug in the library was caught. */
  BARMAN_RECOVER_SWITCH_PANIC = -7
} barman_recover_switch_code;

/** Why a function returned BARMAN_RECOVER_BUSY. */
typedef enum {
  /** No function has. */
  BARMAN_RECOVER_BUSY_NONE = 0,
  /** The command of the handle has already begun. */
  BARMAN_RECOVER_BUSY_HANDLE = 1,
  /** PostgreSQL is running in the data directory. */
  BARMAN_RECOVER_BUSY_POSTGRES = 2,
  /**
   * The state file belongs to a different API, server, data directory or operation; for
   * barman_recover_end_restore, to a run that is alive.
   */
  BARMAN_RECOVER_BUSY_STATE_FILE = 3,
  /** The system could not create a thread for barman_recover_start. */
  BARMAN_RECOVER_BUSY_THREAD = 4
} barman_recover_busy;

/** What is known about an operation on the Barman host. */
typedef enum {
  /** No operation was created. */
  BARMAN_RECOVER_STATE_NOT_CREATED = 0,
  /** A request to create one is in flight, or its reply was lost: a restore may be running. */
  BARMAN_RECOVER_STATE_MAYBE_CREATED = 1,
  /** It was running when the API was last asked. */
  BARMAN_RECOVER_STATE_IN_PROGRESS = 2,
  /** It has ended; Barman calls it done. */
  BARMAN_RECOVER_STATE_DONE = 3,
  /** It has ended; Barman calls it failed. */
  BARMAN_RECOVER_STATE_FAILED = 4
} barman_recover_state;

/** The level of a BARMAN_RECOVER_EVENT_LOG. */
typedef enum {
  /** Details for troubleshooting. */
  BARMAN_RECOVER_LEVEL_DEBUG = 0,
  /** What the command does. */
  BARMAN_RECOVER_LEVEL_INFO = 1,
  /** Something is wrong, and the command goes on. */
  BARMAN_RECOVER_LEVEL_WARNING = 2,
  /** Why the command ends, or a hint at what to do. */
  BARMAN_RECOVER_LEVEL_ERROR = 3
} barman_recover_level;

/** The kind of an event. Ignore those that you do not know. */
typedef enum {
  /** A line for the log: level is a BARMAN_RECOVER_LEVEL_..., message one line of text. */
  BARMAN_RECOVER_EVENT_LOG = 1,
  /**
   * The state of the operation has changed: level is the BARMAN_RECOVER_STATE_..., message the ID of the
   * operation, "" while it is not known.
   */
  BARMAN_RECOVER_EVENT_STATE = 2,
  /**
   * About a second has passed (none come while a TCP connection is being established): level is 0, message "".
   */
  BARMAN_RECOVER_EVENT_TICK = 3,
  /**
   * What has arrived in the data directory, if it can be seen; about once a second, more often at first. level
   * is the share of the backup in percent, -1 while its size is not known, at most 99 until the data is
   * complete, and 100 in the last one of a successful recovery; message has the figures for people, and
   * barman_recover_bytes and barman_recover_total_bytes return them.
   */
  BARMAN_RECOVER_EVENT_PROGRESS = 4
} barman_recover_event;

/** The verdict of a finding of barman_recover_check. */
typedef enum {
  /** As it should be. */
  BARMAN_RECOVER_VERDICT_OK = 0,
  /** A restore may run into trouble. */
  BARMAN_RECOVER_VERDICT_WARNING = 1,
  /** A restore can't succeed. */
  BARMAN_RECOVER_VERDICT_FAILED = 2,
  /** It was not checked; the detail says why. */
  BARMAN_RECOVER_VERDICT_SKIPPED = 3
} barman_recover_verdict;

/** What barman_recover_verify found in the data directory. */
typedef enum {
  /** Nothing: it is missing, empty, not a directory, or can't be seen. */
  BARMAN_RECOVER_VERIFIED_NONE = 0,
  /** A complete restore, on which PostgreSQL has not been started yet. */
  BARMAN_RECOVER_VERIFIED_COMPLETE = 1,
  /** Barman is writing into it, or something in it has just changed. */
  BARMAN_RECOVER_VERIFIED_BEING_WRITTEN = 2,
  /** Files of a restore that was cut off, or that did not come from Barman. */
  BARMAN_RECOVER_VERIFIED_INCOMPLETE = 3,
  /** PostgreSQL is running in it, or has been started in it since the restore. */
  BARMAN_RECOVER_VERIFIED_IN_USE = 4
} barman_recover_verified;

/** What the value of an option looks like. */
typedef enum {
  /** Text that is not empty. */
  BARMAN_RECOVER_KIND_TEXT = 1,
  /** One word of a list, which the help gives. */
  BARMAN_RECOVER_KIND_WORD = 2,
  /** Path of a file or directory. */
  BARMAN_RECOVER_KIND_PATH = 3,
  /** URL with http or https. */
  BARMAN_RECOVER_KIND_URL = 4,
  /** Whole seconds. */
  BARMAN_RECOVER_KIND_SECONDS = 5,
  /** A whole number. */
  BARMAN_RECOVER_KIND_COUNT = 6,
  /** "true" or "false", also "on", "off", "yes", "no", "1", "0"; false unless set. */
  BARMAN_RECOVER_KIND_FLAG = 7
} barman_recover_kind;

/** One command: its options and its result. The content is private to the library. */
typedef struct barman_recover barman_recover;

/**
 * Receives an event. kind: a BARMAN_RECOVER_EVENT_..., which says what level and message are. message: valid
 * until the callback returns. user_data: from barman_recover_set_event_callback.
 *
 * Returns 0 to go on; anything else cancels the command, as barman_recover_cancel does.
 *
 * The command waits for the callback, so it should be quick. It may call all functions except
 * barman_recover_free. It must return: no C++ exception and no longjmp may leave it.
 */
typedef int32_t (*barman_recover_event_fn)(int32_t kind, int32_t level, const char *message, void *user_data);

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * Version of the library that is running, as BARMAN_RECOVER_VERSION_NUMBER: MAJOR << 16 | MINOR << 8 | PATCH.
 */
uint32_t barman_recover_version_number(void);

/** The same as text: "1.2.3". */
const char *barman_recover_version(void);

/**
 * Name of a code, without its prefix: "RECOVERY_DONE". This and the next seven return "UNKNOWN" for other numbers.
 */
const char *barman_recover_code_name(int32_t code);

/** Name of the code of a config switch, without its prefix: "SKIPPED". */
const char *barman_recover_switch_code_name(int32_t code);

/** Name of a reason to be busy, without its prefix: "STATE_FILE". */
const char *barman_recover_busy_name(int32_t reason);

/** Name of the state of an operation: "IN_PROGRESS". */
const char *barman_recover_state_name(int32_t state);

/** Name of the level of a log line: "WARNING". */
const char *barman_recover_level_name(int32_t level);

/** Name of the kind of an event: "PROGRESS". */
const char *barman_recover_event_name(int32_t kind);

/** Name of a verdict: "FAILED". */
const char *barman_recover_verdict_name(int32_t verdict);

/** Name of what was found in a data directory: "COMPLETE". */
const char *barman_recover_verified_name(int32_t state);

/** Makes a handle whose options have their defaults. Returns NULL only in case of a bug. */
barman_recover *barman_recover_new(void);

/**
 * Makes a handle with the same options, but without the event callback, for another command: check first,
 * then run; or run again. Returns NULL for NULL. May be called before, during and after the command.
 */
barman_recover *barman_recover_again(const barman_recover *handle);

/**
 * Frees a handle and every text that its functions returned. No other function may be in progress with it.
 * If barman_recover_start started something, that is cancelled first, and its end waited for: some seconds
 * at most, unless a TCP connection is being established.
 */
void barman_recover_free(barman_recover *handle);

/**
 * Sets an option of any command. name: with "-" or "_" between its words. value: as on the command line of
 * patroni_barman, for example "5"; for a flag "true" or "false".
 */
int32_t barman_recover_set(barman_recover *handle, const char *name, const char *value);

/** How many options there are. New ones come last. */
uint32_t barman_recover_option_count(void);

/** The name of an option: "api-url". */
const char *barman_recover_option_name(uint32_t i);

/** Its default as text; "" when there is none. */
const char *barman_recover_option_default(uint32_t i);

/** Its meaning, in one line. */
const char *barman_recover_option_help(uint32_t i);

/** The BARMAN_RECOVER_KIND_... of its value. */
int32_t barman_recover_option_kind(uint32_t i);

/**
 * 1 if a command that has it can't begin without it, else 0. ("ssh-command" is not needed with
 * "operation-id".)
 */
int32_t barman_recover_option_required(uint32_t i);

/** URL of pg-backup-api: "http://barman:7480", "https://user:password@host/prefix". Required. */
int32_t barman_recover_set_api_url(barman_recover *handle, const char *url);

/**
 * Client certificate for the API, in PEM; the file may hold the key too. Read when the command begins.
 * Default: none.
 */
int32_t barman_recover_set_cert_file(barman_recover *handle, const char *path);

/** Key of the client certificate, in PEM, not encrypted. Default: the key in the certificate's file. */
int32_t barman_recover_set_key_file(barman_recover *handle, const char *path);

/**
 * Certificates to trust, in PEM, in addition to those of the system (or of the environment variables
 * SSL_CERT_FILE and SSL_CERT_DIR). Default: none.
 */
int32_t barman_recover_set_ca_file(barman_recover *handle, const char *path);

/**
 * HTTP proxy to reach the API through: "http://host:port", "http://user:password@host:port". The proxy
 * variables of the environment are ignored. Default: none.
 */
int32_t barman_recover_set_proxy(barman_recover *handle, const char *url);

/** Pause before a failed request is sent again. Default: 2. */
int32_t barman_recover_set_retry_wait(barman_recover *handle, uint32_t seconds);

/** How many times a request that failed and started nothing is sent. Default: 5. */
int32_t barman_recover_set_max_retries(barman_recover *handle, uint32_t count);

/** Limit for connecting to the API, TLS handshake included. At least 1. Default: 10. */
int32_t barman_recover_set_connect_timeout(barman_recover *handle, uint32_t seconds);

/** Limit for the API's reply to a question. At least 1. Default: 20. */
int32_t barman_recover_set_request_timeout(barman_recover *handle, uint32_t seconds);

/** Limit for the API's reply to the request that starts the operation. At least 1. Default: 60. */
int32_t barman_recover_set_create_timeout(barman_recover *handle, uint32_t seconds);

/** Name of the Barman server to restore from. Required. */
int32_t barman_recover_set_barman_server(barman_recover *handle, const char *value);

/**
 * Backup to restore: an ID, or a word that "barman recover" accepts ("latest", "oldest", ...).
 * Default: "latest".
 */
int32_t barman_recover_set_backup_id(barman_recover *handle, const char *value);

/**
 * Command with which Barman reaches this node, its --remote-ssh-command: "ssh postgres@node1". Required unless
 * operation-id is set.
 */
int32_t barman_recover_set_ssh_command(barman_recover *handle, const char *value);

/**
 * Data directory of this node: where to restore. A relative path is resolved when the command begins. Required.
 */
int32_t barman_recover_set_data_directory(barman_recover *handle, const char *path);

/** Operation to follow instead of starting one. Default: none. */
int32_t barman_recover_set_operation_id(barman_recover *handle, const char *value);

/** Longest pause between two requests for the state of the operation. Default: 10. */
int32_t barman_recover_set_loop_wait(barman_recover *handle, uint32_t seconds);

/**
 * How long to go on without a good reply about a running operation. Default: 300; or max-retries times
 * retry-wait, if either of these is set.
 */
int32_t barman_recover_set_max_outage(barman_recover *handle, uint32_t seconds);

/** Limit for the whole command; 0 for none. Default: 0. */
int32_t barman_recover_set_deadline(barman_recover *handle, uint32_t seconds);

/**
 * Whether a recovery counts as failed when the data is not in the data directory afterwards. 0 is the same
 * as no-verify. Default: 1.
 */
int32_t barman_recover_set_verify(barman_recover *handle, int32_t flag);

/**
 * File that records the running operation, so that the next run knows about it if this one is killed.
 * Default: next to the data directory, its name followed by ".barman-recover.json".
 */
int32_t barman_recover_set_state_file(barman_recover *handle, const char *path);

/**
 * Whether to keep no state file: the next run then knows nothing about a run that was killed. Default: 0.
 */
int32_t barman_recover_set_no_state_file(barman_recover *handle, int32_t flag);

/**
 * How long an operation may be in progress while nothing new arrives in the data directory; 0 for no limit.
 * After that the run ends with BARMAN_RECOVER_RECOVERY_FAILED, and the state file stays. Default: 0.
 */
int32_t barman_recover_set_stall_timeout(barman_recover *handle, uint32_t seconds);

/**
 * Whether to skip asking the API for the size of the backup (GET /diagnose, for which Barman examines all
 * its servers). barman_recover_total_bytes then stays 0. Default: 0.
 */
int32_t barman_recover_set_no_diagnose(barman_recover *handle, int32_t flag);

/**
 * Whether to accept the API's DONE although the data is not in the data directory: for a host that restores to
 * another node. Default: 0.
 */
int32_t barman_recover_set_no_verify(barman_recover *handle, int32_t flag);

/** Whether a cancelled run leaves the restore running instead of ending it. Default: 0. */
int32_t barman_recover_set_leave_running(barman_recover *handle, int32_t flag);

/** Whether to restore although the free space or the data directory is unsuitable. Default: 0. */
int32_t barman_recover_set_force(barman_recover *handle, int32_t flag);

/** Restores the backup; blocks until that is finished. */
int32_t barman_recover_run(barman_recover *handle);

/**
 * The same on a thread of the library, with all signals blocked. Take its events with
 * barman_recover_next_event until that returns -1, then call barman_recover_result.
 *
 * Returns 0 when it was started. Also returns BARMAN_RECOVER_BUSY when the system can't create a thread; the
 * handle is then unchanged.
 */
int32_t barman_recover_start(barman_recover *handle);

/**
 * Checks everything that a restore with these options needs; starts and changes nothing.
 *
 * Returns 0; 1 when a finding is BARMAN_RECOVER_VERDICT_FAILED (barman_recover_error_message has the first
 * one); or another code. A missing option is a finding.
 */
int32_t barman_recover_check(barman_recover *handle);

/**
 * Checks whether the data directory holds a complete restore, without API and state file. Its one option is
 * "data-directory". Takes about a second at most.
 *
 * Returns 0 when it does, 1 when it does not, or another code; barman_recover_verified_state says what is there.
 */
int32_t barman_recover_verify(barman_recover *handle);

/**
 * Ends a restore into the data directory whose own run is gone: sends SIGTERM to the rsync receivers in it
 * until there has been none for two seconds. With "api-url" and "barman-server" it also waits for Barman to
 * say that the operation in the state file has ended, and removes that file, unless the data directory holds
 * remains of the restore.
 *
 * Returns 0 when nothing writes into the data directory (any more), 1 when something still does, or another code.
 */
int32_t barman_recover_end_restore(barman_recover *handle);

/**
 * Lists the backups of the Barman server, the newest first. Its options are "api-url", "barman-server" and those of
 * the connection, as for the next three. May take as long as "create-timeout" allows.
 */
int32_t barman_recover_list_backups(barman_recover *handle);

/**
 * Lists the newest operations of the Barman server, with their states. newest: how many at most; 0 for all.
 * Each costs a request.
 */
int32_t barman_recover_list_operations(barman_recover *handle, uint32_t newest);

/** Lists one operation. */
int32_t barman_recover_show_operation(barman_recover *handle, const char *id);

/**
 * Waits until an operation has ended, and lists it.
 *
 * Returns 0 when the operation is done, 1 when it has failed, or another code.
 */
int32_t barman_recover_wait_operation(barman_recover *handle, const char *id);

/**
 * Switches Barman's configuration of the server when the role of this node has changed. Its options are "api-url",
 * "barman-server", "switch-when", and either "barman-model" or "reset". role: the new role, as Patroni calls it.
 *
 * Returns a BARMAN_RECOVER_SWITCH_..., whose numbers mean other things than those of the other commands.
 */
int32_t barman_recover_config_switch(barman_recover *handle, const char *role);

/**
 * Ends the command, now or when it begins, and the restore that it started (unless "leave-running" is set).
 * A handle stays cancelled; a command that has ended keeps its code. Returns at once; may be called more
 * than once.
 */
void barman_recover_cancel(barman_recover *handle);

/** The same, but the restore always goes on; the state file then lets the next run follow it. */
void barman_recover_detach(barman_recover *handle);

/**
 * Sets the function that receives the events. function: NULL for none, the default. user_data: passed to the
 * function and not used otherwise; must be valid until the command has ended.
 */
int32_t barman_recover_set_event_callback(barman_recover *handle, barman_recover_event_fn function, void *user_data);

/**
 * Takes the next event from the handle, waiting for it up to timeout_ms milliseconds. Call it from one
 * thread only. In the event callback it returns 0 at once.
 *
 * Returns the BARMAN_RECOVER_EVENT_...; 0 when none came in time; -1 when the command has ended and all events
 * have been taken, or the handle is NULL. A command that has not begun is waited for.
 */
int32_t barman_recover_next_event(barman_recover *handle, uint32_t timeout_ms);

/** The level of the event that barman_recover_next_event returned last. */
int32_t barman_recover_event_level(const barman_recover *handle);

/** The message of the event that barman_recover_next_event returned last. Valid until its next call. */
const char *barman_recover_event_message(const barman_recover *handle);

/**
 * The code that the command ended with, as the function that ran it returned it; BARMAN_RECOVER_BUSY during
 * the command, BARMAN_RECOVER_INVALID_ARGUMENT before it.
 */
int32_t barman_recover_result(const barman_recover *handle);

/** What went wrong, in one line: in the last function that refused an argument, or in the command. */
const char *barman_recover_error_message(const barman_recover *handle);

/** What to do about it, in one line; may be "". Known when the command has ended. */
const char *barman_recover_hint(const barman_recover *handle);

/** The ID of the operation that the command started or follows; "" while it is not known. */
const char *barman_recover_operation_id(const barman_recover *handle);

/**
 * The BARMAN_RECOVER_STATE_... of that operation. If a recovery has ended with a code other than 0,
 * BARMAN_RECOVER_STATE_MAYBE_CREATED and BARMAN_RECOVER_STATE_IN_PROGRESS mean that Barman may still be
 * writing into the data directory.
 */
int32_t barman_recover_operation_state(const barman_recover *handle);

/**
 * The HTTP status of the reply that decided how a recovery or a config switch ended; 0 when no reply did. Known
 * when the command has ended.
 */
int32_t barman_recover_http_status(const barman_recover *handle);

/**
 * The BARMAN_RECOVER_BUSY_... that says why a function last returned BARMAN_RECOVER_BUSY for this handle.
 */
int32_t barman_recover_busy_reason(const barman_recover *handle);

/** How long the command has taken so far, or took, in milliseconds. */
uint64_t barman_recover_elapsed_ms(const barman_recover *handle);

/**
 * How many bytes have arrived in the data directory, its tablespaces and its WAL directory, WAL included: it
 * may exceed the total while WAL arrives. 0 until something has been counted.
 */
uint64_t barman_recover_bytes(const barman_recover *handle);

/** The size of the backup in bytes, without WAL; 0 until Barman has given it. */
uint64_t barman_recover_total_bytes(const barman_recover *handle);

/** How many findings barman_recover_check has made. */
uint32_t barman_recover_finding_count(const barman_recover *handle);

/** The BARMAN_RECOVER_VERDICT_... of a finding. */
int32_t barman_recover_finding_verdict(const barman_recover *handle, uint32_t i);

/** What was checked: "data directory". */
const char *barman_recover_finding_what(const barman_recover *handle, uint32_t i);

/** What was found, in one line. */
const char *barman_recover_finding_detail(const barman_recover *handle, uint32_t i);

/** What to do about it, in one line; may be "". */
const char *barman_recover_finding_hint(const barman_recover *handle, uint32_t i);

/** How many operations were listed. Lists begin with the newest. */
uint32_t barman_recover_listed_count(const barman_recover *handle);

/** The ID of an operation. */
const char *barman_recover_listed_id(const barman_recover *handle, uint32_t i);

/** What the API calls the kind of operation: "recovery", "config_switch"; "" when the API gives none. */
const char *barman_recover_listed_kind(const barman_recover *handle, uint32_t i);

/** The BARMAN_RECOVER_STATE_... of an operation; -1 also when the API does not give its state. */
int32_t barman_recover_listed_state(const barman_recover *handle, uint32_t i);

/** How many backups were listed. */
uint32_t barman_recover_backup_count(const barman_recover *handle);

/** The ID of a backup, as "backup-id" takes it. */
const char *barman_recover_backup_id(const barman_recover *handle, uint32_t i);

/** The state that Barman gives: "DONE", "FAILED", "WAITING_FOR_WALS", ... */
const char *barman_recover_backup_status(const barman_recover *handle, uint32_t i);

/** 1 if it can be restored, else 0. */
int32_t barman_recover_backup_is_complete(const barman_recover *handle, uint32_t i);

/** When it began, as Barman writes it: "2026-11-22T13:34:30.680354+00:00". */
const char *barman_recover_backup_begin_time(const barman_recover *handle, uint32_t i);

/** When it was complete, in the same format; "" until then. */
const char *barman_recover_backup_end_time(const barman_recover *handle, uint32_t i);

/** How many bytes a restore writes, without WAL; 0 when Barman does not say. */
uint64_t barman_recover_backup_bytes(const barman_recover *handle, uint32_t i);

/** The version of PostgreSQL: "15.18". */
const char *barman_recover_backup_version(const barman_recover *handle, uint32_t i);

/** How Barman made it: "rsync", "postgres", ... */
const char *barman_recover_backup_mode(const barman_recover *handle, uint32_t i);

/** The BARMAN_RECOVER_VERIFIED_... that barman_recover_verify found; -1 until it has ended. */
int32_t barman_recover_verified_state(const barman_recover *handle);

/** What it found, in one line. */
const char *barman_recover_verified_detail(const barman_recover *handle);

/**
 * The ID of the backup that was restored; like the functions below, "" or 0 when the directory does not say.
 */
const char *barman_recover_verified_backup_id(const barman_recover *handle);

/** The Barman server that the backup belongs to. */
const char *barman_recover_verified_server(const barman_recover *handle);

/** When the backup was taken, as Barman writes it. */
const char *barman_recover_verified_taken(const barman_recover *handle);

/** When Barman wrote its last file, in seconds since 1970. */
uint64_t barman_recover_verified_restored(const barman_recover *handle);

/** The newest WAL file that was restored. */
const char *barman_recover_verified_last_wal(const barman_recover *handle);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* BARMAN_RECOVER_H */
