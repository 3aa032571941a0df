//! Apache Kafka, one node with both roles, from Maven's jars on the machine's Java.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{certificates::Certificates, environment::variable};

use super::{
    Process, RunFolder, answers, find_program,
    folders::{complete, downloads},
    free_port,
    mongod::succeed,
};

const VERSION: &str = "4.2.0";
const JAVA_MIN: u32 = 17;
const READY: Duration = Duration::from_secs(120);
const STARTS: usize = 3;
const PROPERTIES: &str = "server.properties";
/// It comes up quickly and spends little on compiling itself.
const QUICK: &[&str] = &["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// What runs often is compiled as well as it can be.
const THOROUGH: &[&str] = &["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC"];

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>4.2.0</version>
    </dependency>
  </dependencies>
</project>
"#;

const LOGGING: &str = "status = error
rootLogger.level = warn
rootLogger.appenderRefs = stdout
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d %p %m (%c)%n
";

/// The jars and the Java that runs them.
#[derive(Debug)]
pub struct ApacheKafka {
    java: Java,
}

#[derive(Clone, Debug)]
struct Java {
    program: PathBuf,
    libs: PathBuf,
    options: &'static [&'static str],
}

/// Finds Java and the jars, which Maven downloads the first time.
///
/// # Errors
/// When a piece is missing: the message says what to install.
pub fn find(say: &dyn Fn(&str)) -> Result<ApacheKafka> {
    let missing = "no Apache Kafka: install Java 17 or newer and Maven, or set \
                   KAFKA_BOOTSTRAP_SERVERS, or choose `--broker embedded`";
    let program = find_program("java").context("there is no java on the PATH").context(missing)?;
    let version = java_version(&program).context(missing)?;
    if version < JAVA_MIN {
        return Err(anyhow::anyhow!("this is Java {version}").context(missing));
    }
    let libs = downloads().join(format!("kafka-{VERSION}")).join("libs");
    if !libs.join(format!("kafka_2.13-{VERSION}.jar")).exists() {
        download(&libs, say).context(missing)?;
    }
    Ok(ApacheKafka { java: Java { program, libs, options: QUICK } })
}

fn java_version(java: &Path) -> Result<u32> {
    let output = Command::new(java).arg("-version").output().context("run java -version")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let quoted = text.split('"').nth(1).context("java -version names no version")?;
    let major = quoted.split(['.', '-', '+']).next().unwrap_or_default();
    major.parse().with_context(|| format!("java -version says {quoted}"))
}

fn download(libs: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let maven = find_program("mvn").context("there is no mvn on the PATH")?;
    say("downloading Apache Kafka (45 jars, 43 MB)");
    complete(libs, |folder| {
        let pom = tempfile::Builder::new().suffix(".xml").tempfile()?;
        fs::write(pom.path(), POM)?;
        let mut copy = Command::new(&maven);
        copy.args(["--batch-mode", "--quiet", "--file"]).arg(pom.path());
        copy.arg("dependency:copy-dependencies").arg("-DincludeScope=runtime");
        copy.arg(format!("-DoutputDirectory={}", folder.display()));
        succeed(&mut copy, "mvn dependency:copy-dependencies")
    })
}

/// A broker that this run started.
#[derive(Debug)]
pub struct Started {
    /// `host:port` of the broker.
    pub address: String,
    /// Its process.
    pub process: Process,
    launch: Option<Launch>,
}

/// How a broker is started on what it has kept.
#[derive(Debug)]
struct Launch {
    java: Java,
    folder: PathBuf,
    log: PathBuf,
}

/// A broker with further listeners.
#[derive(Debug)]
pub struct Secured {
    /// Its plain listener and its process.
    pub plain: Started,
    /// `host:port` of the listener that wants client certificates.
    pub ssl: String,
    /// `host:port` of the listener that wants a password.
    pub sasl_ssl: String,
}

/// What a broker has beside its plain listener.
#[derive(Debug, Default)]
struct Extra {
    listeners: String,
    advertised: String,
    protocols: String,
    properties: String,
    format: Vec<String>,
}

impl Extra {
    fn secured(ssl: u16, sasl: u16, from: &Certificates, run: &RunFolder) -> Result<Self> {
        // Kafka reads key and certificate from one file.
        let key_store = run.path().join("kafka-server.pem");
        let key = fs::read_to_string(&from.server_key)?;
        fs::write(&key_store, key + &fs::read_to_string(&from.server_cert)?)?;
        let listeners = format!(",SSL://localhost:{ssl},SASL_SSL://localhost:{sasl}");
        let scram =
            |name: &str| ["--add-scram".to_owned(), format!("{name}=[name=alice,password=secret]")];
        let module = "org.apache.kafka.common.security";
        let properties = format!(
            "ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_alice=\"secret\";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
",
            key_store.display(),
            from.ca.display(),
        );
        Ok(Self {
            advertised: listeners.clone(),
            listeners,
            protocols: ",SSL:SSL,SASL_SSL:SASL_SSL".to_owned(),
            properties,
            format: [scram("SCRAM-SHA-256"), scram("SCRAM-SHA-512")].concat(),
        })
    }
}

impl ApacheKafka {
    /// The same, its brokers as fast as they are where they run for years. It takes them a minute of work to get there.
    #[must_use]
    pub fn as_operated(mut self) -> Self {
        self.java.options = THOROUGH;
        self
    }

    /// Formats a new log folder, starts a broker on free ports and waits until it answers.
    ///
    /// # Errors
    /// When the broker does not come up.
    pub async fn start(&self, run: &RunFolder) -> Result<Started> {
        let mut last = None;
        for _ in 0..STARTS {
            match self.start_on(free_port()?, free_port()?, run, &Extra::default()).await {
                Ok(started) => return Ok(started),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("at least one start was tried")?)
    }

    /// Starts a broker that also listens with TLS and client certificates, and with SASL over TLS
    /// for the user `alice` with the password `secret`.
    ///
    /// # Errors
    /// When the broker does not come up.
    pub async fn start_secured(
        &self,
        run: &RunFolder,
        certificates: &Certificates,
    ) -> Result<Secured> {
        let (port, ssl, sasl) = (free_port()?, free_port()?, free_port()?);
        let extra = Extra::secured(ssl, sasl, certificates, run)?;
        let plain = self.start_on(port, free_port()?, run, &extra).await?;
        let address = |port| format!("localhost:{port}");
        Ok(Secured { plain, ssl: address(ssl), sasl_ssl: address(sasl) })
    }

    async fn start_on(
        &self,
        port: u16,
        controller: u16,
        run: &RunFolder,
        extra: &Extra,
    ) -> Result<Started> {
        let folder = run.path().join(format!("kafka-{port}"));
        fs::create_dir_all(&folder)?;
        let properties = folder.join(PROPERTIES);
        fs::write(&properties, properties_of(port, controller, &folder.join("log"), extra))?;
        fs::write(folder.join("log4j2.properties"), LOGGING)?;

        let mut format = self.java.command(&folder);
        format.args(["kafka.tools.StorageTool", "format", "--cluster-id"]);
        format.arg("MkU3OEVBNTcwNTJENDM2Qg").arg("--config").arg(&properties);
        format.args(&extra.format);
        succeed(&mut format, "kafka.tools.StorageTool format")?;

        let launch = Launch { java: self.java.clone(), folder, log: run.log("kafka") };
        let address = format!("127.0.0.1:{port}");
        let process = launch.start(&address).await?;
        Ok(Started { address, process, launch: Some(launch) })
    }
}

impl Started {
    /// A broker that keeps nothing, so that it cannot be started again.
    pub(super) fn once(address: String, process: Process) -> Self {
        Self { address, process, launch: None }
    }

    /// Ends it at once, as a power failure would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill_9(&mut self) -> Result<()> {
        self.process.kill_9()
    }

    /// Starts it again on the same ports and data, and waits until it leads the registry's topics.
    ///
    /// # Errors
    /// When it keeps no data, or does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        let launch = self.launch.as_ref().context("a broker that keeps its data")?;
        self.process = launch.start(&self.address).await?;
        crate::topics::have_leaders(&self.address).await
    }
}

impl Launch {
    async fn start(&self, address: &str) -> Result<Process> {
        let mut broker = self.java.command(&self.folder);
        broker.arg("kafka.Kafka").arg(self.folder.join(PROPERTIES));
        broker.current_dir(&self.folder).stdin(Stdio::null());
        let mut process = Process::start("kafka", &mut broker, &self.log)?;
        if !answers(address, READY, &mut process).await? {
            bail!("Apache Kafka does not answer after {READY:?}:\n{}", process.last_words());
        }
        Ok(process)
    }
}

impl Java {
    fn command(&self, folder: &Path) -> Command {
        let mut java = Command::new(&self.program);
        match variable("KAFKA_JVM_PERFORMANCE_OPTS") {
            Some(chosen) => java.args(chosen.split_whitespace()),
            None => java.args(self.options),
        };
        let logging = folder.join("log4j2.properties");
        java.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
        java.arg("-cp").arg(self.libs.join("*"));
        java
    }
}

fn properties_of(port: u16, controller: u16, logs: &Path, extra: &Extra) -> String {
    let Extra { listeners, advertised, protocols, properties, .. } = extra;
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
inter.broker.listener.name=PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
message.max.bytes=4194304
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
{properties}",
        logs.display()
    )
}
