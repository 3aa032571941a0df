//! The backend's faces.

pub(crate) mod kafka;
pub(crate) mod rest;
pub(crate) mod town;
