//! The exported typed setters, one per option of a recovery, in the order of the table.

use std::ffi::c_char;

use super::entry::{text, with};
use super::handle::Handle;
use crate::config::Value;
use crate::config::options::Opt;
use crate::outcome::Code;

/// URL of pg-backup-api: "http://barman:7480", "https://user:password@host/prefix". Required.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_api_url(handle: *mut Handle, url: *const c_char) -> i32 {
    set_text(handle, Opt::ApiUrl, url)
}

/// Client certificate for the API, in PEM; the file may hold the key too. Read when the command begins.
/// Default: none.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_cert_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::CertFile, path)
}

/// Key of the client certificate, in PEM, not encrypted. Default: the key in the certificate's file.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_key_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::KeyFile, path)
}

/// Certificates to trust, in PEM, in addition to those of the system (or of the environment variables
/// SSL_CERT_FILE and SSL_CERT_DIR). Default: none.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_ca_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::CaFile, path)
}

/// HTTP proxy to reach the API through: "http://host:port", "http://user:password@host:port". The proxy
/// variables of the environment are ignored. Default: none.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_proxy(handle: *mut Handle, url: *const c_char) -> i32 {
    set_text(handle, Opt::Proxy, url)
}

/// Pause before a failed request is sent again. Default: 2.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_retry_wait(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::RetryWait, seconds)
}

/// How many times a request that failed and started nothing is sent. Default: 5.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_max_retries(handle: *mut Handle, count: u32) -> i32 {
    set(handle, Opt::MaxRetries, count)
}

/// Limit for connecting to the API, TLS handshake included. At least 1. Default: 10.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_connect_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::ConnectTimeout, seconds)
}

/// Limit for the API's reply to a question. At least 1. Default: 20.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_request_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::RequestTimeout, seconds)
}

/// Limit for the API's reply to the request that starts the operation. At least 1. Default: 60.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_create_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::CreateTimeout, seconds)
}

/// Name of the Barman server to restore from. Required.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_barman_server(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::BarmanServer, value)
}

/// Backup to restore: an ID, or a word that "barman recover" accepts ("latest", "oldest", ...).
/// Default: "latest".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_backup_id(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::BackupId, value)
}

/// Command with which Barman reaches this node, its --remote-ssh-command: "ssh postgres@node1". Required unless
/// operation-id is set.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_ssh_command(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::SshCommand, value)
}

/// Data directory of this node: where to restore. A relative path is resolved when the command begins. Required.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_data_directory(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::DataDirectory, path)
}

/// Operation to follow instead of starting one. Default: none.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_operation_id(handle: *mut Handle, value: *const c_char) -> i32 {
    set_text(handle, Opt::OperationId, value)
}

/// Longest pause between two requests for the state of the operation. Default: 10.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_loop_wait(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::LoopWait, seconds)
}

/// How long to go on without a good reply about a running operation. Default: 300; or max-retries times
/// retry-wait, if either of these is set.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_max_outage(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::MaxOutage, seconds)
}

/// Limit for the whole command; 0 for none. Default: 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_deadline(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::Deadline, seconds)
}

/// Whether a recovery counts as failed when the data is not in the data directory afterwards. 0 is the same
/// as no-verify. Default: 1.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_verify(handle: *mut Handle, flag: i32) -> i32 {
    set(handle, Opt::Verify, flag != 0)
}

/// File that records the running operation, so that the next run knows about it if this one is killed.
/// Default: next to the data directory, its name followed by ".barman-recover.json".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_state_file(handle: *mut Handle, path: *const c_char) -> i32 {
    set_text(handle, Opt::StateFile, path)
}

/// Whether to keep no state file: the next run then knows nothing about a run that was killed. Default: 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_no_state_file(handle: *mut Handle, flag: i32) -> i32 {
    set(handle, Opt::NoStateFile, flag != 0)
}

/// How long an operation may be in progress while nothing new arrives in the data directory; 0 for no limit.
/// After that the run ends with BARMAN_RECOVER_RECOVERY_FAILED, and the state file stays. Default: 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_stall_timeout(handle: *mut Handle, seconds: u32) -> i32 {
    set(handle, Opt::StallTimeout, seconds)
}

/// Whether to skip asking the API for the size of the backup (GET /diagnose, for which Barman examines all
/// its servers). barman_recover_total_bytes then stays 0. Default: 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_no_diagnose(handle: *mut Handle, flag: i32) -> i32 {
    set(handle, Opt::NoDiagnose, flag != 0)
}

/// Whether to accept the API's DONE although the data is not in the data directory: for a host that restores to
/// another node. Default: 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_no_verify(handle: *mut Handle, flag: i32) -> i32 {
    set(handle, Opt::NoVerify, flag != 0)
}

/// Whether a cancelled run leaves the restore running instead of ending it. Default: 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_leave_running(handle: *mut Handle, flag: i32) -> i32 {
    set(handle, Opt::LeaveRunning, flag != 0)
}

/// Whether to restore although the free space or the data directory is unsuitable. Default: 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_force(handle: *mut Handle, flag: i32) -> i32 {
    set(handle, Opt::Force, flag != 0)
}

fn set_text(handle: *mut Handle, option: Opt, value: *const c_char) -> i32 {
    set_or_refuse(handle, option, text(&value).map(Value::Text))
}

fn set<'a>(handle: *mut Handle, option: Opt, value: impl Into<Value<'a>>) -> i32 {
    set_or_refuse(handle, option, Ok(value.into()))
}

fn set_or_refuse(handle: *mut Handle, option: Opt, value: Result<Value, &str>) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.set(option, value)) as i32
}
