//! The servers that the caller of a test names, and names that no other test has.

const HOW: &str = "run `cargo xtask test`, or set what `cargo xtask servers` prints";

/// The bootstrap servers of the broker under test, from `KAFKA_BOOTSTRAP_SERVERS`.
///
/// # Panics
/// When the variable is missing: a test that cannot run has not passed.
#[must_use]
pub fn kafka() -> String {
    variable("KAFKA_BOOTSTRAP_SERVERS")
        .unwrap_or_else(|| panic!("this test needs KAFKA_BOOTSTRAP_SERVERS: {HOW}"))
}

/// The URI of the mongod under test, from `MONGODB_URI`.
///
/// # Panics
/// When the variable is missing: a test that cannot run has not passed.
#[must_use]
pub fn mongo_uri() -> String {
    variable("MONGODB_URI").unwrap_or_else(|| panic!("this test needs MONGODB_URI: {HOW}"))
}

/// `prefix` with a suffix that no other test and no other run has.
#[must_use]
pub fn unique(prefix: &str) -> String {
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}-{}", &suffix[..10])
}

/// A variable of the environment, where it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the servers of a test are named by its caller")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.is_empty())
}
