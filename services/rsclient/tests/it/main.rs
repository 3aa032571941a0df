//! What rsclient does, seen from outside: records in; published records and stored documents out.

mod accounts;
mod actions;
mod bad_input;
mod concurrency;
mod configurations;
mod devices;
mod provisions;
mod service;
mod users;
