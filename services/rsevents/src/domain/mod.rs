//! Whom an event is about, whether it counts, what it causes, and which events stand for others.

mod builders;
mod fold;
mod home;
mod verdict;

pub use builders::{Caused, causes};
pub use fold::{Candidate, Step, Window, fold};
pub use home::{Account, Device, Home};
pub use verdict::{Limits, Places, Verdict, Wrong, is_timely, judge};
