//! Which requests are well formed: paths and bodies, strictly.

use events::{AgentPackageId, DeviceId, IspId, Revision};
use hs_admin::{
    AgentPackage, BATCH_ITEMS_MAX, BatchItem, DeviceConfiguration, DeviceIdentity, FeatureFlags,
    Resource, RouterConfiguration, SystemAgentDefault, SystemAgentVersions, SystemDocument,
    SystemGeneral, SystemRouterAllowedIP, SystemRouterDNS,
};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned, ser::Error as _};
use serde_json::{Value, value::RawValue};

use crate::domain::{Checked, Document, Refusal, Resident, Role};

/// A body that may be malformed otherwise, if it is JSON at all.
pub(in crate::infrastructure) fn read(body: &[u8]) -> Option<Document> {
    Some(as_document(&serde_json::from_slice::<Box<RawValue>>(body).ok()?))
}

fn as_document(raw: &RawValue) -> Document {
    Document::new(raw.get())
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.as_str().to_owned()).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The resource that lives at a path.
///
/// # Errors
/// No resource lives there, or the id is none.
pub(in crate::infrastructure) fn resource(path: &str) -> Result<Resource, Refusal> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["devices", id] => Ok(Resource::Device(parse_id(id)?)),
        ["routers", id] => Ok(Resource::Router(parse_id(id)?)),
        ["routers", id, "feature-flags"] => Ok(Resource::FeatureFlags(parse_id(id)?)),
        ["agent-packages", id] => Ok(Resource::AgentPackage(parse_id::<AgentPackageId>(id)?)),
        ["system", isp_id, name] => {
            let document = SystemDocument::ALL.into_iter().find(|it| it.as_str() == *name);
            let document = document.ok_or_else(|| Refusal::not_found("no such document"))?;
            Ok(Resource::System(parse_id::<IspId>(isp_id)?, document))
        }
        _ => Err(Refusal::not_found("no such resource")),
    }
}

/// Accepts a body that is exactly what the resource holds.
///
/// # Errors
/// A member is missing, unknown or malformed, or the id is not the one of the path.
pub(in crate::infrastructure) fn check(
    resource: &Resource,
    body: &[u8],
) -> Result<Checked, Refusal> {
    let resident = match resource {
        Resource::Device(id) => {
            let configuration: DeviceConfiguration = parse_model(body)?;
            same_id(id.as_str(), configuration.device.id.as_str())?;
            Some(resident(configuration.device, Role::Device))
        }
        Resource::Router(id) => {
            let configuration: RouterConfiguration = parse_model(body)?;
            same_id(id.as_str(), configuration.device.id.as_str())?;
            let role = Role::Router { target: configuration.target_agent_package };
            Some(resident(configuration.device, role))
        }
        Resource::FeatureFlags(_) => parse_model::<FeatureFlags>(body).map(|_| None)?,
        Resource::AgentPackage(id) => {
            let package: AgentPackage = parse_model(body)?;
            same_id(id.as_str(), package.id.as_str())?;
            None
        }
        Resource::System(_, document) => check_system(*document, body).map(|()| None)?,
    };
    Ok(Checked { document: document(body)?, resident })
}

fn resident(device: DeviceIdentity, role: Role) -> Resident {
    let DeviceIdentity { id, isp_id, account_id, mac, .. } = device;
    Resident { id, isp_id, account_id, mac, role }
}

/// Takes a body of `POST /devices` apart: one device, or a list of items of which each stands for itself.
///
/// # Errors
/// The body is neither, or too long a list. A bad item is an error of its own.
pub(super) fn batch(body: &[u8]) -> Result<Vec<Result<Upsert, Refusal>>, Refusal> {
    if !body.trim_ascii_start().starts_with(b"[") {
        let configuration: DeviceConfiguration = parse_model(body)?;
        let upsert = upsert(configuration.device, None, document(body)?);
        return Ok(vec![Ok(upsert)]);
    }
    let items: Vec<Box<RawValue>> = parse(body)?;
    if items.len() > BATCH_ITEMS_MAX {
        return Err(Refusal::new(413, "too_many_items", "a batch has at most 500 items"));
    }
    Ok(items.iter().map(|it| batch_item(it)).collect())
}

/// One device of a batch.
#[derive(Clone, Debug)]
pub(super) struct Upsert {
    /// Which device.
    pub(super) id: DeviceId,
    /// The item's own revision; a device that comes alone has it in the header.
    pub(super) revision: Option<Revision>,
    /// What the device is to be.
    pub(super) checked: Checked,
}

fn batch_item(item: &RawValue) -> Result<Upsert, Refusal> {
    #[derive(Deserialize)]
    struct RawItem {
        configuration: Box<RawValue>,
    }
    let BatchItem { revision, configuration } = parse_model(item.get().as_bytes())?;
    let raw: RawItem = parse(item.get().as_bytes())?;
    Ok(upsert(configuration.device, Some(revision), as_document(&raw.configuration)))
}

fn upsert(device: DeviceIdentity, revision: Option<Revision>, document: Document) -> Upsert {
    let resident = resident(device, Role::Device);
    Upsert {
        id: resident.id.clone(),
        revision,
        checked: Checked { document, resident: Some(resident) },
    }
}

fn check_system(document: SystemDocument, body: &[u8]) -> Result<(), Refusal> {
    match document {
        SystemDocument::RouterDns => parse_model::<SystemRouterDNS>(body).map(drop),
        SystemDocument::RouterAllowedIp => parse_model::<SystemRouterAllowedIP>(body).map(drop),
        SystemDocument::General => parse_model::<SystemGeneral>(body).map(drop),
        SystemDocument::AgentVersions => parse_model::<SystemAgentVersions>(body).map(drop),
        SystemDocument::AgentDefault => parse_model::<SystemAgentDefault>(body).map(drop),
    }
}

fn document(body: &[u8]) -> Result<Document, Refusal> {
    read(body).ok_or_else(|| Refusal::malformed("the body is no JSON"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(error.to_string()))
}

/// Reads a model that, written again, is what was received: a list of its members would read as well.
fn parse_model<T: DeserializeOwned + Serialize>(body: &[u8]) -> Result<T, Refusal> {
    let model: T = parse(body)?;
    // Most clients write the members in our order, too.
    if serde_json::to_vec(&model).is_ok_and(|it| it == body) {
        return Ok(model);
    }
    if serde_json::to_value(&model).ok() != Some(parse::<Value>(body)?) {
        return Err(Refusal::malformed("an object is written as something else"));
    }
    Ok(model)
}

fn parse_id<T: TryFrom<String>>(text: &str) -> Result<T, Refusal>
where
    T::Error: ToString,
{
    T::try_from(text.to_owned()).map_err(|error| Refusal::malformed(error.to_string()))
}

fn same_id(in_path: &str, in_body: &str) -> Result<(), Refusal> {
    if in_path != in_body {
        return Err(Refusal::malformed("the id in the path is not the id in the body"));
    }
    Ok(())
}
