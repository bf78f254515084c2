//! Black-box tests, in folders by what they protect.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod abi;
mod cli;
mod hosts;
mod laws;
mod layers;
mod net;
mod shipped;
mod support;
