use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use rustix::process::{Pid, Signal, kill_process};

fn tiny() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiny"));
    command.env("TINY__ADMIN__LISTEN", "127.0.0.1:0").stdin(Stdio::null());
    command
}

pub(crate) struct Running {
    child: Child,
    pub(crate) admin: SocketAddr,
    files: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        chassis::tls::install_provider();
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("addresses");
        let child = tiny()
            .env("TINY__ADMIN__ADDRESS_FILE", &file)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = eventually(|| std::fs::read_to_string(&file).ok());
        let admin = text.strip_prefix("admin ").unwrap().trim().parse().unwrap();
        Self { child, admin, files }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::blocking::get(format!("http://{}{path}", self.admin)).unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    }

    pub(crate) fn ready(self) -> Self {
        eventually(|| (self.get("/readyz").0 == 200).then_some(()));
        self
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = eventually(|| self.child.try_wait().unwrap());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status.code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually<T>(mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "the condition did not come true");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn outcome(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    format!("{:?}\n{out}{err}", output.status.code())
}

#[test]
fn sigterm_drains_and_ends_with_0() {
    let service = Running::start(&[]).ready();
    service.signal(Signal::TERM);
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("draining") && log.contains("ended"), "{log}");
}

#[test]
fn while_it_drains_it_is_alive_and_not_ready() {
    let service = Running::start(&[("TINY__WORK_SECONDS", "600")]).ready();
    service.signal(Signal::INT);
    let reason = eventually(|| Some(service.get("/readyz")).filter(|(code, _)| *code == 503)).1;
    assert_eq!(reason, "draining\n");
    assert_eq!(service.get("/livez").0, 200);
    assert!(service.get("/healthz").1.starts_with(r#"{"status":"draining","probes":{"work":"#));
    // A second signal is for those who cannot wait.
    service.signal(Signal::INT);
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn a_drain_that_takes_too_long_ends_at_its_limit_with_0_and_says_so() {
    let limits = [("TINY__WORK_SECONDS", "600"), ("TINY__SHUTDOWN__LIMIT_SECONDS", "1")];
    let service = Running::start(&limits).ready();
    service.signal(Signal::TERM);
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("drain stopped at its limit"), "{log}");
}

#[test]
fn half_a_header_on_the_admin_port_does_not_hold_the_end() {
    use std::io::Write as _;
    let service = Running::start(&[]).ready();
    let mut half = std::net::TcpStream::connect(service.admin).unwrap();
    half.write_all(b"GET /livez HT").unwrap();
    service.signal(Signal::TERM);
    let begun = Instant::now();
    assert_eq!(service.end().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_service_that_fails_ends_with_1_and_says_why() {
    let output = tiny().env("TINY__FAILURE", "the store is gone").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the store is gone"));
}

#[test]
fn the_metrics_show_the_build_and_the_probes() {
    let service = Running::start(&[]).ready();
    let metrics = service.get("/metrics").1;
    assert!(metrics.contains(r#"probe_ok{probe="work"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"build_info{service="tiny""#), "{metrics}");
    assert!(metrics.contains("http_server_request_seconds_bucket"), "{metrics}");
}

#[test]
fn check_config_prints_the_settings_or_one_sentence() {
    let good = tiny().arg("--check-config").output().unwrap();
    let bad = tiny().arg("--check-config").env("TINY__WORK", "1").output().unwrap();
    expect![[r#"
        Some(0)
        work_seconds = 0
        failure = ""

        [admin]
        listen = "127.0.0.1:0"
        address_file = ""

        [log]
        format = "human"
        filter = "info"

        [otlp]
        endpoint = ""
        sample_ratio = 1.0

        [shutdown]
        limit_seconds = 40
        ---
        Some(2)
        tiny: unknown setting work in the environment variable TINY__WORK
    "#]]
    .assert_eq(&format!("{}---\n{}", outcome(&good), outcome(&bad)));
}

#[test]
fn the_health_check_asks_the_running_service() {
    let service = Running::start(&[("TINY__WORK_SECONDS", "600")]).ready();
    let file = service.files.path().join("addresses");
    let check = || {
        let output =
            tiny().arg("--healthcheck").env("TINY__ADMIN__ADDRESS_FILE", &file).output().unwrap();
        outcome(&output)
    };
    let mut log = check();
    service.signal(Signal::TERM);
    eventually(|| (service.get("/readyz").0 == 503).then_some(()));
    log += &check();
    drop(service);
    log += &check().replace(|c: char| c.is_ascii_digit() && c != '1', "");
    expect![[r#"
        Some(0)
        Some(1)
        tiny: not ready: draining
        Some(1)
        tiny: admin.listen has port  and admin.address_file cannot be read: No such file or directory (os error )
    "#]].assert_eq(&log);
}

#[test]
fn the_printed_defaults_are_settings_that_change_nothing() {
    let defaults = tiny().arg("--print-defaults").output().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &defaults.stdout).unwrap();
    let with_file = tiny().arg("--config").arg(file.path()).arg("--check-config").output().unwrap();
    let without = tiny().arg("--check-config").output().unwrap();
    assert_eq!(outcome(&with_file), outcome(&without));
    let version = tiny().arg("--version").output().unwrap();
    assert_eq!(outcome(&version), format!("Some(0)\ntiny {}\n", env!("CARGO_PKG_VERSION")));
}
