//! The registry of topics as a document and as commands.

use std::fmt::Write;

use events::topics::{ALL, Client, Topic};

/// `docs/topics.md`.
pub(super) fn document() -> String {
    let mut text = "# Topics\n\nGenerated from `crates/events/src/topics.rs` by `cargo xtask \
                    generate`; change it there.\n\nA consumer group is named after its service. \
                    Replication is the broker's default: 3 with two in sync in production, 1 on \
                    one node.\n\n| topic | key | wire | partitions | kept | cleanup |\n\
                    | --- | --- | --- | ---: | ---: | --- |\n"
        .to_owned();
    for topic in ALL {
        let wire = match topic.client {
            Client::Default => "CloudEvents",
            Client::External => "bare JSON",
        };
        let (days, cleanup) = (topic.retention_hours / 24, topic.cleanup.policy());
        let Topic { name, key, partitions, .. } = topic;
        line(
            &mut text,
            format_args!("| `{name}` | {key} | {wire} | {partitions} | {days} d | {cleanup} |"),
        );
    }
    text.push_str("\n## Events\n\n| topic | event | from | to |\n| --- | --- | --- | --- |\n");
    for topic in ALL {
        for event in topic.events {
            let (from, to) = (event.producers.join(", "), event.consumers.join(", "));
            line(
                &mut text,
                format_args!("| `{}` | `{}` | {from} | {to} |", topic.name, event.name),
            );
        }
    }
    text.push_str("\n## Dead letters\n\n| topic | kept |\n| --- | ---: |\n");
    for (name, hours) in events::topics::dead_letters() {
        line(&mut text, format_args!("| `{name}` | {} d |", hours / 24));
    }
    text
}

/// `deploy/create-topics.sh`.
pub(super) fn script() -> String {
    let mut text = "#!/bin/sh\n# Generated from crates/events/src/topics.rs by `cargo xtask \
                    generate`; change it there.\n# Makes every topic that is not there yet: \
                    create-topics.sh HOST:PORT\nset -eu\nserver=$1\ntool=${KAFKA_TOPICS:-\
                    /opt/kafka/bin/kafka-topics.sh}\n\ntopic() {\n  \"$tool\" --bootstrap-server \
                    \"$server\" --create --if-not-exists --topic \"$1\" --partitions \"$2\" \\\n    \
                    --config retention.ms=\"$3\" --config cleanup.policy=\"$4\" --config \
                    max.message.bytes=\"$5\"\n}\n\n"
        .to_owned();
    for it in testkit::topics::wanted() {
        let (name, partitions, cleanup) = (&it.name, it.partitions, it.cleanup_policy);
        let (kept, bytes) = (it.retention_ms, it.max_message_bytes);
        line(&mut text, format_args!("topic {name} {partitions} {kept} {cleanup} {bytes}"));
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}
