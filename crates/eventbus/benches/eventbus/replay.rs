//! What is handled once more after a crash.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use eventbus::Outcome;
use testkit::servers::Process;

use crate::{
    bus::{Bus, Half},
    child::{Children, Measured, Task},
    figures::Figures,
    ledger::{Came, Ledger},
    noop::changes,
    records::Records,
};

const LIMIT: Duration = Duration::from_secs(120);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// A file there is written without a disk.
const MEMORY: &str = "/dev/shm";
const MARKED: u8 = 1;
const MARKED_WRONG: u8 = 2;

/// Kills a consumer at a random 50 to 90 % of its work and starts another: the share of the records that both
/// have handled.
pub(crate) async fn share(
    records: &Records,
    children: &Children,
    figures: &mut Figures,
) -> Result<f64> {
    let memory = Path::new(MEMORY);
    let place = if memory.is_dir() { memory } else { children.folder.path() };
    let folder = tempfile::tempdir_in(place).context("make a folder for marks")?;
    let files = [folder.path().join("before"), folder.path().join("after")];
    for file in &files {
        File::create(file)?.set_len(records.count as u64)?;
    }
    let bus = Bus::new(records, Half::Performant, changes());
    let [before, after] = &files;

    let kill_at = records.count * fastrand::usize(500..=900) / 1000;
    let (mut child, _) =
        children.start("replay-before", &Task::Marking(bus.clone(), before.clone()))?;
    until(&mut child, || Ok(marks(before)?.iter().filter(|it| **it > 0).count() >= kill_at))
        .await?;
    child.kill_9()?;
    drop(child);
    let before = marks(before)?;

    let (mut child, _) = children.start("replay-after", &Task::Marking(bus, after.clone()))?;
    until(&mut child, || Ok(is_complete(&before, &marks(after)?))).await?;
    drop(child);
    let after = marks(after)?;

    let wrong = before.iter().chain(&after).filter(|it| **it == MARKED_WRONG).count();
    ensure!(wrong == 0, "{wrong} records came out of order around a crash");
    let both = before.iter().zip(&after).filter(|(one, other)| **one > 0 && **other > 0).count();
    let handled = before.iter().filter(|it| **it > 0).count();
    eprintln!("  killed at {handled} records, {both} were handled once more");
    figures.lost += before.iter().zip(&after).filter(|it| *it == (&0, &0)).count() as u64;
    Ok(both as f64 / records.count as f64)
}

/// Whether everything was handled, and everything behind the first record of the second consumer by it.
fn is_complete(before: &[u8], after: &[u8]) -> bool {
    let Some(first) = after.iter().position(|it| *it > 0) else { return false };
    after[first..].iter().all(|it| *it > 0) && before[..first].iter().all(|it| *it > 0)
}

fn marks(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).context("read the marks")
}

async fn until(child: &mut Process, done: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !done()? {
        child.still_runs()?;
        ensure!(Instant::now() < deadline, "{} takes too long", child.name());
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(())
}

/// The child's part: marks each record in a file, which survives it.
pub(crate) async fn mark(bus: &Bus, marks: &Path) -> Result<Measured> {
    let ledger = Arc::new(Ledger::new(&bus.records));
    let file = File::options().write(true).open(marks).context("open the marks")?;
    let _consumer = bus.start(move |delivery| {
        let (number, came) = ledger.begin(&delivery.message.attributes.id);
        let mark = match came {
            Came::InOrder | Came::Again => MARKED,
            Came::Wrong => MARKED_WRONG,
        };
        ledger.end(number);
        file.write_all_at(&[mark], number as u64).expect("a file in memory can be written");
        std::future::ready(Outcome::Done)
    })?;
    // It is killed.
    std::future::pending().await
}
