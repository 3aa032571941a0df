//! The registry agrees with the events and with itself.

use std::collections::BTreeSet;

use events::{topics, *};

#[test]
fn every_topic_has_an_unmistakable_name_and_someone_at_both_ends() {
    let names: BTreeSet<&str> = topics::ALL.iter().map(|it| it.name).collect();
    assert_eq!(names.len(), topics::ALL.len());
    for topic in topics::ALL {
        assert!(topic.partitions > 0 && topic.retention_hours > 0, "{}", topic.name);
        for event in topic.events {
            assert!(!event.producers.is_empty() && !event.consumers.is_empty(), "{}", event.name);
        }
    }
}

#[test]
fn the_registry_and_the_enums_know_the_same_events() {
    fn check<E: TopicEvent>() {
        let topic = E::topic();
        for event in topic.events {
            // An empty object is malformed; an unknown event type is not even that.
            let outcome = E::decode(event.name, b"[]");
            let known = matches!(outcome, Err(DecodeError::Malformed { .. }));
            assert!(known, "{} does not know {}", topic.name, event.name);
        }
    }
    check::<ProvisioningEvent>();
    check::<ProvisionCommand>();
    check::<ConfigurationEvent>();
    check::<RsProvisioningEvent>();
    check::<RsSystemEvent>();
    check::<RsAgentEvent>();
    check::<AdaptorReply>();
    check::<AgentsRequest>();
    check::<AgentsReply>();
    check::<ClientRequest>();
    check::<ClientReply>();
    check::<HsEvent>();
    check::<RsEvent>();
    check::<NotificationEvent>();
    check::<ReportEvent>();
    check::<SubsystemEvent>();
}

#[test]
fn a_dead_letter_topic_belongs_to_a_topic_and_a_group() {
    let letters: Vec<String> = topics::dead_letters().into_iter().map(|(name, _)| name).collect();
    assert!(letters.contains(&"as-provision-topic.rsclient.dlq".to_owned()));
    assert!(letters.contains(&"as-provision-topic.rsevents.dlq".to_owned()));
    assert!(!letters.contains(&"as-provision-topic.rsadaptor.dlq".to_owned()));
}
