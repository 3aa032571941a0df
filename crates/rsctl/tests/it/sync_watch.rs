//! A job is followed to its end, whatever happens to the connection.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use futures_util::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    mailbox::LIMIT,
    rssync::{Asked, Rssync, Told, answer, event, events, job, of_type, problem, with},
};

const STREAM: &str = "GET /subsystems/rs/jobs/j-1/events";

/// Answers for the job itself, and for each opening of its stream: the last answer again and again.
async fn following(job: Value, openings: Vec<fn() -> Response>) -> Rssync {
    let opened = AtomicUsize::new(0);
    Rssync::playing(move |asked: &Asked| match asked.what == STREAM {
        true => {
            let at = opened.fetch_add(1, Ordering::SeqCst);
            openings[at.min(openings.len() - 1)]()
        }
        false => answer(200, &job),
    })
    .await
}

fn opened(rssync: &Rssync) -> usize {
    rssync.asked_for().iter().filter(|it| *it == STREAM).count()
}

#[tokio::test]
async fn the_end_of_a_job_is_the_end_of_the_command_and_its_code() {
    let endings =
        [("completed", 0), ("completed_with_failures", 3), ("cancelled", 4), ("failed", 5)];
    for (state, code) in endings {
        let end = with(job(state, 97), "reason", "because");
        let stream =
            [job("running", 0), job("running", 50), end.clone()].map(|it| event(&it)).concat();
        let rssync = Rssync::playing(move |asked: &Asked| match asked.what == STREAM {
            true => events(stream.clone(), false),
            false => answer(200, &job("running", 0)),
        })
        .await;
        let told = rssync.sync(&["watch", "j-1", "--json"]).await;
        assert_eq!((told.code, told.err.as_str()), (code, ""));
        assert_eq!(told.json(), [job("running", 0), job("running", 50), end.clone()]);

        let told = rssync.sync(&["watch", "j-1"]).await;
        let words = state.replace('_', " ");
        assert_eq!(told.code, code, "{told:?}");
        assert!(told.out.contains(&format!(" state         {words}")), "{told:?}");
        assert_eq!(told.out.contains("rsctl sync failures j-1"), code == 3, "{told:?}");
        assert!(told.err.starts_with("j-1 accounts: running: 3/100, 2 failed\n"), "{told:?}");
        let last = format!("j-1 accounts: {words} (because): 100/100, 2 failed\n");
        assert!(told.err.ends_with(&last), "{told:?}");
        assert!(rssync.asked().iter().all(|it| it.caller.scopes == ["sync:read"]));

        // A job that has ended needs no stream.
        let ended = Rssync::playing(move |_| answer(200, &end)).await;
        assert_eq!(ended.sync(&["watch", "j-1", "--json"]).await.code, code);
        assert_eq!(ended.asked_for(), ["GET /subsystems/rs/jobs/j-1"]);
    }
}

#[tokio::test]
async fn a_start_can_be_followed_at_once() {
    let rssync = Rssync::playing(|asked: &Asked| match asked.what == STREAM {
        true => events(event(&job("completed", 97)), true),
        false => answer(202, &job("running", 0)),
    })
    .await;
    let told = rssync.sync(&["start", "--watch", "--json"]).await;
    assert_eq!((told.code, told.json()), (0, vec![job("running", 0), job("completed", 97)]));
    assert_eq!(rssync.asked_for(), ["POST /subsystems/rs/full-sync", STREAM]);
}

/// A stream that breaks in the middle of an event.
fn broken() -> Response {
    let cut = event(&job("running", 60)).replace("\n\n", "");
    let begin = Bytes::from(event(&job("running", 50)) + &cut);
    let begin = futures_util::stream::once(async { Ok(begin) });
    let end = futures_util::stream::once(async {
        // A connection that breaks at once takes with it what was not sent yet.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Err(std::io::Error::other("cut"))
    });
    of_type(200, "text/event-stream", Body::from_stream(begin.chain(end)))
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again_and_nothing_is_told_twice() {
    let rssync = following(
        job("running", 0),
        vec![
            broken,
            || events(event(&job("running", 50)), true),
            || problem(503, ""),
            || of_type(429, "text/plain", "slower"),
            || {
                let end = [job("running", 70), job("completed", 97)].map(|it| event(&it)).concat();
                events(format!(": alive\n\nevent: other\ndata: x\n\n{end}"), true)
            },
        ],
    )
    .await;
    let told = rssync.sync(&["watch", "j-1", "--json"]).await;
    let wanted = [job("running", 0), job("running", 50), job("running", 70), job("completed", 97)];
    assert_eq!((told.code, told.json()), (0, wanted.to_vec()), "{told:?}");
    assert_eq!(opened(&rssync), 5);
    // What passes by itself after a word of the server is not worth one of ours.
    let notes: Vec<_> = told.err.lines().collect();
    assert_eq!(
        notes,
        [
            "rssync is in trouble (503): A title: trying again",
            "rssync is in trouble (429): trying again"
        ]
    );
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_opened_again() {
    let rssync = following(
        job("running", 0),
        vec![|| events(event(&job("paused", 50)), false), || {
            events(event(&job("completed", 97)), true)
        }],
    )
    .await;
    let told = rssync.sync(&["watch", "j-1", "--timeout", "1"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.err.contains("j-1 accounts: paused: 53/100, 2 failed\n"), "{told:?}");
    assert_eq!(opened(&rssync), 2);
}

#[tokio::test]
async fn whoever_is_out_of_reach_for_too_long_is_followed_no_longer() {
    let rssync = following(job("running", 0), vec![broken, || problem(503, "")]).await;
    let told = rssync.sync(&["watch", "j-1", "--patience", "1", "--json"]).await;
    assert_eq!((told.code, told.json()), (1, vec![job("running", 0), job("running", 50)]));
    let last = told.err.lines().last().unwrap();
    assert!(last.starts_with("error: nothing heard for "), "{told:?}");
    assert!(
        last.ends_with("j-1 was not told to stop: rssync is in trouble (503): A title"),
        "{told:?}"
    );
    assert!(opened(&rssync) > 2, "{:?}", rssync.asked_for());
}

#[tokio::test]
async fn what_trying_again_does_not_cure_ends_the_following() {
    type Opening = fn() -> Response;
    let cases: [(Opening, i32, &str); 5] = [
        (|| problem(404, "no job j-1"), 6, "error: not found: no job j-1\n"),
        (|| problem(401, "old"), 1, "error: rssync does not accept the credentials: old\n"),
        (|| answer(200, &job("running", 1)), 1, "error: rssync's answer is no stream of events"),
        (
            || events("event: job\ndata: {]\n\n".to_owned(), true),
            1,
            "error: rssync's answer is no job",
        ),
        (
            || events("event: job\ndata: {}\n\n".to_owned(), true),
            1,
            "error: rssync's answer is no job",
        ),
    ];
    for (opening, code, sentence) in cases {
        let rssync = following(job("running", 0), vec![opening]).await;
        let told: Told = rssync.sync(&["watch", "j-1", "--json"]).await;
        assert_eq!((told.code, told.json()), (code, vec![job("running", 0)]), "{told:?}");
        assert!(told.err.starts_with(sentence), "{told:?}");
        assert_eq!(opened(&rssync), 1);
    }
}

#[tokio::test]
async fn ctrl_c_ends_the_following_and_not_the_job() {
    let rssync = Arc::new(
        following(job("running", 0), vec![|| events(event(&job("running", 50)), false)]).await,
    );
    let mut command = rssync.command(&["watch", "j-1", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    let look = async || (opened(&rssync) == 1).then_some(());
    eventually("the stream is open", Duration::from_secs(20), look).await;
    kill_process(pid, Signal::INT).unwrap();
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    let told = Told::from(output);
    assert_eq!(told.code, 130, "{told:?}");
    assert!(told.err.contains("the job goes on; follow it again with: rsctl sync watch j-1"));
    assert!(rssync.asked().iter().all(|it| it.body == json!(null)), "nothing was posted");
}
