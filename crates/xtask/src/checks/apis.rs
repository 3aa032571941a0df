//! The REST APIs against whatever a generator of requests thinks of: schemathesis, which reads their documents.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::{
    fleet::{Fleet, FleetOptions, Service},
    servers::{Process, RunFolder, Servers, python_packages},
};

use super::Stages;

const PACKAGE: &str = "schemathesis==4.32.5";
/// Requests of each operation.
const EXAMPLES: &str = "100";
/// The checks: no fault of ours, and nothing that the document does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";
/// A token holds for minutes: no service is asked for longer.
const LIMIT: Duration = Duration::from_secs(230);
/// The services with a document, and whose token, granting what, gets furthest.
const SERVICES: &[(Service, Option<&str>, &str)] = &[
    (Service::RsAgents, Some("isp-1"), "rs:read rs:write"),
    (Service::RsClient, Some("isp-1"), "rs:read rs:write"),
    (Service::RsSync, None, "sync:read sync:write"),
];

impl Stages {
    pub(super) async fn apis(&mut self, servers: &Servers) {
        eprintln!("== APIs (schemathesis)");
        let began = Instant::now();
        let outcome = run(servers, &self.folder).await;
        self.ended("APIs (schemathesis)", began, outcome);
    }
}

async fn run(servers: &Servers, folder: &RunFolder) -> Result<()> {
    let packages = python_packages(PACKAGE, &|line| eprintln!("{line}"))?;
    let mut options = FleetOptions::new(&servers.kafka, &servers.mongodb).with_sync(1);
    (options.rsclients, options.rsadaptors) = (1, 1);
    let fleet = Fleet::start(options, folder.path()).await?;
    for (service, isp_id, scopes) in SERVICES {
        let address = fleet.address(*service, 0, "http")?;
        let token = fleet.token(*isp_id, service.name(), scopes)?;
        ask(&packages, &format!("http://{address}"), &token, folder)
            .await
            .with_context(|| format!("{} does not keep to its document", service.name()))?;
    }
    Ok(())
}

async fn ask(packages: &Path, address: &str, token: &str, folder: &RunFolder) -> Result<()> {
    let mut command = Command::new("python3");
    command.args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]);
    command.arg(format!("{address}/openapi.json"));
    command.args(["--header", &format!("Authorization: Bearer {token}")]);
    command.args(["--max-examples", EXAMPLES, "--checks", CHECKS, "--seed", "1"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--request-timeout", "10"]);
    // The stream of events never ends while its job runs; what is said of it stands in the service's own tests.
    // Side by side, workers change the recursion limit of each other's parser: CPython 3.11 takes that for its own fault.
    command.args(["--exclude-path-regex", "/events$", "--workers", "1", "--no-color"]);
    command.env("PYTHONPATH", packages).current_dir(folder.path());
    let mut process = Process::start("schemathesis", &mut command, &folder.log("schemathesis"))?;
    let status = process.wait(LIMIT).await?;
    ensure!(status.success(), "{status}\n{}", process.last_words());
    Ok(())
}
