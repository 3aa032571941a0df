//! What is done is committed; what is not done never is.

use std::{collections::BTreeSet, time::Duration};

use eventbus::{
    ClientType, ConsumerConfig, EventBusConsumer, EventBusFactory, FactoryError, Outcome,
    Serializer,
};

use crate::bus::{Bus, Seen, again, sees, settings};

/// A consumer with these two switches, whatever a dual consumer would choose.
fn consumer(bus: &Bus, auto_commit: bool, asynchronous_commit: bool) -> EventBusConsumer {
    let config = ConsumerConfig {
        tag: "test".to_owned(),
        group: bus.group.clone(),
        cluster: bus.settings.cluster(),
        properties: Default::default(),
        auto_commit,
        asynchronous_commit,
        max_in_flight: 8,
        partition_window: 100,
        dispatch_ahead_max: 500,
        sync_share: 0.1,
        buffered_bytes_max: 1 << 20,
        commit_every_records: 10,
        commit_every: Duration::from_millis(100),
        attempts_max: 3,
        handler_limit: Duration::from_secs(10),
        drain_limit: Duration::from_secs(5),
        record_limit: Duration::from_secs(600),
        stuck_after: Duration::from_secs(60),
        dead_letters_run_max: 1_000,
        dead_letters_share_max: 1.0,
    };
    let dead_letters = EventBusFactory::new("test", bus.settings.clone());
    let dead_letters = dead_letters.producer(ClientType::Default).unwrap();
    EventBusConsumer::start(config, Serializer::Default, dead_letters).unwrap()
}

#[tokio::test]
async fn no_combination_of_the_switches_commits_what_is_not_done() {
    for (auto_commit, asynchronous_commit) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let bus = Bus::new(1).await;
        for n in 0..30 {
            bus.publish(&format!("k{n}"), &n.to_string()).await;
        }
        let seen = Seen::default();
        let first = consumer(&bus, auto_commit, asynchronous_commit);
        // Record 20 never ends well, everything else does.
        let registry = bus.registry(&seen, |it| match it.message.payload == b"20" {
            true => again(),
            false => Outcome::Done,
        });
        first.register(vec![registry]).unwrap();
        sees(&seen, 29).await;
        bus.commits(20).await;
        first.close().await;
        assert_eq!(bus.committed().await, [(0, 20)], "{auto_commit} {asynchronous_commit}");

        let rest = Seen::default();
        let second = consumer(&bus, auto_commit, asynchronous_commit);
        second.register(vec![bus.registry(&rest, |_| Outcome::Done)]).unwrap();
        sees(&rest, 10).await;
        bus.commits(30).await;
        second.close().await;
        assert_eq!(rest.lock().unwrap().first().unwrap().1, "20");
    }
}

#[tokio::test]
async fn what_is_in_flight_at_the_end_is_finished_and_committed() {
    let bus = Bus::new(1).await;
    bus.publish("k", "1").await;
    let seen = Seen::default();
    let (begin, mut begun) = tokio::sync::mpsc::channel(1);
    let consumer = bus.consumer();
    let noted = std::sync::Arc::clone(&seen);
    let registry = eventbus::EventBusRegistry::new(&bus.topic, move |delivery| {
        let (begin, noted) = (begin.clone(), std::sync::Arc::clone(&noted));
        async move {
            begin.send(()).await.unwrap();
            // Longer than closing takes where it does not wait.
            tokio::time::sleep(Duration::from_millis(500)).await;
            noted.lock().unwrap().push(crate::bus::shown(&delivery.message));
            Outcome::Done
        }
    });
    consumer.register(vec![registry]).unwrap();
    begun.recv().await.unwrap();
    consumer.close().await;
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(bus.committed().await, [(0, 1)]);
}

#[tokio::test]
async fn a_topic_that_becomes_performant_keeps_its_offsets() {
    let mut bus = Bus::new(1).await;
    for n in 0..10 {
        bus.publish("k", &n.to_string()).await;
    }
    let seen = Seen::default();
    let reliable = bus.consume(&seen, |_| Outcome::Done);
    sees(&seen, 10).await;
    reliable.close().await;

    bus.settings.consumer.performant_topics = BTreeSet::from([bus.topic.clone()]);
    let performant = bus.consume(&seen, |_| Outcome::Done);
    bus.publish("k", "10").await;
    sees(&seen, 11).await;
    bus.commits(11).await;
    assert_eq!(performant.assignment(), [(bus.topic.clone(), 0)]);
    performant.close().await;
    assert_eq!(seen.lock().unwrap().len(), 11, "a record was handled again");
}

#[tokio::test]
async fn a_setting_that_would_lose_records_is_refused() {
    for name in ["enable.auto.offset.store", "auto.offset.reset", "group.id"] {
        let mut settings = settings();
        settings.consumer.properties.insert(name.to_owned(), "true".to_owned());
        let consumer = EventBusFactory::new("test", settings).consumer("g", ClientType::Default);
        assert!(matches!(consumer, Err(FactoryError::Reserved(it)) if it == name));
    }
    let factory = EventBusFactory::new("test", settings());
    let external = factory.producer(ClientType::External);
    assert!(matches!(external, Err(FactoryError::NoExternalBroker)));
}

#[tokio::test]
async fn what_was_stored_earlier_does_not_take_a_commit_back() {
    for (auto_commit, asynchronous_commit) in [(true, false), (true, true)] {
        let bus = Bus::new(1).await;
        let seen = Seen::default();
        let consumer = consumer(&bus, auto_commit, asynchronous_commit);
        consumer.register(vec![bus.registry(&seen, |_| Outcome::Done)]).unwrap();
        // Offsets are stored meanwhile; the last records are done after the last time.
        for n in 0..300 {
            bus.publish(&format!("k{n}"), &n.to_string()).await;
        }
        sees(&seen, 300).await;
        consumer.close().await;
        assert_eq!(bus.committed().await, [(0, 300)]);
    }
}
