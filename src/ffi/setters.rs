//! The exported setters, one per row of `OPTIONS` and in its order, and that of the event callback.

use std::ffi::{c_char, c_void};

use super::guard::{text, with};
use super::handle::{Handle, barman_recover_event_fn};
use crate::config::Value;
use crate::config::options::Opt;
use crate::outcome::Code;

/// URL of pg-backup-api, for example "http://barman:7480"; "https://user:password@host/prefix" works too.
///
/// url: copied; NULL, not UTF-8 or no URL is refused. Required.
///
/// Returns 0; BARMAN_RECOVER_INVALID_ARGUMENT if the value is refused (the option keeps what it had, and
/// barman_recover_error_message says why) or the handle is NULL; BARMAN_RECOVER_BUSY from
/// barman_recover_run on; BARMAN_RECOVER_PANIC. From any thread. So do all setters.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_api_url(handle: *mut Handle, url: *const c_char) -> i32 {
    set_text(handle, Opt::ApiUrl, url)
}

/// Client certificate for the API, in PEM; the file may hold the key too. Read when the run begins.
///
/// path: copied; NULL, empty or not UTF-8 is refused. Default: none.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_cert_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::CertFile, path)
}

/// Key of the client certificate, in PEM, not encrypted. Needs a client certificate.
///
/// path: copied; NULL, empty or not UTF-8 is refused. Default: the key in the certificate's file.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_key_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::KeyFile, path)
}

/// Certificates to trust, in PEM, beside the system's (or those of the environment variables SSL_CERT_FILE
/// and SSL_CERT_DIR).
///
/// path: copied; NULL, empty or not UTF-8 is refused. Default: none.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_ca_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::CaFile, path)
}

/// HTTP proxy to reach the API through: "http://host:port" or "http://user:password@host:port". The
/// environment's proxy variables are ignored.
///
/// url: copied; NULL, not UTF-8 or no URL is refused. Default: none.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_proxy(handle: *mut Handle, url: *const c_char) -> i32 {
    set_text(handle, Opt::Proxy, url)
}

/// How long to wait before a failed request is repeated.
///
/// seconds: whole seconds. Default: 2.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_retry_wait(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::RetryWait, seconds)
}

/// How often a request that failed and started nothing is tried.
///
/// count: any number. Default: 5.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_max_retries(handle: *mut Handle, count: u32) -> i32 {
    set_number(handle, Opt::MaxRetries, count)
}

/// How long connecting to the API may take, TLS handshake included.
///
/// seconds: whole seconds; 0 is refused. Default: 10.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_connect_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::ConnectTimeout, seconds)
}

/// How long the API may take to answer a question.
///
/// seconds: whole seconds; 0 is refused. Default: 20.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_request_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::RequestTimeout, seconds)
}

/// How long the API may take to answer the request that starts the operation.
///
/// seconds: whole seconds; 0 is refused. Default: 60.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_create_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::CreateTimeout, seconds)
}

/// Name of the Barman server from which to restore.
///
/// value: copied; NULL, empty or not UTF-8 is refused. Required.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_barman_server(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::BarmanServer, value)
}

/// Backup to restore: an ID, or what "barman recover" accepts ("latest", "oldest", ...).
///
/// value: copied; NULL, empty or not UTF-8 is refused. Default: "latest".
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_backup_id(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::BackupId, value)
}

/// Command with which Barman reaches this node, as its --remote-ssh-command: "ssh postgres@node1".
///
/// value: copied; NULL, empty or not UTF-8 is refused. Required unless an operation is followed.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_ssh_command(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::SshCommand, value)
}

/// Data directory of this node: where to restore.
///
/// path: copied; NULL, empty or not UTF-8 is refused. A relative one is taken from the current directory when
/// the run begins. Required.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_data_directory(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::DataDirectory, path)
}

/// Operation to follow instead of starting one.
///
/// value: copied; NULL, empty or not UTF-8 is refused. Default: none, start one.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_operation_id(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::OperationId, value)
}

/// How long to wait between two looks at the operation, at most.
///
/// seconds: whole seconds. Default: 10.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_loop_wait(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::LoopWait, seconds)
}

/// How long to go on without a good answer about a running operation.
///
/// seconds: whole seconds. Default: 300; or max_retries times retry_wait, if one of these is set.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_max_outage(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::MaxOutage, seconds)
}

/// How long the whole run may take; 0 for no limit.
///
/// seconds: whole seconds. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_deadline(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::Deadline, seconds)
}

/// Whether to call the recovery failed when the data directory does not hold the data afterwards. Without,
/// that is a warning.
///
/// flag: 0 for no, anything else for yes. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_verify(handle: *mut Handle, flag: i32) -> i32 {
    set_flag(handle, Opt::Verify, flag)
}

/// File that remembers the running operation, so that a run after a kill knows of it.
///
/// path: copied; NULL, empty or not UTF-8 is refused. Default: beside the data directory, with
/// ".barman-recover.json" added to its name.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_state_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::StateFile, path)
}

/// Whether to keep no state file: a run that was killed is then forgotten.
///
/// flag: 0 for no, anything else for yes. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_no_state_file(handle: *mut Handle, flag: i32) -> i32 {
    set_flag(handle, Opt::NoStateFile, flag)
}

/// How long an operation may be in progress without anything new in the data directory; 0 for no limit. Then
/// the run ends with BARMAN_RECOVER_RECOVERY_FAILED, and the state file stays. A warning comes after 300 s.
///
/// seconds: whole seconds. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_stall_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set_number(handle, Opt::StallTimeout, seconds)
}

/// Whether not to ask the API for the size of the backup (GET /diagnose, once, in a helper thread beside the
/// polling; it has Barman look at all its servers). barman_recover_total_bytes then stays 0.
///
/// flag: 0 for no, anything else for yes. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_no_diagnose(handle: *mut Handle, flag: i32) -> i32 {
    set_flag(handle, Opt::NoDiagnose, flag)
}

/// Whether to accept the API's DONE although the data is not in the data directory: for a host that restores
/// elsewhere.
///
/// flag: 0 for no, anything else for yes. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_no_verify(handle: *mut Handle, flag: i32) -> i32 {
    set_flag(handle, Opt::NoVerify, flag)
}

/// Whether to leave the restore running when the run is cancelled, instead of ending it.
///
/// flag: 0 for no, anything else for yes. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_leave_running(handle: *mut Handle, flag: i32) -> i32 {
    set_flag(handle, Opt::LeaveRunning, flag)
}

/// Whether to restore although a check of the free space or of the data directory speaks against it.
///
/// flag: 0 for no, anything else for yes. Default: 0.
///
/// Returns 0 or a code, from any thread, as barman_recover_set_api_url does.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_force(handle: *mut Handle, flag: i32) -> i32 {
    set_flag(handle, Opt::Force, flag)
}

/// Sets the function that is told what happens during the run.
///
/// function: NULL for none, which is the default. user_data: handed back to the function, otherwise not
/// touched; may be NULL; must be valid until barman_recover_run has returned.
///
/// Returns 0; BARMAN_RECOVER_INVALID_ARGUMENT if the handle is NULL; BARMAN_RECOVER_BUSY from
/// barman_recover_run on; BARMAN_RECOVER_PANIC. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_event_callback(
    handle: *mut Handle,
    function: barman_recover_event_fn,
    user_data: *mut c_void,
) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.set_callback(function, user_data)) as i32
}

fn set_text(handle: *mut Handle, option: Opt, value: *const c_char) -> i32 {
    set(handle, option, text(&value).map(Value::Text))
}

fn set_number(handle: *mut Handle, option: Opt, value: u32) -> i32 {
    set(handle, option, Ok(Value::Number(value)))
}

fn set_flag(handle: *mut Handle, option: Opt, value: i32) -> i32 {
    set(handle, option, Ok(Value::Flag(value != 0)))
}

fn set(handle: *mut Handle, option: Opt, value: Result<Value, &str>) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.set(option, value)) as i32
}
