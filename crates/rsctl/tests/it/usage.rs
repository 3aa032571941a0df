//! What cannot work is said in one sentence, with the exit code that tells whose fault it is.

use std::time::{Duration, Instant};

use testkit::{
    topics::{Wanted, make},
    unique,
};

use crate::mailbox::{rsctl, text};

const LIST: [&str; 6] = ["dlq", "list", "--topic", "t", "--group", "g"];

#[tokio::test]
async fn a_topic_that_is_not_there_is_named_and_what_is_there_instead() {
    let kafka = testkit::kafka();
    let (topic, group) = (unique("rsctl"), unique("group"));
    make(&kafka, Wanted::with_dead_letters(&topic, &group, 1)).await.unwrap();
    let nobody = unique("nobody");
    let list = async |topic: &str, group: &str| {
        let output = rsctl(&["dlq", "list", "--topic", topic, "--group", group], &kafka).await;
        (output.status.code().unwrap(), text(&output))
    };
    let (code, told) = list(&topic, "nobody").await;
    let wanted = format!(
        "error: the broker has no topic `{topic}.nobody.dlq`: `{topic}` has dead letters of {group}\n"
    );
    assert_eq!((code, told), (1, wanted));
    let (code, told) = list(&nobody, "g").await;
    let wanted = format!("error: the broker has neither a topic `{nobody}` nor `{nobody}.g.dlq`\n");
    assert_eq!((code, told), (1, wanted));
    // Nobody has made it by asking for it.
    assert_eq!(list(&nobody, "g").await.0, 1);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_told_of_in_time() {
    let began = Instant::now();
    let output = rsctl(&LIST, "127.0.0.1:1").await;
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("error: no broker answers: ") && told.contains("refused"), "{told}");
    assert_eq!(told.lines().count(), 1);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2_before_anything_is_done() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# no secret\n\nlog_level=2\nacks = 1\n").unwrap();
    let path = file.path().to_str().unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["--since", "yesterday"], "nor a span such as 90m, 2h or 7d"),
        (&["--partition", "1"], "--offset"),
        (&["--property", "acks=1"], "`acks` cannot be set"),
        (&["--property", "acks"], "NAME=VALUE"),
        (&["--property", "no.such.thing=1"], "No such configuration property: \"no.such.thing\""),
        (&["--property-file", path], "line 4: `acks` cannot be set"),
        (&["--property-file", "/no/such/file"], "/no/such/file"),
        (&["--nonsense"], "--nonsense"),
    ];
    for (arguments, wanted) in cases {
        let output = rsctl(&[&LIST[..], arguments].concat(), "127.0.0.1:1").await;
        let told = text(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(wanted), "{arguments:?}: {told}");
    }
    let nowhere = rsctl(&["dlq", "list", "--topic", "t"], "127.0.0.1:1").await;
    assert_eq!(nowhere.status.code(), Some(2));
    for help in [&["--help"][..], &["dlq", "replay", "--help"], &["--version"]] {
        assert_eq!(rsctl(help, "").await.status.code(), Some(0));
    }
}
