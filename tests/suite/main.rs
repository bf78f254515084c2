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
mod guest;
mod header;
mod hosts;
mod memory;
mod scratch;
mod standin;
mod standin_faults;
mod standin_program;
mod standin_tls;
