//! The C API: `include/barman_recover.h` is generated from this folder, and is the contract that the `SAFETY`
//! comments refer to. The exported functions only convert; Rust code can't name them.

mod document;
mod events;
pub(crate) mod functions;
mod guard;
mod handle;
