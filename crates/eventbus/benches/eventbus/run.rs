//! Every workload, one after another.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use testkit::servers::RunFolder;

use crate::{
    child::Children, figures::Figures, keyed, noop, publish, records::Records, refetch, reliable,
    replay,
};

/// What to measure, and where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `host:port` of Apache Kafka.
    #[arg(long)]
    kafka: String,
    /// Where to write the figures, as JSON.
    #[arg(long)]
    result: PathBuf,
    /// The figures that are wanted; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Make spans as a service does.
    #[arg(long)]
    spans: bool,
}

/// The broker under load.
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) kafka: String,
}

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    Keyed16,
    Keyed100,
    OneKey,
    Noop,
    Replay,
    Reliable,
    Publish,
    Refetch,
}

impl Workload {
    const ALL: [Self; 8] = [
        Self::Keyed16,
        Self::Keyed100,
        Self::OneKey,
        Self::Noop,
        Self::Replay,
        Self::Reliable,
        Self::Publish,
        Self::Refetch,
    ];

    /// The figures that come of it.
    fn figures(self) -> &'static [&'static str] {
        match self {
            Self::Keyed16 => &["keyed_16_s", "keyed_16_overhead"],
            Self::Keyed100 => &["keyed_100_s", "keyed_100_overhead"],
            Self::OneKey => &["one_key_s", "serial_s"],
            Self::Noop => &["noop_per_s", "raw_per_s", "rss_mb"],
            Self::Replay => &["noop_replayed"],
            Self::Reliable => &["reliable_per_s"],
            Self::Publish => &["flush_each_p50_ms", "rtt_ms"],
            Self::Refetch => &["refetch_ratio"],
        }
    }
}

/// Measures what is wanted and writes the figures.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let known = |name: &String| Workload::ALL.iter().any(|it| it.figures().contains(&&**name));
    if let Some(name) = options.only.iter().find(|it| !known(it)) {
        bail!("there is no figure `{name}`");
    }
    let wanted = |it: &Workload| {
        options.only.is_empty() || options.only.iter().any(|name| it.figures().contains(&&**name))
    };
    let broker = Broker { kafka: options.kafka.clone() };
    let mut children = Children { folder: RunFolder::new()?, spans: options.spans };
    let (mut figures, mut counted) = (Figures::default(), None);
    for workload in Workload::ALL.into_iter().filter(wanted) {
        eprintln!("{}", workload.figures().join(", "));
        let measured = measure(workload, &broker, &children, &mut counted, &mut figures).await;
        if measured.is_err() {
            children.folder.failed();
        }
        measured.with_context(|| format!("measure {}", workload.figures().join(", ")))?;
    }
    fs::write(&options.result, serde_json::to_vec(&figures)?).context("tell the figures")?;
    if figures.lost > 0 {
        bail!("{} records were lost", figures.lost);
    }
    Ok(())
}

/// `counted` is the topic that several workloads read, filled by the first of them.
async fn measure(
    workload: Workload,
    broker: &Broker,
    children: &Children,
    counted: &mut Option<Records>,
    figures: &mut Figures,
) -> Result<()> {
    match workload {
        Workload::Keyed16 => {
            let (seconds, overhead) = keyed::overhead(broker, children, 100, 16, figures).await?;
            (figures.keyed_16_s, figures.keyed_16_overhead) = (Some(seconds), Some(overhead));
        }
        Workload::Keyed100 => {
            let (seconds, overhead) =
                keyed::overhead(broker, children, 1_000, 100, figures).await?;
            (figures.keyed_100_s, figures.keyed_100_overhead) = (Some(seconds), Some(overhead));
        }
        Workload::OneKey => {
            let (one_key, serial) = keyed::one_key(broker, children, figures).await?;
            (figures.one_key_s, figures.serial_s) = (Some(one_key), Some(serial));
        }
        Workload::Noop => {
            let records = filled(broker, counted).await?;
            let (noop, raw, rss) = noop::side_by_side(&records, children, figures).await?;
            (figures.noop_per_s, figures.raw_per_s) = (Some(noop), Some(raw));
            figures.rss_mb = Some(rss);
        }
        Workload::Replay => {
            let records = filled(broker, counted).await?;
            figures.noop_replayed = Some(replay::share(&records, children, figures).await?);
        }
        Workload::Reliable => {
            figures.reliable_per_s = Some(reliable::per_second(children, figures).await?);
        }
        Workload::Publish => {
            let (publish, round_trip) = publish::medians(broker, children).await?;
            (figures.flush_each_p50_ms, figures.rtt_ms) = (Some(publish), Some(round_trip));
        }
        Workload::Refetch => {
            figures.refetch_ratio = refetch::ratio(broker, children, figures).await?;
        }
    }
    Ok(())
}

async fn filled(broker: &Broker, counted: &mut Option<Records>) -> Result<Records> {
    if counted.is_none() {
        *counted = Some(noop::filled(broker).await?);
    }
    counted.clone().context("the topic was filled just now")
}
