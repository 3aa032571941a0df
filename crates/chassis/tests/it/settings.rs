use std::collections::BTreeMap;
use std::io::Write as _;

use chassis::{Secret, ServiceSettings};
use expect_test::expect;
use serde::{Deserialize, Serialize};

const DEFAULTS: &str = r#"
# Devices in one batch.
batch = 100
# What the service calls itself.
name = ""
strict = false
topics = ["a", "b"]

[store]
uri = "mongodb://localhost"
password = ""

[store.properties]
"linger.ms" = 5
"#;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(flatten)]
    chassis: chassis::Settings,
    batch: u64,
    name: String,
    strict: bool,
    topics: Vec<String>,
    store: Store,
    #[serde(default)]
    ceiling: Option<u32>,
}

// Without `deny_unknown_fields`: the loader refuses unknown keys by itself.
#[derive(Debug, Deserialize, Serialize)]
struct Store {
    uri: Secret,
    password: Secret,
    properties: BTreeMap<String, String>,
}

impl ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}

fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("service.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    chassis::settings::load("demo-sim", DEFAULTS, file.map(|_| path.as_path()), environment)
        .map_err(|error| {
            let place = place.path().display().to_string();
            format!("{error:#}").replace(&place, "DIR")
        })
}

fn refusal(file: Option<&str>, environment: &[(&str, &str)]) -> String {
    load(file, environment).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error)
}

#[test]
fn the_environment_stands_above_the_file_and_the_file_above_the_defaults() {
    let file = "batch = 200\nname = \"file\"\n[admin]\nlisten = \"127.0.0.1:1\"";
    let environment = [
        ("DEMO_SIM__BATCH", "300"),
        ("DEMO_SIM__ADMIN__LISTEN", "127.0.0.1:2"),
        ("OTHER__BATCH", "400"),
    ];
    let settings = load(Some(file), &environment).unwrap();
    assert_eq!(settings.batch, 300);
    assert_eq!(settings.name, "file");
    assert_eq!(settings.chassis.admin.listen.port(), 2);
    assert_eq!(settings.chassis.shutdown.limit_seconds, 40);
}

#[test]
fn a_variable_becomes_what_the_setting_is() {
    let settings = load(
        None,
        &[
            ("DEMO_SIM__NAME", "1234"),
            ("DEMO_SIM__STRICT", "true"),
            ("DEMO_SIM__TOPICS", "x, y,z"),
            ("DEMO_SIM__STORE__PASSWORD", "0042"),
            ("DEMO_SIM__STORE__PROPERTIES__LINGER.MS", "7"),
            ("DEMO_SIM__STORE__PROPERTIES__ACKS", "all"),
            ("DEMO_SIM__CEILING", "9"),
            ("DEMO_SIM__SHUTDOWN__LIMIT_SECONDS", "3"),
            ("DEMO_SIM__OTLP__SAMPLE_RATIO", "1"),
        ],
    )
    .unwrap();
    assert_eq!(settings.name, "1234");
    assert!(settings.strict);
    assert_eq!(settings.topics, ["x", "y", "z"]);
    assert_eq!(settings.store.password.expose(), "0042");
    expect![[r#"
        {
            "acks": "all",
            "linger.ms": "7",
        }
    "#]]
    .assert_debug_eq(&settings.store.properties);
    assert_eq!(settings.ceiling, Some(9));
    assert_eq!(settings.chassis.shutdown.limit_seconds, 3);
    assert_eq!(load(None, &[("DEMO_SIM__TOPICS", "")]).unwrap().topics, [""; 0]);
}

#[test]
fn an_unknown_key_is_refused_by_its_name_wherever_it_stands() {
    let refusals = [
        refusal(Some("batches = 3"), &[]),
        refusal(Some("[store]\nurl = \"mongodb://u:hunter2@h\""), &[]),
        refusal(Some("[log]\nlevel = \"info\""), &[]),
        refusal(Some("[logs]\nfilter = \"info\""), &[]),
        refusal(None, &[("DEMO_SIM__BATCHES", "3")]),
        refusal(None, &[("DEMO_SIM__STORE__URL", "mongodb://u:hunter2@h")]),
        refusal(None, &[("DEMO_SIM__ADMIN__PORT", "1")]),
        refusal(None, &[("DEMO_SIM__", "1")]),
    ];
    expect![[r#"
        unknown setting batches in the file DIR/service.toml
        unknown setting store.url in the file DIR/service.toml
        unknown setting log.level in the file DIR/service.toml, expected `format` or `filter`
        unknown setting logs in the file DIR/service.toml
        unknown setting batches in the environment variable DEMO_SIM__BATCHES
        unknown setting store.url in the environment variable DEMO_SIM__STORE__URL
        unknown setting admin.port in the environment variable DEMO_SIM__ADMIN__PORT, expected `listen` or `address_file`
        the environment variable DEMO_SIM__ names no key"#]].assert_eq(&refusals.join("\n"));
}

#[test]
fn a_wrong_value_is_refused_by_its_key_and_is_not_shown() {
    let refusals = [
        refusal(Some("batch = \"hunter2\""), &[]),
        refusal(None, &[("DEMO_SIM__BATCH", "hunter2")]),
        refusal(None, &[("DEMO_SIM__BATCH", "-1")]),
        refusal(None, &[("DEMO_SIM__STRICT", "hunter2")]),
        refusal(None, &[("DEMO_SIM__STORE", "hunter2")]),
        refusal(None, &[("DEMO_SIM__CEILING", "hunter2")]),
        refusal(Some("store = \"hunter2\""), &[]),
        refusal(Some("[store]\npassword = hunter2"), &[]),
        refusal(Some("[log]\nformat = \"xml\""), &[]),
        refusal(None, &[("DEMO_SIM__ADMIN__LISTEN", "nowhere")]),
        refusal(Some("topics = 3"), &[]),
        refusal(Some("[store]\npassword = [\"hunter2\"]"), &[]),
    ];
    expect![[r#"
        batch in the file DIR/service.toml must be an integer
        the environment variable DEMO_SIM__BATCH must be a whole number
        batch in the environment variable DEMO_SIM__BATCH must be an unsigned 64 bit or less integer
        the environment variable DEMO_SIM__STRICT must be true or false
        the environment variable DEMO_SIM__STORE must be left out: it is a table, set its members with NAME__MEMBER
        ceiling in the environment variable DEMO_SIM__CEILING must be an integer
        store: must be struct Store
        the file DIR/service.toml is not TOML at line 2
        log.format: enum LogFormat does not have variant constructor xml
        admin.listen: invalid socket address syntax
        topics: must be a sequence
        store.password in the file DIR/service.toml must be a string"#]].assert_eq(&refusals.join("\n"));
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "hunter2").unwrap();
    let path = file.path().to_str().unwrap();
    let in_file = format!("[store]\npassword = {{ file = {path:?} }}");
    let in_environment = [("DEMO_SIM__STORE__PASSWORD__FILE", path)];
    for settings in [load(Some(&in_file), &[]), load(None, &in_environment)] {
        let settings = settings.unwrap();
        assert_eq!(settings.store.password.expose(), "hunter2");
        let shown = chassis::settings::show(&settings).unwrap();
        let debug = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && !debug.contains("hunter2"), "{shown} {debug}");
        assert!(shown.contains("password = \"<redacted>\""), "{shown}");
        assert!(!shown.contains("localhost"), "{shown}");
    }
    // A variable replaces what the file says.
    let both = load(Some(&in_file), &[("DEMO_SIM__STORE__PASSWORD", "other")]).unwrap();
    assert_eq!(both.store.password.expose(), "other");
    let absent = [("DEMO_SIM__STORE__PASSWORD__FILE", "/nonexistent/password")];
    expect!["cannot read the file /nonexistent/password that store.password names: No such file or directory (os error 2)"].assert_eq(&refusal(None, &absent));
}
