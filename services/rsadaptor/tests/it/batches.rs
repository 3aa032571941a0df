use std::time::Duration;

use eventbus::Outcome;
use serde_json::json;
use testkit::eventually;

use crate::{
    backend::{Reply, error, status},
    gathering::{all, devices, of_sync, states},
    service::{LIMIT, Service, first, message, shown},
};

/// A service that puts devices of syncs together, those of a test in one call.
async fn start() -> Service {
    let together = [("RSADAPTOR__BATCH__ITEMS_MAX", "100"), ("RSADAPTOR__BATCH__WAIT_MS", "50")];
    Service::start_with(&together).await
}

fn are_done(outcomes: &[Outcome]) {
    assert!(outcomes.iter().all(|it| *it == Outcome::Done), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_a_sync_go_in_few_calls_and_all_else_by_itself() {
    let service = start().await;
    let devices = devices(250);
    are_done(&all(&service, states(&devices, 10)).await);
    let (calls, batches) = (service.backend.calls(), service.backend.batches());
    assert_eq!((calls.len(), batches.iter().sum::<usize>()), (250, 250));
    assert!(batches.len() <= 10, "{batches:?}");
    for it in &devices {
        assert!(service.backend.held(&format!("/devices/{it}")).is_some());
        assert!(calls.contains(&format!("POST /devices/{it} @10")));
    }

    // Live records, routers and deletions.
    are_done(&[service.created(10, json!({})).await]);
    let router = message("RSDeviceUpdated", service.state(11, json!({"kind": "router"})));
    are_done(&all(&service, vec![of_sync(router)]).await);
    let deletion = message("RSDeviceDeleted", service.deletion(12, "router"));
    are_done(&all(&service, vec![of_sync(deletion)]).await);
    assert_eq!(service.backend.batches(), Vec::<usize>::new());
    let calls = service.backend.calls().join(", ").replace(service.device.as_str(), "D");
    let expected = "PUT /devices/D @10, DELETE /devices/D @11, PUT /routers/D @11, \
                    DELETE /routers/D @12";
    assert_eq!(calls, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_device_of_a_batch_ends_in_its_own_way() {
    let service = start().await;
    let devices = devices(8);
    are_done(&all(&service, states(&devices, 10)).await);
    let path = |at: usize| format!("/devices/{}", devices[at]);
    service.backend.next(&path(0), error(409, "stale_revision"));
    service.backend.next(&path(1), error(422, "malformed"));
    service.backend.next(&path(2), error(503, ""));
    let mut messages = states(&devices, 11);
    messages[3].attributes.expires_at = Some("2020-01-01T00:00:00Z".parse().unwrap());
    messages[4] = of_sync(states(&devices, 9).swap_remove(4));
    service.backend.calls();
    let outcomes = all(&service, messages).await;
    let log: Vec<String> = outcomes.iter().map(shown).collect();
    assert_eq!(log[0], "skipped: superseded");
    assert_eq!(log[1], "rejected: malformed: as told");
    assert!(log[2].starts_with("again") && log[2].ends_with("trouble: as told"), "{}", log[2]);
    assert_eq!(log[3], "skipped: expired");
    assert_eq!(log[4], "skipped: superseded");
    are_done(&outcomes[5..]);
    assert_eq!(service.backend.calls().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_as_a_whole_counts_for_nobody_and_its_devices_go_one_by_one() {
    let service = start().await;
    let devices = devices(20);
    let busy = Reply { retry_after: Some("7"), ..status(503) };
    service.backend.next("/devices", busy);
    let mut deliveries: Vec<_> = states(&devices, 10).into_iter().map(first).collect();
    for outcome in all(&service, states(&devices, 10)).await {
        let Outcome::RetryAfter { after, counted, .. } = outcome else { panic!("{outcome:?}") };
        assert!(!counted && after >= Duration::from_secs(7), "{after:?}");
    }
    // One failure, not twenty: nothing else is held back.
    assert_eq!(service.app.backend.destination().open_for(), None);
    for it in &mut deliveries {
        it.attempt = 2;
        assert_eq!(service.attempt(it).await, Outcome::Done);
    }
    assert_eq!(service.backend.batches().len(), 1);
    assert!(service.backend.calls().iter().all(|it| it.starts_with("PUT ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_takes_no_batches_gets_its_devices_one_by_one() {
    for refusal in [status(404), status(405), status(413), status(400), status(401)] {
        let service = start().await;
        service.backend.always("/devices", refusal.clone());
        let devices = devices(10);
        are_done(&all(&service, states(&devices, 10)).await);
        let calls = service.backend.calls();
        assert_eq!(calls.len(), 10, "{refusal:?}");
        assert!(calls.iter().all(|it| it.starts_with("PUT ")), "{calls:?}");
        assert_eq!(service.app.backend.destination().open_for(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_of_a_device_arrive_in_their_order_whoever_else_goes_with_it() {
    let service = start().await;
    for revision in 10..20 {
        let mine = message("RSDeviceUpdated", service.state(revision, json!({})));
        let mut messages = states(&devices(5), revision);
        messages.push(of_sync(mine));
        are_done(&all(&service, messages).await);
    }
    let suffix = format!("/devices/{} @", service.device);
    let calls = service.backend.calls();
    let mine: Vec<u64> = calls
        .iter()
        .filter_map(|it| it.split_once(&suffix).map(|(_, revision)| revision.parse().unwrap()))
        .collect();
    assert_eq!(mine, (10..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_has_expired_while_it_waited_for_others_is_not_sent() {
    let long = [("RSADAPTOR__BATCH__ITEMS_MAX", "100"), ("RSADAPTOR__BATCH__WAIT_MS", "400")];
    let service = Service::start_with(&long).await;
    let mut message = of_sync(message("RSDeviceUpdated", service.state(10, json!({}))));
    message.attributes.expires_at = Some(jiff::Timestamp::now() + Duration::from_millis(150));
    let mut delivery = first(message);
    service.waits(&mut delivery).await;
    let ended = eventually("its end", LIMIT, async || {
        let outcome = service.attempt(&delivery).await;
        (!matches!(outcome, Outcome::RetryAfter { .. })).then_some(outcome)
    });
    assert_eq!(shown(&ended.await), "skipped: expired");
    assert_eq!(service.backend.calls(), Vec::<String>::new());
}
