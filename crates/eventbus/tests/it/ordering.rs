//! In order per key, side by side across keys.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use eventbus::{EventBusRegistry, Outcome};
use tokio::sync::Barrier;

use crate::bus::{Bus, Seen, again, sees, shown};

#[tokio::test]
async fn records_of_a_key_are_handled_in_order_and_each_once() {
    let bus = Bus::new(3).await;
    for n in 0..200 {
        bus.publish(&format!("k{}", n % 7), &format!("{{\"n\":{n:03}}}")).await;
    }
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |_| Outcome::Done);
    sees(&seen, 200).await;
    bus.commits(200).await;
    consumer.close().await;

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 200);
    for key in 0..7 {
        let key = format!("k{key}");
        let of_key: Vec<_> = seen.iter().filter(|it| it.0 == key).map(|it| &it.1).collect();
        assert!(of_key.is_sorted(), "{key}: {of_key:?}");
    }
}

#[tokio::test]
async fn a_key_that_waits_does_not_hold_up_the_others_and_loses_nothing_of_its_own() {
    let bus = Bus::new(1).await;
    for n in 0..3 {
        bus.publish("stuck", &n.to_string()).await;
        bus.publish(&format!("free{n}"), &n.to_string()).await;
    }
    let (seen, open) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let door = Arc::clone(&open);
    let consumer = bus.consume(&seen, move |delivery| {
        match delivery.message.key.as_deref() == Some("stuck") && !door.load(Ordering::SeqCst) {
            true => again(),
            false => Outcome::Done,
        }
    });
    sees(&seen, 3).await;
    assert!(seen.lock().unwrap().iter().all(|it| it.0 != "stuck"));
    // The first record of the partition waits: nothing behind it is committed.
    assert_eq!(bus.committed().await, []);
    open.store(true, Ordering::SeqCst);
    sees(&seen, 6).await;
    bus.commits(6).await;
    consumer.close().await;
    let stuck: Vec<String> =
        seen.lock().unwrap().iter().filter(|it| it.0 == "stuck").map(|it| it.1.clone()).collect();
    assert_eq!(stuck, ["0", "1", "2"]);
}

#[tokio::test]
async fn different_keys_of_one_partition_are_handled_side_by_side() {
    let bus = Bus::new(1).await;
    for key in ["a", "b", "c", "d"] {
        bus.publish(key, "1").await;
    }
    let (seen, together) = (Seen::default(), Arc::new(Barrier::new(4)));
    let consumer = bus.consumer();
    let noted = Arc::clone(&seen);
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let (noted, together) = (Arc::clone(&noted), Arc::clone(&together));
        async move {
            // Nobody passes before all four are here.
            together.wait().await;
            noted.lock().unwrap().push(shown(&delivery.message));
            Outcome::Done
        }
    });
    consumer.register(vec![registry]).unwrap();
    sees(&seen, 4).await;
    consumer.close().await;
}

#[tokio::test]
async fn records_without_a_key_keep_the_order_of_their_partition() {
    let bus = Bus::new(1).await;
    for n in 0..20 {
        bus.producer.publish(&bus.message(None, &format!("{n:02}"))).await.unwrap();
    }
    let (seen, calls) = (Seen::default(), AtomicU32::new(0));
    // Every third call fails once.
    let consumer = bus.consume(&seen, move |_| match calls.fetch_add(1, Ordering::SeqCst) % 3 {
        2 => again(),
        _ => Outcome::Done,
    });
    sees(&seen, 20).await;
    consumer.close().await;
    assert!(seen.lock().unwrap().is_sorted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn callbacks_that_compute_for_long_run_on_several_cores() {
    let bus = Bus::new(1).await;
    bus.publish_all((0..200).map(|n| bus.message(Some(&format!("k{n}")), "1"))).await;
    let (seen, inside, most) = (Seen::default(), AtomicU32::new(0), Arc::new(AtomicU32::new(0)));
    let noted = Arc::clone(&most);
    let consumer = bus.consume(&seen, move |_| {
        noted.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let began = std::time::Instant::now();
        while began.elapsed() < std::time::Duration::from_millis(3) {
            std::hint::spin_loop();
        }
        inside.fetch_sub(1, Ordering::SeqCst);
        Outcome::Done
    });
    sees(&seen, 200).await;
    consumer.close().await;
    assert!(most.load(Ordering::SeqCst) > 1, "one core did all of it");
}
