//! Whose a device is: what provisioning says, in any order, and what an event is told with then.

use eventbus::Outcome;
use serde_json::{Value, json};

use crate::service::{Service, shown};

const GONE: &str = "skipped: gone";

fn with(mut value: Value, members: &Value) -> Value {
    for (name, member) in members.as_object().unwrap() {
        value[name] = member.clone();
    }
    value
}

impl Service {
    fn deletion(&self, entity: &str, id: &str, revision: u64) -> Value {
        json!({"isp_id": self.isp, "account_id": self.account, "revision": revision, (entity): id})
    }

    async fn says(&self, event_type: &str, data: &Value) -> String {
        shown(&[self.provision(event_type, data).await]).remove(0)
    }

    async fn takes(&self, device: &str) -> String {
        shown(&self.take(&[self.connected(device)]).await).remove(0)
    }
}

#[tokio::test]
async fn a_device_that_moves_is_told_with_its_new_account_at_once() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    assert_eq!(service.takes("d-1").await, "done");
    let other = service.id("b");
    let account = with(service.account(10), &json!({"account_id": other}));
    assert_eq!(service.says("AccountCreated", &account).await, "done");
    let moved = with(service.device("d-1", 11), &json!({"account_id": other}));
    assert_eq!(service.says("DeviceUpdated", &moved).await, "done");
    assert_eq!(service.takes("d-1").await, "done");
    assert_eq!(service.accounts_told().await, [service.account.clone(), other]);
    // What is older changes nothing.
    let old = service.device("d-1", 10);
    assert_eq!(service.says("DeviceUpdated", &old).await, "skipped: superseded");
}

#[tokio::test]
async fn a_deleted_device_is_remembered_and_comes_back_only_by_something_newer() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let id = service.id("d-1");
    let deletion = service.deletion("device_id", &id, 20);
    assert_eq!(service.says("DeviceDeleted", &deletion).await, "done");
    assert_eq!(service.takes("d-1").await, GONE);
    let stored = service.stored("devices", &id).await.unwrap();
    assert!(stored.contains_key("expire_at") && stored.get_bool("deleted").unwrap(), "{stored}");
    for revision in [10, 20] {
        let again = service.device("d-1", revision);
        assert_eq!(service.says("DeviceUpdated", &again).await, "skipped: superseded");
    }
    assert_eq!(service.takes("d-1").await, GONE);
    assert_eq!(service.says("DeviceCreated", &service.device("d-1", 21)).await, "done");
    assert_eq!(service.takes("d-1").await, "done");
    assert!(!service.stored("devices", &id).await.unwrap().contains_key("expire_at"));
}

#[tokio::test]
async fn the_deletion_of_an_account_ends_its_devices_also_where_it_is_superseded() {
    for event_type in ["AccountDeleted", "ProvisionDeleted"] {
        let service = Service::start().await;
        service.provide(&["d-1"]).await;
        // Something newer is known of the account, and of one of its devices.
        assert_eq!(service.says("AccountUpdated", &service.account(40)).await, "done");
        assert_eq!(service.says("DeviceCreated", &service.device("d-2", 40)).await, "done");
        let deletion = service.deletion("account_id", &service.account, 30);
        assert_eq!(service.says(event_type, &deletion).await, "done");
        assert_eq!(service.takes("d-1").await, GONE);
        assert_eq!(service.takes("d-2").await, "done");
        // One that is older and comes late has ended too, and is forgotten in time.
        assert_eq!(service.says("DeviceCreated", &service.device("d-3", 29)).await, "done");
        assert_eq!(service.takes("d-3").await, GONE);
        for name in ["d-1", "d-3"] {
            let stored = service.stored("devices", &service.id(name)).await.unwrap();
            assert!(stored.contains_key("expire_at"), "{stored}");
        }
        let deletion = service.deletion("account_id", &service.account, 50);
        assert_eq!(service.says(event_type, &deletion).await, "done");
        assert_eq!(service.takes("d-2").await, GONE);
    }
}

#[tokio::test]
async fn a_device_may_come_before_its_account() {
    let service = Service::start().await;
    assert_eq!(service.says("DeviceCreated", &service.device("d-1", 10)).await, "done");
    let waits = service.takes("d-1").await;
    assert!(waits.starts_with("again (false): account `"), "{waits}");
    assert_eq!(service.says("AccountCreated", &service.account(5)).await, "done");
    assert_eq!(service.takes("d-1").await, "done");
}

#[tokio::test]
async fn what_is_another_isp_s_is_refused_and_the_rest_is_taken() {
    let (service, other) = (Service::start().await, json!({"isp_id": "isp-other"}));
    service.provide(&["d-1"]).await;
    let foreign = with(service.device("d-1", 99), &other);
    let refused = service.says("DeviceUpdated", &foreign).await;
    assert!(refused.starts_with("rejected: tenant_mismatch: "), "{refused}");
    let account = with(service.account(99), &other);
    let refused = service.says("AccountUpdated", &account).await;
    assert!(refused.starts_with("rejected: tenant_mismatch: "), "{refused}");
    // Of a provision, each part by itself.
    let owned = with(service.device("d-2", 10), &other);
    assert_eq!(
        service.says("DeviceCreated", &with(owned, &json!({"account_id": "b"}))).await,
        "done"
    );
    let refused = service.says("ProvisionUpdated", &service.home(&["d-2", "d-3"])).await;
    assert!(refused.starts_with("rejected: tenant_mismatch: `"), "{refused}");
    assert_eq!(service.takes("d-3").await, "done");
    let mut mixed = service.home(&["d-4"]);
    mixed["devices"][0]["isp_id"] = "isp-other".into();
    let refused = service.says("ProvisionUpdated", &mixed).await;
    assert_eq!(refused, "rejected: tenant_mismatch: devices[0] is of another ISP");
    let mut torn = service.home(&["d-4"]);
    torn["devices"][0]["account_id"] = "b".into();
    let refused = service.says("ProvisionUpdated", &torn).await;
    assert!(refused.ends_with("devices[0] is of another account"), "{refused}");
}

#[tokio::test]
async fn a_provision_is_written_whole_and_people_are_not_kept() {
    let service = Service::start().await;
    let names: Vec<String> = (0..300).map(|it| format!("d-{it}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    service.provide(&names).await;
    assert_eq!(service.says("ProvisionUpdated", &service.home(&names)).await, "done");
    let batch: Vec<_> = names.iter().map(|it| service.connected(it)).collect();
    assert!(service.take(&batch).await.iter().all(|it| *it == Outcome::Done));
    let user = json!({"isp_id": service.isp, "account_id": service.account, "user_id": "u-1",
        "revision": 1, "name": "Mia", "kind": "child", "age_group": "child"});
    assert_eq!(service.says("UserCreated", &user).await, "skipped: no people are kept here");
    let mut older = service.home(&names[..2]);
    older["account"]["revision"] = 9.into();
    older["devices"][0]["revision"] = 9.into();
    older["devices"][1]["revision"] = 9.into();
    assert_eq!(service.says("ProvisionUpdated", &older).await, "skipped: superseded");
}

#[tokio::test]
async fn what_another_process_has_brought_back_is_not_dropped_for_what_is_in_memory() {
    let service = Service::start().await;
    let other = service.beside().await;
    service.provide(&["d-1", "d-2"]).await;
    let deletion = service.deletion("device_id", &service.id("d-1"), 20);
    assert_eq!(other.says("DeviceDeleted", &deletion).await, "done");
    assert_eq!(service.takes("d-1").await, GONE);
    assert_eq!(other.says("DeviceCreated", &service.device("d-1", 30)).await, "done");
    assert_eq!(service.takes("d-1").await, "done");
    let deletion = service.deletion("account_id", &service.account, 40);
    assert_eq!(other.says("AccountDeleted", &deletion).await, "done");
    assert_eq!(other.says("AccountCreated", &service.account(50)).await, "done");
    assert_eq!(other.says("DeviceCreated", &service.device("d-2", 50)).await, "done");
    assert_eq!(service.takes("d-2").await, "done");
}

#[tokio::test]
async fn a_device_that_ended_with_its_household_is_found_anew_in_another_one() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let deletion = service.deletion("account_id", &service.account, 20);
    assert_eq!(service.says("AccountDeleted", &deletion).await, "done");
    let other = service.id("b");
    let account = with(service.account(10), &json!({"account_id": other}));
    assert_eq!(service.says("AccountCreated", &account).await, "done");
    let members = json!({"mac": "3c:22:fb:01:02:03", "account_id": other});
    service.told(service.event("device_event_new_device", "d-1", &members)).await;
    let accounts = service.published().await.into_iter();
    let accounts: Vec<_> = accounts.map(|it| it.1.json().unwrap()["account_id"].clone()).collect();
    assert_eq!(accounts, [json!(other), json!(other)]);
}
