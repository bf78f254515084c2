//! The C ABI: what the header declares, what the library exports, and what both promise to C programs.

pub mod baseline;
mod c_abi;
mod header;
mod json;
