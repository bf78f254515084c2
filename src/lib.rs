//! Restore a Barman backup onto a PostgreSQL node through pg-backup-api.

#![deny(unsafe_code)]

mod backoff;
mod cancel;
mod config;
mod data_directory;
mod driver;
mod event;
#[allow(unsafe_code)] // the border to C, and nothing else
mod ffi;
mod host;
mod machine;
mod options;
mod outcome;
mod protocol;
mod record;
mod state_file;
mod tls;
mod transport;
mod url;

pub use cancel::Cancel;
pub use config::{Config, ConfigError, Value};
pub use driver::run;
pub use event::{Event, Level};
pub use options::{Kind, OPTIONS, Opt, OptionSpec};
pub use outcome::{Code, OperationState, Outcome};
