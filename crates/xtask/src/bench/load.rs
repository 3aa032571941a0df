//! What the backend takes at most: its own bodies, put as quickly as plain connections carry them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::simulator::Simulator;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONNECTIONS: [usize; 3] = [16, 64, 256];
const EACH: Duration = Duration::from_secs(6);
/// So many different bodies stand for all.
const BODIES_MAX: usize = 50_000;

/// The best of some numbers of connections, in requests a second, and how many those were.
pub(super) async fn ceiling(simulator: &Simulator) -> Result<(f64, usize)> {
    let address = simulator.base_url().trim_start_matches("http://").to_owned();
    let requests = Arc::new(requests(simulator, &address).await?);
    let mut best = (0.0, 0);
    for connections in CONNECTIONS {
        let per_s = drive(&address, &requests, connections).await?;
        eprintln!("  {connections} connections: {per_s:.0}/s");
        if per_s > best.0 {
            best = (per_s, connections);
        }
    }
    Ok(best)
}

/// A PUT of everything that the backend holds, ready to be sent.
async fn requests(simulator: &Simulator, address: &str) -> Result<Vec<Vec<u8>>> {
    let mut requests = Vec::new();
    for kind in ["devices", "routers"] {
        let mut cursor = String::new();
        while requests.len() < BODIES_MAX {
            let (items, next) = simulator.page(kind, &cursor).await?;
            requests.extend(items.iter().map(|it| request(address, kind, it)));
            let Some(next) = next else { break };
            cursor = next;
        }
    }
    ensure!(!requests.is_empty(), "the backend holds nothing that could be put again");
    Ok(requests)
}

fn request(address: &str, kind: &str, body: &Value) -> Vec<u8> {
    let id = body["device"]["id"].as_str().unwrap_or_default();
    let body = body.to_string();
    let length = body.len();
    format!(
        "PUT /{kind}/{id} HTTP/1.1\r\nhost: {address}\r\nx-revision: {REVISION}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Above every revision that the fleet has given, so that none of these is a regression.
const REVISION: u64 = (1 << 53) - 1;

async fn drive(address: &str, requests: &Arc<Vec<Vec<u8>>>, connections: usize) -> Result<f64> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let each = (0..connections).map(|_| {
        let (address, requests, next) =
            (address.to_owned(), Arc::clone(requests), Arc::clone(&next));
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await.context("reach the backend")?;
            stream.set_nodelay(true)?;
            let mut answer = Vec::with_capacity(1024);
            let mut done = 0_u64;
            while began.elapsed() < EACH {
                let request = &requests[next.fetch_add(1, Ordering::Relaxed) % requests.len()];
                stream.write_all(request).await?;
                accepted(&mut stream, &mut answer).await?;
                done += 1;
            }
            anyhow::Ok(done)
        })
    });
    let mut done = 0;
    for task in each.collect::<Vec<_>>() {
        done += task.await??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// Reads one answer, which has no body.
async fn accepted(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<()> {
    answer.clear();
    while !answer.ends_with(b"\r\n\r\n") {
        let read = stream.read_buf(answer).await.context("read an answer")?;
        ensure!(read > 0, "the backend closed a connection");
    }
    let status = answer.get(9..12).unwrap_or_default();
    ensure!(status == b"204", "the backend answered {}", String::from_utf8_lossy(answer));
    Ok(())
}
