//! The library in hosts of other languages, and as a guest that nobody notices.

mod guest;
mod languages;
mod memory;
mod scenarios;
