//! Whom a trace asks: every rsadaptor, and the dead letters on the broker.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use auth::{Grant, INTERNAL, Signer};
use eventbus::{
    EventBusFactory, dlq_headers as names,
    letters::{DeadLetters, Letter},
};
use events::{
    AccountId, DeviceId, HttpUrl, ProvisioningEvent, Revision, RsProvisioningEvent,
    TopicEvent as _, topics::dead_letter_topic,
};
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{
    SERVICE,
    domain::{Applied, Backend, Circuit, DeadLetter, Rejected, SetAside, WaitingRecord},
    settings::Settings,
};

/// The service that is asked, which is the audience of the tokens.
const ADAPTOR: &str = "rsadaptor";
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Whom a trace asks. Cheap to clone.
#[derive(Clone)]
pub struct Witnesses {
    client: reqwest::Client,
    /// What signs our tokens; nothing where there is no key.
    signer: Option<Signer>,
    adaptors: Vec<Url>,
    dead_letters: DeadLetters,
}

/// What an rsadaptor says of a resource.
#[derive(Debug, Deserialize)]
struct Resource {
    applied: Option<Applied>,
    waiting: Vec<WaitingRecord>,
    circuit: Option<Circuit>,
    last_rejection: Option<Rejected>,
}

impl Witnesses {
    /// Whom the settings name.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(settings: &Settings, factory: &EventBusFactory) -> anyhow::Result<Self> {
        chassis::tls::install_provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(settings.peers.timeout_seconds))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("peers: no client of HTTP")?;
        let addresses = settings.peers.rsadaptor_urls.split(',').map(str::trim);
        let adaptors = addresses.filter(|it| !it.is_empty()).map(|it| {
            let url = HttpUrl::try_from(it.to_owned()).context("peers.rsadaptor_urls")?;
            url.as_str().parse().context("peers.rsadaptor_urls: no address")
        });
        let adaptors = adaptors.collect::<anyhow::Result<Vec<Url>>>()?;
        let signer = settings.signing.signer()?;
        let dead_letters = factory.dead_letters(settings.dead_letters)?;
        Ok(Self { client, signer, adaptors, dead_letters })
    }

    /// What the backend holds of a device and what is in its way, as all of rsadaptor's processes together know it:
    /// each knows only of the records that it handles itself.
    pub async fn backend(&self, device_id: &DeviceId) -> Backend {
        let answers = join_all(self.adaptors.iter().map(|it| self.resource(it, device_id))).await;
        let mut backend = Backend::default();
        if answers.is_empty() {
            backend.unknown = Some("there is no rsadaptor to ask".to_owned());
        }
        let mut silent = 0;
        for answer in answers {
            match answer {
                Ok(resource) => backend.add(resource),
                Err(error) => {
                    // Where they are is nobody's business but the operator's.
                    tracing::warn!(error = format!("{error:#}"), "rsadaptor could not be asked");
                    silent += 1;
                }
            }
        }
        if silent > 0 {
            let all = self.adaptors.len();
            backend.unknown = Some(format!("{silent} of {all} rsadaptors could not be asked"));
        }
        backend
    }

    async fn resource(&self, base: &Url, device_id: &DeviceId) -> anyhow::Result<Resource> {
        let signer = self.signer.as_ref().context("signing.private_key is not set")?;
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("the address of {ADAPTOR} has no path"))?
            .pop_if_empty()
            .extend(["resources", device_id.as_str()]);
        let grant =
            Grant { audience: ADAPTOR, subject: SERVICE, isp_id: None, scopes: &[INTERNAL] };
        let asked = self.client.get(url).bearer_auth(signer.token(&grant)?).send().await;
        let mut answer =
            asked.map_err(|_| anyhow::anyhow!("{ADAPTOR} at {base} does not answer"))?;
        let status = answer.status();
        ensure!(status == StatusCode::OK, "{ADAPTOR} at {base} answers {status}");
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.context("an answer that breaks off")? {
            let bytes = body.len() + chunk.len();
            ensure!(bytes <= ANSWER_BYTES_MAX, "{ADAPTOR} at {base} answers too much");
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body)
            .with_context(|| format!("{ADAPTOR} at {base} answers something else than a resource"))
    }

    /// What was set aside of a device, by us and by rsadaptor.
    pub async fn dead_lettered(&self, device_id: &DeviceId, account_id: &AccountId) -> SetAside {
        let (ours, theirs) = (ProvisioningEvent::topic().name, RsProvisioningEvent::topic().name);
        let (ours, theirs) = tokio::join!(
            self.set_aside(ours, SERVICE, account_id.as_str(), device_id),
            self.set_aside(theirs, ADAPTOR, device_id.as_str(), device_id),
        );
        let items = ours.items.into_iter().chain(theirs.items).collect();
        SetAside { items, unknown: ours.unknown.or(theirs.unknown) }
    }

    async fn set_aside(
        &self,
        topic: &str,
        group: &'static str,
        key: &str,
        device_id: &DeviceId,
    ) -> SetAside {
        let found = match self.dead_letters.of_key(topic, group, key).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, group, "dead letters could not be looked for");
                let unknown = format!("the dead letters of {group} could not be read");
                return SetAside { items: Vec::new(), unknown: Some(unknown) };
            }
        };
        let topic = dead_letter_topic(topic, group);
        let items = found.open.iter().filter_map(|it| dead_letter(it, &topic, group, device_id));
        let unknown = (!found.complete).then(|| format!("only the end of {topic} was read"));
        SetAside { items: items.collect(), unknown }
    }
}

impl Backend {
    fn add(&mut self, said: Resource) {
        let Resource { applied, waiting, circuit, last_rejection } = said;
        // It comes from the one store of them all; whoever was asked last knows best.
        self.applied = applied.or(self.applied.take());
        self.waiting.extend(waiting);
        self.circuit = circuit.filter(|it| it.state != "closed").or(self.circuit.take());
        let newer = |it: &Rejected| {
            self.rejected
                .as_ref()
                .is_none_or(|held| (held.revision, held.at) < (it.revision, it.at))
        };
        if let Some(rejection) = last_rejection.filter(newer) {
            self.rejected = Some(rejection);
        }
    }
}

/// A dead letter, where it is about this device: the key may be that of its whole household.
fn dead_letter(
    letter: &Letter,
    topic: &str,
    group: &'static str,
    device_id: &DeviceId,
) -> Option<DeadLetter> {
    let said: Value = letter.value().and_then(|it| serde_json::from_slice(it).ok())?;
    let is_it = |it: &&Value| it["device_id"] == device_id.as_str();
    let device =
        Some(&said).filter(is_it).or_else(|| said["devices"].as_array()?.iter().find(is_it))?;
    Some(DeadLetter {
        group,
        topic: topic.to_owned(),
        partition: letter.place.partition,
        offset: letter.place.offset,
        event: letter.text("ce_type"),
        revision: device["revision"].as_u64().and_then(|it| Revision::try_from(it).ok()),
        error: letter.text(names::ERROR),
        failed_at: letter.failed_at(),
    })
}
