//! `docker-compose.yml` and `deploy/` against the workspace: what they name exists, and is all there is.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Output},
};

use serde::Deserialize;
use testkit::{servers::workspace, topics::wanted};

const BAD_SETTINGS: i32 = 2;
const DOCKERFILE: &str = "deploy/Dockerfile";
/// Where keys are, and how a setting is named that is the text of a file, or names one.
const KEYS: &str = "/keys";
const FILE: &str = "__FILE";
const OF_FILE: &str = "_FILE";
/// Where it puts the services.
const BIN: &str = "/usr/local/bin";

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Container>,
}

/// The members of a service that must fit to something outside the file.
#[derive(Deserialize)]
struct Container {
    image: String,
    build: Option<Build>,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    healthcheck: Option<HealthCheck>,
    stop_grace_period: Option<String>,
}

#[derive(Deserialize)]
struct Build {
    context: String,
    dockerfile: String,
}

#[derive(Deserialize)]
struct Dependency {
    condition: String,
}

#[derive(Deserialize)]
struct HealthCheck {
    test: Vec<String>,
}

#[test]
fn the_fleet_of_compose_is_the_workspace_s() {
    let compose = compose();
    let names: BTreeSet<&str> = fleet(&compose).map(|it| it.0).collect();
    assert_eq!(names, services().iter().map(String::as_str).collect());
    for (name, container) in fleet(&compose) {
        let build = container.build.as_ref().unwrap();
        assert_eq!((&*build.context, &*build.dockerfile), (".", DOCKERFILE));
        let program = format!("{BIN}/{name}");
        assert_eq!(container.entrypoint, [program.as_str()]);
        let check = &container.healthcheck.as_ref().unwrap().test;
        assert_eq!(check, &["CMD", program.as_str(), "--healthcheck"]);
    }
}

#[test]
fn what_a_service_waits_for_can_come() {
    let compose = compose();
    for (name, container) in &compose.services {
        for (other, dependency) in &container.depends_on {
            let other = compose.services.get(other).unwrap_or_else(|| panic!("no {other}"));
            match dependency.condition.as_str() {
                "service_healthy" => assert!(other.healthcheck.is_some(), "{name}"),
                "service_completed_successfully" => {}
                it => panic!("{name} waits for {it}"),
            }
        }
    }
}

#[test]
fn every_service_of_compose_accepts_its_environment() {
    let compose = compose();
    for (name, container) in fleet(&compose) {
        let output = check_config(name, &container.environment);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let settings: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();

        // The addresses are those of this file, and the drain ends before the container is killed.
        for value in container.environment.values() {
            let Some(host) = host(value) else { continue };
            assert!(compose.services.contains_key(host), "{name}: there is no {host}");
        }
        let drain = settings["shutdown"]["limit_seconds"].as_integer().unwrap();
        let grace = container.stop_grace_period.as_ref().unwrap();
        let grace: i64 = grace.strip_suffix('s').unwrap().parse().unwrap();
        assert!(grace > drain, "{name} is killed after {grace} s of a drain of {drain} s");
    }
}

#[test]
fn a_variable_of_compose_that_no_service_knows_would_be_seen() {
    let compose = compose();
    for (name, container) in fleet(&compose) {
        let prefix = format!("{}__", name.replace('-', "_").to_uppercase());
        for (variable, value) in &container.environment {
            // One with another prefix would be somebody else's, and silently so.
            assert!(variable.starts_with(&prefix), "{name}: {variable}");
            let (mistyped, text) = match variable.strip_suffix(FILE) {
                Some(stem) => (format!("{stem}X{FILE}"), value.clone()),
                None => (format!("{variable}X"), "1".to_owned()),
            };
            let environment = BTreeMap::from([(mistyped.clone(), text)]);
            let output = check_config(name, &environment);
            assert_eq!(output.status.code(), Some(BAD_SETTINGS), "{name} takes {mistyped}");
            assert!(stderr(&output).contains(&mistyped), "{}", stderr(&output));
        }
    }
}

#[test]
fn the_topics_of_compose_are_the_registry_s() {
    let compose = compose();
    let script = "deploy/create-topics.sh";
    let mounted = format!("./{script}:/create-topics.sh:ro");
    let init = &compose.services["kafka-init"];
    assert_eq!(init.volumes, [mounted]);
    assert_eq!(init.entrypoint, ["/bin/sh", "/create-topics.sh", "kafka:9092"]);
    assert_eq!(init.image, compose.services["kafka"].image);
    for name in ["rsclient", "rsadaptor", "rsagents", "rsevents", "rssync"] {
        let waits_for = &compose.services[name].depends_on["kafka-init"];
        assert_eq!(waits_for.condition, "service_completed_successfully", "{name}");
    }

    let text = read(script);
    let made: Vec<String> =
        text.lines().filter_map(|it| it.strip_prefix("topic ")).map(str::to_owned).collect();
    let wanted: Vec<String> = wanted()
        .iter()
        .map(|it| {
            let (kept, bytes) = (it.retention_ms, it.max_message_bytes);
            format!("{} {} {kept} {} {bytes}", it.name, it.partitions, it.cleanup_policy)
        })
        .collect();
    assert!(wanted.len() > 20, "the registry is empty");
    assert_eq!(made, wanted);
}

#[test]
fn the_keys_of_compose_are_made_before_they_are_read() {
    let compose = compose();
    let init = &compose.services["keys-init"];
    assert_eq!(init.volumes, ["./deploy/make-keys.sh:/make-keys.sh:ro", "keys:/keys"]);
    assert_eq!(init.entrypoint, ["/bin/sh", "/make-keys.sh", KEYS]);
    let folder = tempfile::tempdir().unwrap();
    // Only a superuser gives files away, as within the container.
    let made = Command::new("sh")
        .args(["-c", "chown() { :; }; . \"$0\"", "deploy/make-keys.sh"])
        .arg(folder.path())
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut readers = 0;
    for (name, container) in fleet(&compose) {
        let read = container.environment.iter().filter(|it| it.0.ends_with(OF_FILE));
        for path in read.map(|it| it.1) {
            let key = path.strip_prefix(KEYS).unwrap().strip_prefix('/').unwrap();
            let made = fs::read_to_string(folder.path().join(key));
            let made = made.unwrap_or_else(|err| panic!("{name}: nobody makes {path}: {err}"));
            assert!(made.starts_with("-----BEGIN "), "{name}: {path}");
            assert!(container.volumes.contains(&"keys:/keys:ro".to_owned()), "{name}");
            let waits_for = &container.depends_on["keys-init"];
            assert_eq!(waits_for.condition, "service_completed_successfully", "{name}");
            readers += 1;
        }
    }
    assert!(readers > 3, "nobody reads a key");
}

#[test]
fn the_image_holds_every_service_and_nothing_else() {
    let dockerfile = read(DOCKERFILE);
    let words: Vec<&str> = dockerfile.split_whitespace().collect();
    let built: BTreeSet<&str> =
        words.windows(2).filter(|it| it[0] == "--package").map(|it| it[1]).collect();
    let copied: BTreeSet<&str> =
        words.iter().filter_map(|it| it.strip_prefix("target/release/")).collect();
    let all = services();
    let all: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(built, all);
    assert_eq!(copied, all);
    assert!(dockerfile.contains(&format!("COPY --from=build /out/ {BIN}/")));
    let last = dockerfile.lines().rfind(|it| it.starts_with("FROM ")).unwrap();
    assert!(last.ends_with(":nonroot"), "{last}");
}

fn compose() -> Compose {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

/// The containers that run our own programs.
fn fleet(compose: &Compose) -> impl Iterator<Item = (&str, &Container)> {
    let ours = compose.services.iter().filter(|it| it.1.build.is_some());
    ours.map(|(name, it)| (name.as_str(), it))
}

/// The packages that are services.
fn services() -> Vec<String> {
    let entries = fs::read_dir(workspace().join("services")).unwrap();
    let mut names: Vec<String> = entries
        .map(|it| it.unwrap().path())
        .filter(|it| it.join("Cargo.toml").is_file())
        .map(|it| it.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() > 2, "no services: is the workspace somewhere else?");
    names
}

/// What `--check-config` says to this environment and no other. A file that it names stands in a volume; here
/// is another one in its place.
fn check_config(service: &str, environment: &BTreeMap<String, String>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let issuer = testkit::tokens::Issuer::new("compose").unwrap();
    let (public, private) = (folder.path().join("key.pub"), folder.path().join("key"));
    fs::write(&public, issuer.public_key_pem()).unwrap();
    fs::write(&private, issuer.private_key_pem()).unwrap();
    let stand_in = |name: &String, value: &String| match value.strip_prefix(KEYS) {
        Some(path) if name.ends_with(FILE) => {
            let file = if path.ends_with(".pub") { &public } else { &private };
            file.display().to_string()
        }
        Some(_) | None => value.clone(),
    };
    let environment = environment.iter().map(|it| (it.0.clone(), stand_in(it.0, it.1)));
    let environment: BTreeMap<String, String> = environment.collect();
    let test = std::env::current_exe().unwrap();
    let built = test.ancestors().map(|it| it.join(service)).find(|it| it.is_file());
    let program = built.unwrap_or_else(|| {
        panic!("{service} is not built: run `cargo xtask test`, or `cargo build --workspace`")
    });
    Command::new(program).arg("--check-config").env_clear().envs(environment).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The host of `host:port` or of a URL with a port; nothing where it is an address of this machine.
fn host(value: &str) -> Option<&str> {
    let authority = value.split_once("://").map_or(value, |it| it.1).split('/').next()?;
    let (host, port) = authority.split_once(':')?;
    let is_address = host.starts_with(|it: char| it.is_ascii_digit());
    (port.parse::<u16>().is_ok() && !is_address).then_some(host)
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}
