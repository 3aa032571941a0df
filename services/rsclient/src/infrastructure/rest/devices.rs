//! Devices: what holds for one and who decided so, and where it is on its way.

use auth::{Caller, RS_READ};
use axum::extract::{
    Path, Query, State,
    rejection::{PathRejection, QueryRejection},
};
use events::{AccountId, Action, DeviceId, DeviceKind, EffectiveDevice, IspId, Revision, Text};
use jiff::Timestamp;
use openapi::{
    refusals::{Always, Invalid, NotFound},
    schema::{self, Id},
};
use problem::{Json, Kind, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Served;
use crate::{
    app::App,
    application::{Explanation, Failure, explain_device, trace_device},
    domain::{ExplainedRule, FilteringNow, Provenance, Trace},
};

/// The routes, without what they reach for.
pub(super) fn described() -> OpenApiRouter<Served> {
    OpenApiRouter::new().routes(routes!(effective)).routes(routes!(trace))
}

/// Whose device is meant. A device has one owner, so this only makes sure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    isp_id: Option<IspId>,
}

/// What holds for a device and why, or why nothing does.
#[derive(Debug, Serialize, ToSchema)]
struct Effective {
    #[schema(value_type = schema::Id)]
    device_id: DeviceId,
    #[schema(value_type = schema::Id)]
    isp_id: IspId,
    #[schema(value_type = schema::Id)]
    account_id: AccountId,
    #[schema(value_type = Option<schema::DeviceKind>)]
    kind: Option<DeviceKind>,
    #[schema(value_type = Option<schema::Text>)]
    name: Option<Text>,
    /// Whether it is served.
    live: bool,
    /// Why it is not served; nothing where it is.
    pending: Option<NotServed>,
    /// The revision of what holds.
    #[schema(value_type = schema::Revision)]
    revision: Revision,
    /// What holds, as it is published; nothing where the device is not served.
    #[schema(value_type = Option<schema::Configuration>)]
    configuration: Option<EffectiveDevice>,
    /// Who decided about each leaf of it.
    provenance: Vec<Provenance>,
    /// Its rules, each with what it overrules.
    rules: Vec<ExplainedRule>,
    /// Whether content is filtered at the moment.
    filtering_now: Option<Filtering>,
    /// A command that has not gone out yet.
    #[schema(value_type = Option<schema::Action>)]
    pending_action: Option<Action>,
}

#[derive(Debug, Serialize, ToSchema)]
struct NotServed {
    reason: &'static str,
    why: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct Filtering {
    active: bool,
    /// The schedule that makes it so.
    #[schema(value_type = Option<schema::Text>)]
    schedule: Option<Text>,
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
}

impl From<FilteringNow> for Filtering {
    fn from(FilteringNow { active, schedule }: FilteringNow) -> Self {
        let (schedule, until) = schedule.map(|(it, until)| (it.name, until)).unzip();
        Self { active, schedule, until }
    }
}

impl From<Explanation> for Effective {
    fn from(Explanation { device, explained }: Explanation) -> Self {
        let pending = explained.as_ref().err();
        let pending = pending.map(|it| NotServed { reason: it.as_str(), why: it.sentence() });
        let (configuration, provenance, rules, filtering_now) = match explained {
            Ok(it) => (Some(it.configuration), it.provenance, it.rules, Some(it.filtering_now)),
            Err(_) => (None, Vec::new(), Vec::new(), None),
        };
        Self {
            device_id: device.id,
            isp_id: device.isp_id,
            account_id: device.account_id,
            kind: device.state.as_ref().map(|it| it.kind),
            name: device.state.map(|it| it.name),
            live: configuration.is_some(),
            pending,
            revision: device.rs_revision,
            configuration,
            provenance,
            rules,
            filtering_now: filtering_now.map(Filtering::from),
            pending_action: device.pending_action,
        }
    }
}

/// What holds for a device, and for each leaf who decided so and what the others said.
#[utoipa::path(
    get,
    path = "/devices/{device_id}/effective",
    tag = "devices",
    params(
        ("device_id" = Id, Path, description = "The device."),
        ("isp_id" = Option<Id>, Query, description = "Its ISP; any other than the caller's own is unknown."),
    ),
    responses(
        (status = 200, description = "What holds, or why nothing does.", body = Effective), Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
async fn effective(
    State(app): State<App>,
    caller: Caller,
    device_id: Result<Path<String>, PathRejection>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Effective>, Problem> {
    let (device_id, isp_id) = asked(&caller, device_id, wanted)?;
    let explained = explain_device(&app, &caller, isp_id.as_ref(), &device_id).await;
    Ok(Json(explained.map_err(|it| it.problem())?.into()))
}

/// Where a device is on its way from the ISP to the backend.
///
/// Whoever is asked and does not answer leaves a member `unknown` that says why.
#[utoipa::path(
    get,
    path = "/devices/{device_id}/trace",
    tag = "devices",
    params(
        ("device_id" = Id, Path, description = "The device."),
        ("isp_id" = Option<Id>, Query, description = "Its ISP; any other than the caller's own is unknown."),
    ),
    responses(
        (status = 200, description = "All that is known.", body = Trace), Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
async fn trace(
    State(Served { app, witnesses }): State<Served>,
    caller: Caller,
    device_id: Result<Path<String>, PathRejection>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Trace>, Problem> {
    let (device_id, isp_id) = asked(&caller, device_id, wanted)?;
    let traced = trace_device(&app, &witnesses, &caller, isp_id.as_ref(), &device_id).await;
    traced.map(Json).map_err(|it| it.problem())
}

/// Which device is asked for, by somebody who may ask. What cannot be a device's id is the id of none.
fn asked(
    caller: &Caller,
    device_id: Result<Path<String>, PathRejection>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<(DeviceId, Option<IspId>), Problem> {
    caller.require(RS_READ)?;
    let Query(Wanted { isp_id }) =
        wanted.map_err(|it| Problem::new(Kind::Invalid, it.body_text()))?;
    let id = device_id.ok().and_then(|it| it.parse().ok());
    Ok((id.ok_or_else(|| Failure::NoSuch(Vec::new()).problem())?, isp_id))
}
