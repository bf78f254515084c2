//! The data directory on real file systems, restored step by step as Barman does it, and with calls that fail.

mod changed;
mod double;
mod failing;
mod real;
mod restored;
mod steps;
