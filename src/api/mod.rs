//! The REST API of pg-backup-api: what each request looks like and what each reply means. Knows nothing of
//! sockets. Pure.

pub(crate) mod date;
pub(crate) mod diagnose;
mod fields;
mod operation;
mod page;
mod reply;
mod request;

pub(crate) use operation::{Listed, OperationKind, Status};
pub(crate) use reply::{Created, Reply};
pub(crate) use request::{NewRecovery, Request};
