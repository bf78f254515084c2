//! Black-box tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

#[path = "../api/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the program `standin_api`, which uses other parts")]
mod api;
mod c_abi;
mod c_tools;
mod faults;
mod faults_bytes;
mod faults_replies;
mod faults_restores;
mod header;
mod kills;
mod log_and_memory;
mod network;
mod openssl;
mod parity;
mod program;
mod proxy;
mod run;
mod scratch;
mod signals;
mod standin;
mod standin_faults;
mod standin_program;
mod standin_tls;
mod syscalls;
mod tls;
