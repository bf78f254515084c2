//! What is shipped: the installation, the manual pages, the README.

mod install;
mod man;
mod readme;
