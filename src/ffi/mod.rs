//! The C API: `include/barman_recover.h` is generated from this folder, and is the contract that the `SAFETY`
//! comments refer to. The exported functions only convert; Rust code can't name them.
#![allow(clippy::doc_markdown, reason = "most of these comments are the header's, whose readers read C")]

mod done;
mod entry;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod guard;
mod handle;
mod numbers;
mod queue;

// In the header's order.
mod names;

mod lifecycle;

mod options;

mod setters;

mod commands;

mod events;

mod results;

mod lists;
