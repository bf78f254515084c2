//! The C border.

pub(crate) mod sys;
