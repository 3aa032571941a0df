//! The one entry for operators: `rsctl --help`.

use std::{
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;
use rsctl::{CommandLine, exit_code};

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let runtime = tokio::runtime::Runtime::new().expect("the operating system gives threads");
    let mut out = io::stdout().lock();
    let outcome = runtime.block_on(rsctl::run(&command_line, &mut out));
    let outcome = outcome.and_then(|it| Ok(out.flush().map(|()| it)?));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == ErrorKind::BrokenPipe)
}
