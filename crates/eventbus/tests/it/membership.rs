//! Topics come and go, members come and go; nothing is lost.

use std::collections::BTreeMap;

use eventbus::{Outcome, RegisterError};
use testkit::eventually;

use crate::{
    bus::{Bus, LIMIT, Seen, sees, settings},
    gate::Gate,
};

#[tokio::test]
async fn topics_are_registered_and_unregistered_while_it_runs() {
    let (one, two) = (Bus::new(1).await, Bus::new(1).await);
    one.publish("k", "1").await;
    two.publish("k", "2").await;
    let seen = Seen::default();
    let consumer = one.consumer();
    assert_eq!(consumer.get_registered_topics(), Vec::<String>::new());
    assert_eq!(consumer.works(), Ok(()));

    consumer.register(vec![one.registry(&seen, |_| Outcome::Done)]).unwrap();
    sees(&seen, 1).await;
    let again = consumer.register(vec![one.registry(&seen, |_| Outcome::Done)]);
    assert_eq!(again, Err(RegisterError::AlreadyRegistered(one.topic.clone())));

    let twice =
        vec![two.registry(&seen, |_| Outcome::Done), two.registry(&seen, |_| Outcome::Done)];
    assert_eq!(consumer.register(twice), Err(RegisterError::AlreadyRegistered(two.topic.clone())));

    consumer.register(vec![two.registry(&seen, |_| Outcome::Done)]).unwrap();
    sees(&seen, 2).await;
    let mut both = vec![one.topic.clone(), two.topic.clone()];
    both.sort();
    assert_eq!(consumer.get_registered_topics(), both);

    consumer.unregister(&[&one.topic]);
    let only_two = async || (consumer.assignment() == [(two.topic.clone(), 0)]).then_some(());
    eventually("the topic to be given back", LIMIT, only_two).await;
    one.publish("k", "3").await;
    two.publish("k", "4").await;
    sees(&seen, 3).await;
    assert!(seen.lock().unwrap().iter().all(|it| it.1 != "3"));
    assert_eq!(consumer.get_registered_topics(), std::slice::from_ref(&two.topic));

    consumer.register(vec![one.registry(&seen, |_| Outcome::Done)]).unwrap();
    sees(&seen, 4).await;
    consumer.close().await;
    let mut payloads: Vec<String> = seen.lock().unwrap().iter().map(|it| it.1.clone()).collect();
    payloads.sort();
    assert_eq!(payloads, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_topic_that_is_registered_leaves_the_others_running_where_the_protocol_allows_it() {
    let mut settings = settings();
    settings.consumer.properties.insert("group.protocol".to_owned(), "consumer".to_owned());
    let (one, two) = (Bus::with(1, settings).await, Bus::new(1).await);
    one.publish("k", "slow").await;
    two.publish("k", "quick").await;
    let (gate, seen) = (Gate::new(), Seen::default());
    let consumer = one.consumer();
    consumer.register(vec![gate.registry(&one)]).unwrap();
    gate.begins(1).await;
    consumer.register(vec![two.registry(&seen, |_| Outcome::Done)]).unwrap();
    // The first topic's record is in its callback all the time: nobody waited for it.
    sees(&seen, 1).await;
    assert_eq!(gate.inside(), 1);
    consumer.unregister(&[&two.topic]);
    let given_back = async || (consumer.assignment().len() == 1).then_some(());
    eventually("the topic to be given back", LIMIT, given_back).await;
    assert_eq!(gate.inside(), 1);
    gate.open();
    one.commits(1).await;
    consumer.close().await;
    assert_eq!(gate.began().len(), 1);
}

#[tokio::test]
async fn members_that_join_and_leave_lose_nothing_and_keep_the_order_of_each_key() {
    for property in [
        ("partition.assignment.strategy", "range"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("group.protocol", "consumer"),
    ] {
        join_and_leave(property).await;
    }
}

async fn join_and_leave((name, value): (&str, &str)) {
    let mut settings = settings();
    settings.consumer.properties.insert(name.to_owned(), value.to_owned());
    let bus = Bus::with(6, settings).await;
    let seen = Seen::default();
    let first = bus.consume(&seen, |_| Outcome::Done);
    let publish = async {
        for n in 0..600 {
            bus.publish(&format!("k{}", n % 30), &format!("{n:03}")).await;
        }
    };
    let churn = async {
        sees(&seen, 100).await;
        let second = bus.consume(&seen, |_| Outcome::Done);
        let shared = async || (!second.assignment().is_empty()).then_some(());
        eventually("a share for the second member", LIMIT, shared).await;
        sees(&seen, 300).await;
        first.close().await;
        sees(&seen, 450).await;
        second
    };
    let ((), second) = tokio::join!(publish, churn);
    sees(&seen, 600).await;
    bus.commits(600).await;
    second.close().await;

    // A record may be repeated where a partition moved; none is missing, and none jumps ahead of one of its key.
    let mut highest: BTreeMap<String, String> = BTreeMap::new();
    let mut all = std::collections::BTreeSet::new();
    for (key, payload) in seen.lock().unwrap().iter() {
        if all.insert(payload.clone()) {
            let before = highest.insert(key.clone(), payload.clone());
            assert!(before.is_none_or(|it| it < *payload), "{key} went back to {payload}");
        }
    }
    assert_eq!(all.len(), 600, "{name}={value}");
}
