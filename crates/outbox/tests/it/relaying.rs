//! What becomes of a change.

use std::{collections::BTreeSet, time::Duration};

use chassis::CancellationToken;
use mongodb::bson::doc;
use outbox::{Backlog, TellError};
use testkit::{eventually, kafka, unique};

use crate::fixture::{NOBODY, Switches, is_on};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_change_is_told_once_and_a_look_at_what_is_told_says_nothing() {
    let switches = Switches::new().await;
    let (relay, id) = (switches.relay(&kafka()).await, switches.id.as_str());
    switches.turn(id, true).await;
    assert!(!switches.is_told(id).await);
    assert!(relay.tell(id).await.unwrap());
    assert!(switches.is_told(id).await);
    assert!(!relay.tell(id).await.unwrap());
    assert_eq!(relay.tell_all(Duration::ZERO).await.unwrap(), 0);
    let told = switches.told(id).await;
    assert_eq!(told.iter().map(is_on).collect::<Vec<_>>(), [true]);
}

#[tokio::test]
async fn whoever_dies_between_the_broker_and_the_mark_is_repeated_under_the_same_id() {
    let switches = Switches::new().await;
    let (relay, id) = (switches.relay(&kafka()).await, switches.id.as_str());
    switches.turn(id, true).await;
    relay.publish(id).await.unwrap().unwrap();
    assert!(!switches.is_told(id).await);
    let another = switches.relay(&kafka()).await;
    assert_eq!(another.tell_all(Duration::ZERO).await.unwrap(), 1);
    assert!(switches.is_told(id).await);
    let told = switches.told(id).await;
    let ids: BTreeSet<&str> = told.iter().map(|it| it.headers["ce_id"].as_str()).collect();
    assert_eq!((told.len(), ids.len()), (2, 1));
}

#[tokio::test]
async fn a_change_between_the_broker_and_the_mark_stays_untold() {
    let switches = Switches::new().await;
    let (relay, id) = (switches.relay(&kafka()).await, switches.id.as_str());
    switches.turn(id, true).await;
    // Changed behind the back of a relay that has just read it, again and again.
    let changing = async {
        for on in [false, true, false] {
            switches.turn(id, on).await;
        }
    };
    let (told, ()) = tokio::join!(relay.tell(id), changing);
    told.unwrap();
    relay.tell(id).await.unwrap();
    assert!(switches.is_told(id).await);
    assert!(!is_on(switches.told(id).await.last().unwrap()));
}

#[tokio::test]
async fn two_relays_at_once_and_a_writer_that_goes_on_end_with_the_last_state_told() {
    let switches = Switches::new().await;
    let (one, two) = (switches.relay(&kafka()).await, switches.relay(&kafka()).await);
    let stop = CancellationToken::new();
    let every = Duration::from_millis(5);
    let ids: Vec<String> = (0..10).map(|n| format!("{}-{n}", switches.id)).collect();
    let writing = async {
        for round in 0..20 {
            for id in &ids {
                switches.turn(id, round % 2 == 0).await;
                one.tell_soon(id);
            }
        }
        eventually("all is told", LIMIT, async || {
            let backlog = two.backlog().await.unwrap();
            (backlog == Backlog::default()).then_some(())
        })
        .await;
        stop.cancel();
    };
    tokio::join!(one.relay_until(every, &stop), two.relay_until(every, &stop), writing);
    for id in &ids {
        assert!(switches.is_told(id).await);
        let stored = switches.stored(id).await.get_i64("revision").unwrap();
        let told = switches.told(id).await;
        let last = told.iter().map(|it| it.json().unwrap()["revision"].as_i64().unwrap()).max();
        assert_eq!(last, Some(stored));
    }
}

#[tokio::test]
async fn while_the_broker_is_down_what_is_untold_grows_older_and_then_all_of_it_is_told() {
    let switches = Switches::new().await;
    let (cut_off, id) = (switches.relay(NOBODY).await, switches.id.as_str());
    let ids: Vec<String> = (0..50).map(|n| format!("{id}-{n}")).collect();
    for id in &ids {
        switches.turn(id, true).await;
    }
    let before = cut_off.backlog().await.unwrap();
    assert_eq!(before.documents, 50);
    let failed = cut_off.tell_all(Duration::ZERO).await;
    assert!(matches!(failed, Err(TellError::Publish(_))), "{failed:?}");
    // A further change does not make the first one younger.
    switches.turn(&ids[0], false).await;
    let after = cut_off.backlog().await.unwrap();
    assert_eq!(after.documents, 50);
    assert!(after.oldest >= before.oldest + Duration::from_millis(900), "{before:?} {after:?}");

    let relay = switches.relay(&kafka()).await;
    assert_eq!(relay.tell_all(Duration::ZERO).await.unwrap(), 50);
    assert_eq!(relay.backlog().await.unwrap(), Backlog::default());
    let told = switches.told(&ids[0]).await;
    assert_eq!(told.iter().map(is_on).collect::<Vec<_>>(), [false], "the present state alone");
}

#[tokio::test]
async fn a_document_that_cannot_be_read_keeps_no_other_from_being_told() {
    let switches = Switches::new().await;
    let (relay, good) = (switches.relay(&kafka()).await, unique("isp"));
    switches.turn(&switches.id, true).await;
    switches.set(&switches.id, doc! { "on": "perhaps" }).await;
    switches.turn(&good, true).await;
    assert_eq!(relay.tell_all(Duration::ZERO).await.unwrap(), 1);
    assert!(switches.is_told(&good).await);
    assert!(!switches.is_told(&switches.id).await);
    let failed = relay.tell(&switches.id).await;
    assert!(matches!(failed, Err(TellError::Unreadable { .. })), "{failed:?}");
}

#[tokio::test]
async fn a_pass_leaves_what_has_just_changed_to_whoever_changed_it() {
    let switches = Switches::new().await;
    let (relay, id) = (switches.relay(&kafka()).await, switches.id.as_str());
    switches.turn(id, true).await;
    assert_eq!(relay.tell_all(LIMIT).await.unwrap(), 0);
    relay.tell_soon(id);
    eventually("it is told", LIMIT, async || switches.is_told(id).await.then_some(())).await;
}

#[tokio::test]
async fn a_revision_grows_with_every_change_and_is_never_below_what_is_asked() {
    let switches = Switches::new().await;
    let id = switches.id.as_str();
    let far = 4_000_000_000_000_i64;
    switches.turn(id, true).await;
    let first = switches.stored(id).await.get_i64("revision").unwrap();
    assert!(first > 1_700_000_000_000);
    switches.set(id, doc! { "revision": far }).await;
    switches.turn(id, true).await;
    assert_eq!(switches.stored(id).await.get_i64("revision").unwrap(), far + 1);
}
