//! The backend's faces.

pub(crate) mod rest;
