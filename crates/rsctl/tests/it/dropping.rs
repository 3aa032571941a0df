//! What is given up is passed over, and nothing is given up by accident.

use eventbus::letters::LookLimits;
use serde_json::json;

use crate::mailbox::Mailbox;

#[tokio::test]
async fn dropped_dead_letters_are_passed_over_and_kept() {
    let mailbox = Mailbox::new(1, 1).await;
    mailbox.reject(&["a", "b", "c"]);
    let consumer = mailbox.consume();
    for payload in ["a", "b", "c"] {
        mailbox.publish(payload, payload).await;
    }
    mailbox.holds(3).await;
    let (code, text) = mailbox.dlq("drop", &[]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("--everything"), "{text}");
    mailbox.holds(3).await;

    let (code, text) = mailbox.dlq("drop", &["--key", "b"]).await;
    assert_eq!(code, 0);
    assert!(text.contains("dropped 0/1 (key b)\ndropped 1, refused 0"), "{text}");
    let (code, text) = mailbox.dlq("drop", &["--offset", "1"]).await;
    assert_eq!(code, 1);
    assert!(text.contains("it was dropped already"), "{text}");
    let offsets = async |arguments: &[&str]| {
        let (_, listed) = mailbox.dlq_json("list", arguments).await;
        listed.iter().map(|it| it["offset"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(offsets(&[]).await, [0, 2]);
    // A service that is asked sees the same, and no more than it was told to look at.
    let found = async |key: &str, records| {
        let limits = LookLimits { records, limit_ms: 30_000 };
        let look = mailbox.look(limits);
        let found = look.of_key(&mailbox.topic, &mailbox.group, key).await.unwrap();
        (found.open.iter().map(|it| it.place.offset).collect::<Vec<_>>(), found.complete)
    };
    assert_eq!(found("a", 100).await, (vec![0], true));
    assert_eq!(found("b", 100).await, (vec![], true));
    assert_eq!(found("c", 2).await, (vec![2], false));
    assert_eq!(found("a", 2).await, (vec![], false));
    let nowhere = mailbox.look(LookLimits { records: 1, limit_ms: 30_000 });
    assert!(nowhere.of_key(&mailbox.topic, "nobody", "a").await.unwrap().complete);
    assert_eq!(offsets(&["--all"]).await, [0, 1, 2]);

    mailbox.reject(&[]);
    assert_eq!(mailbox.dlq("replay", &[]).await.0, 0);
    let seen = mailbox.handles(2).await;
    assert_eq!(seen.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    let (code, told) = mailbox.dlq_json("drop", &["--everything"]).await;
    assert_eq!((code, told), (0, vec![json!({"dropped": 0, "refused": 0, "dry_run": false})]));
    consumer.close().await;
}
