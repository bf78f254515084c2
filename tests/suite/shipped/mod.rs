//! What is shipped: the installation, the manual pages, the documentation, the messages.

mod install;
mod man;
mod messages;
mod readme;
