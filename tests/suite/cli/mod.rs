//! What an operator, Patroni and the Python program's users meet: the commands, their output and their log.

mod aftermath;
mod answers;
mod check;
mod config_switch;
mod log_and_memory;
mod logging;
mod operations;
mod parity;
mod progress;
