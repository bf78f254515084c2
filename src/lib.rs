//! Restores a [Barman] backup onto a PostgreSQL node through [pg-backup-api], the REST server for Barman:
//! asks it to start `barman recover` towards this node, follows the operation to its end, and reports how it
//! ended. It is the library behind Patroni's hook `patroni_barman`, and has a C ABI (`barman_recover.h`).
//!
//! ```no_run
//! use barman_recover::{Cancel, Code, Config, Event, Opt, run};
//!
//! # fn main() -> Result<(), barman_recover::ConfigError> {
//! let mut config = Config::new();
//! config
//!     .set(Opt::ApiUrl, "http://barman:7480")?
//!     .set(Opt::BarmanServer, "main")?
//!     .set(Opt::SshCommand, "ssh postgres@this-node")?
//!     .set(Opt::DataDirectory, "/var/lib/postgresql/15/main")?
//!     .set(Opt::LoopWait, "5")?;
//! let cancel = Cancel::new(); // a clone of it ends the run from another thread
//! let outcome = run(&config, &cancel, |event| {
//!     if let Event::Log { level, message } = event {
//!         eprintln!("{level}: {message}");
//!     }
//! });
//! if outcome.code != Code::RecoveryDone {
//!     eprintln!("{} {}", outcome.message, outcome.hint.unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Besides [`run`]: [`check`](check()) checks whether a restore could begin,
//! [`config_switch`](config_switch()) switches Barman's configuration after a role change,
//! [`operations`](operations()) and [`backups`](backups()) list what the API knows, and [`verify`](verify()) inspects
//! what a restore has left. [`call`](call()) runs any [`Command`]. Every result can be serialized; the fields are
//! those that C gets.
//!
//! What a recovery promises:
//!
//! - One writer: Barman can write on this node only while the run that asked for it is alive. After every exit of
//!   a run, also by SIGKILL, nothing of its restore writes any more.
//! - [`Code::RecoveryDone`] means that the data is there, complete and flushed to disk.
//! - It never gives up while data arrives, and never waits for what can't succeed.
//! - It prints nothing and installs no signal handler. The only process-wide thing is a `pthread_atfork` handler that
//!   closes the locks of a run in a forked child. Its threads block all signals.
//!
//! [Barman]: https://pgbarman.org
//! [pg-backup-api]: https://github.com/EnterpriseDB/pg-backup-api

#![deny(unsafe_code)]

mod api;
mod cancel;
mod commands;
mod config;
mod error;
mod event;
#[allow(unsafe_code)] // the C API only
mod ffi;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
#[allow(unsafe_code)] // calls the C API
#[path = "../tests/fuzz/hooks.rs"]
pub mod fuzzing;
mod outcome;
mod recovery;
#[allow(unsafe_code)] // only the libc calls that neither std nor rustix has
mod sys;
mod text;
mod timing;
mod version;
mod world;

pub use cancel::Cancel;
pub use commands::backups::{Backup, Backups, backups};
pub use commands::check::{Finding, Findings, Verdict, check};
pub use commands::config_switch::{Switch, config_switch};
pub use commands::operations::{Operation, Operations, operations};
pub use commands::recover::run;
pub use commands::settle::{Settled, settle};
pub use commands::verify::{RestoreState, RestoredBackup, RestoredWal, Verified, verify};
pub use commands::{Report, call};
pub use config::names::{Typed, typed};
pub use config::options::{Command, Group, Kind, OPTIONS, Opt, OptionSpec};
pub use config::value::truth;
pub use config::{Config, ConfigError};
pub use event::{Event, Level, Progress};
pub use outcome::{Answer, Code, OperationState, Problem, Recovery};
pub use version::VERSION;
