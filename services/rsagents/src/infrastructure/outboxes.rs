//! What people change is told to the others.

use std::time::Duration;

use chassis::CancellationToken;
use eventbus::{EventBusMessage, EventBusProducer, Origin};
use events::RequestId;
use mongodb::Database;
use outbox::Outbox;

use super::store::{DEFAULTS, LISTS, PACKAGES};
use crate::{
    SOURCE,
    domain::{AgentList, Defaults, OfIsp, Package},
};

/// What stands before the key in the requests of packages that are told without a sync: no job has this name.
pub const LIVE: &str = "rsagents~live";

/// The documents that requests change, each with how it is told.
#[derive(Clone, Debug)]
pub struct Outboxes {
    /// Packages.
    pub packages: Outbox<Package>,
    /// What routers may be pointed at.
    pub lists: Outbox<AgentList>,
    /// What models run by default.
    pub defaults: Outbox<Defaults>,
}

impl Outboxes {
    /// Makes the indexes that find what is untold.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn open(
        database: &Database,
        bus: &EventBusProducer,
    ) -> Result<Self, mongodb::error::Error> {
        let list = |it: &AgentList| {
            let entity = OfIsp::List(it.isp_id.clone()).to_string();
            let origin = Origin::State { entity: &entity, revision: it.revision };
            vec![EventBusMessage::new(&it.event(), SOURCE, origin)]
        };
        let defaults = |it: &Defaults| {
            let entity = OfIsp::Defaults(it.isp_id.clone()).to_string();
            let origin = Origin::State { entity: &entity, revision: it.revision };
            vec![EventBusMessage::new(&it.event(), SOURCE, origin)]
        };
        let packages =
            Outbox::open(database, PACKAGES, bus.clone(), |it: &Package| vec![message(it)]);
        let lists = Outbox::open(database, LISTS, bus.clone(), list);
        let defaults = Outbox::open(database, DEFAULTS, bus.clone(), defaults);
        Ok(Self { packages: packages.await?, lists: lists.await?, defaults: defaults.await? })
    }

    /// Looks `every` so often for what is untold and tells it, until `stop`.
    pub async fn relay_until(&self, every: Duration, stop: &CancellationToken) {
        tokio::join!(
            self.packages.relay_until(every, stop),
            self.lists.relay_until(every, stop),
            self.defaults.relay_until(every, stop),
        );
    }
}

/// A package, to be answered: what the backend says of it decides whether it is listed.
fn message(package: &Package) -> EventBusMessage {
    let state = &package.package;
    let id = state.agent_package_id.as_str();
    let origin = Origin::State { entity: id, revision: state.revision };
    let mut message = EventBusMessage::new(&package.event(), SOURCE, origin);
    message.attributes.tenant = Some(state.isp_id.clone());
    let request_id: Result<RequestId, _> = format!("{LIVE}/{id}").parse();
    message.attributes.request_id = request_id.ok();
    message
}
