//! What is shipped: the installation, the manual pages, the documentation.

mod install;
mod man;
mod readme;
