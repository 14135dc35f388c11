//! The targets.

pub mod guest;
pub mod host;
