//! The recovery: decisions only, no I/O.

pub(crate) mod api_status;
pub(crate) mod backoff;
pub(crate) mod follow;
pub(crate) mod machine;
