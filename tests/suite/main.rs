//! Black-box tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod abi;
mod c_abi;
mod c_tools;
mod check;
mod commands;
mod config_switch;
mod faults;
mod faults_bytes;
mod faults_replies;
mod faults_restores;
mod guest;
mod header;
mod hosts;
mod install;
mod kills;
mod layers;
mod log_and_memory;
mod logging;
mod man;
mod memory;
mod network;
mod openssl;
mod operations;
mod parity;
mod program;
mod progress;
mod proxy;
mod readme;
mod scratch;
mod signals;
mod syscalls;
mod tls;
