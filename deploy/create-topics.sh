#!/bin/sh
# Generated from crates/events/src/topics.rs by `cargo xtask generate`; change it there.
# Makes every topic that is not there yet: create-topics.sh HOST:PORT
set -eu
server=$1
tool=${KAFKA_TOPICS:-/opt/kafka/bin/kafka-topics.sh}

topic() {
  "$tool" --bootstrap-server "$server" --create --if-not-exists --topic "$1" --partitions "$2" \
    --config retention.ms="$3" --config cleanup.policy="$4" --config max.message.bytes="$5"
}

topic as-provision-command-topic 12 604800000 delete 2097152
topic as-provision-topic 12 604800000 delete 2097152
topic as-configuration-topic 12 604800000 delete 2097152
topic as-rs-provision-topic 12 604800000 delete 2097152
topic as-rs-system-configuration-topic 12 604800000 delete 2097152
topic as-rs-agent-topic 12 604800000 delete 2097152
topic as-rs-event-topic 12 604800000 delete 2097152
topic as-rs-agents-request-topic 3 604800000 delete 2097152
topic as-rs-agents-reply-topic 3 604800000 delete 2097152
topic as-rs-client-request-topic 3 604800000 delete 2097152
topic as-rs-client-reply-topic 3 604800000 delete 2097152
topic as-rs-adaptor-reply-topic 3 604800000 delete 2097152
topic as-subsystem-topic 1 604800000 delete 2097152
topic as-notification-topic 12 604800000 delete 2097152
topic as-wsp-request-topic 12 604800000 delete 2097152
topic hs-event-topic 12 604800000 delete 2097152
topic hs-account-topic 12 604800000 delete 2097152
topic hs-system-topic 12 604800000 delete 2097152
topic as-provision-command-topic.accounts.dlq 1 2592000000 delete 4194304
topic as-provision-topic.rsclient.dlq 1 2592000000 delete 4194304
topic as-provision-topic.rsevents.dlq 1 2592000000 delete 4194304
topic as-configuration-topic.accounts.dlq 1 2592000000 delete 4194304
topic as-configuration-topic.rsclient.dlq 1 2592000000 delete 4194304
topic as-rs-provision-topic.rsadaptor.dlq 1 2592000000 delete 4194304
topic as-rs-system-configuration-topic.rsadaptor.dlq 1 2592000000 delete 4194304
topic as-rs-agent-topic.rsclient.dlq 1 2592000000 delete 4194304
topic as-rs-agent-topic.rsadaptor.dlq 1 2592000000 delete 4194304
topic as-rs-event-topic.accounts.dlq 1 2592000000 delete 4194304
topic as-rs-event-topic.rsclient.dlq 1 2592000000 delete 4194304
topic as-rs-agents-request-topic.rsagents.dlq 1 2592000000 delete 4194304
topic as-rs-agents-reply-topic.rssync.dlq 1 2592000000 delete 4194304
topic as-rs-agents-reply-topic.rsagents.dlq 1 2592000000 delete 4194304
topic as-rs-client-request-topic.rsclient.dlq 1 2592000000 delete 4194304
topic as-rs-client-reply-topic.rssync.dlq 1 2592000000 delete 4194304
topic as-rs-client-reply-topic.rsclient.dlq 1 2592000000 delete 4194304
topic as-rs-adaptor-reply-topic.rsclient.dlq 1 2592000000 delete 4194304
topic as-rs-adaptor-reply-topic.rsagents.dlq 1 2592000000 delete 4194304
topic as-subsystem-topic.subsystem-supervisor.dlq 1 2592000000 delete 4194304
topic as-notification-topic.notifications.dlq 1 2592000000 delete 4194304
topic as-wsp-request-topic.bucket-writer.dlq 1 2592000000 delete 4194304
topic hs-event-topic.rsevents.dlq 1 2592000000 delete 4194304
topic hs-account-topic.hs-be.dlq 1 2592000000 delete 4194304
topic hs-system-topic.hs-be.dlq 1 2592000000 delete 4194304
