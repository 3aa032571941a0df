//! Rollouts: started, listed, shown, steered.

use auth::{Caller, RS_READ, RS_WRITE};
use axum::{
    extract::{FromRequestParts, Path, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use events::{AgentPackageId, IspId, JobId, Text};
use openapi::{
    refusals::{Always, Conflict, Invalid, NotFound},
    schema,
};
use problem::{Json, Kind, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Served,
    asked::{Named, asks},
    body::Body,
    shown_rollout::Shown,
};
use crate::{
    app::App,
    application::{
        Failure, WantedRollout, find_rollout, list_rollouts, start_rollout, steer_rollout,
    },
    domain::{Group, Plan, Steer},
};

/// Items of a page where the caller does not say how many.
const PAGE_ITEMS: usize = 50;
/// The most that a caller may say.
const PAGE_ITEMS_MAX: usize = 500;

/// What is needed of a body is there where nothing is wrong with it.
const NEEDED: &str = "a body without a fault has what is needed";

/// The routes, without what they reach for.
pub(super) fn described() -> OpenApiRouter<Served> {
    OpenApiRouter::new().routes(routes!(start, list)).routes(routes!(show, steer))
}

/// The body of `POST /subsystems/rs/rollouts`.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "it is read member by member, so that all that is wrong is told at once"
)]
struct StartBody {
    /// Routers of this model ...
    #[schema(value_type = schema::Text)]
    model: Text,
    /// ... that follow this version; without it, those of the model that no version leads elsewhere.
    #[schema(value_type = Option<schema::Text>)]
    target_version: Option<Text>,
    /// The package that they run.
    #[schema(value_type = schema::Id)]
    from: AgentPackageId,
    /// The package that they are to run.
    #[schema(value_type = schema::Id)]
    to: AgentPackageId,
    /// To how many of a thousand routers each wave raises the share. What is left out here and below is as the service's
    /// settings have it.
    #[schema(min_items = 1, max_items = 20, example = json!([10, 100, 500, 1000]))]
    waves_per_mille: Option<Vec<u16>>,
    /// A wave is done when so many of a thousand of its routers report that they have installed the package ...
    #[schema(maximum = 1000)]
    success_per_mille: Option<u16>,
    /// ... and have not come to more failures than so many of a thousand after ...
    #[schema(maximum = 1000)]
    error_per_mille: Option<u16>,
    /// ... so many seconds.
    soak_seconds: Option<u64>,
    /// After so many seconds a wave that is not done pauses the rollout.
    wave_seconds: Option<u64>,
    /// After so many seconds a rollout that is not complete is aborted.
    rollout_seconds: Option<u64>,
}

/// The body of `POST /subsystems/rs/rollouts/{rollout_id}`.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "it is read member by member, so that all that is wrong is told at once"
)]
struct SteerBody {
    action: Action,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(
    dead_code,
    reason = "it is read member by member, so that all that is wrong is told at once"
)]
enum Action {
    Pause,
    Resume,
    Abort,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    items: Vec<Shown>,
    /// Where the next page begins, as `cursor`; nothing on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<JobId>,
}

/// Who looks at rollouts; of which ISP, where it is named.
struct Looks(Caller, Option<IspId>);

/// Who starts or steers them.
struct Steers(Caller, Option<IspId>);

/// Who looks at a page of them.
struct Pages(Caller, Option<IspId>, PageWanted);

/// Which page is asked for. An option without a value counts as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageWanted {
    isp_id: Option<String>,
    cursor: String,
    limit: String,
}

impl FromRequestParts<Served> for Looks {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Response> {
        let (caller, named): (_, Named) = asks(parts, served, RS_READ).await?;
        let isp_id = named.of(&caller).map_err(IntoResponse::into_response)?;
        Ok(Self(caller, isp_id))
    }
}

impl FromRequestParts<Served> for Steers {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Response> {
        let (caller, named): (_, Named) = asks(parts, served, RS_WRITE).await?;
        let isp_id = named.of(&caller).map_err(IntoResponse::into_response)?;
        Ok(Self(caller, isp_id))
    }
}

impl FromRequestParts<Served> for Pages {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Response> {
        let (caller, mut wanted): (_, PageWanted) = asks(parts, served, RS_READ).await?;
        let named = Named::from(wanted.isp_id.take());
        let isp_id = named.of(&caller).map_err(IntoResponse::into_response)?;
        Ok(Self(caller, isp_id, wanted))
    }
}

/// Starts a rollout.
///
/// The routers that follow `from` are led to `to` in waves. One at a time is open for a model.
#[utoipa::path(
    post,
    path = "/subsystems/rs/rollouts",
    tag = "rollouts",
    params(Named),
    request_body(
        content = StartBody,
        examples(
            ("the routers of a model" = (value = json!({"model": "hg-8000", "from": "p-1", "to": "p-2"}))),
            ("those that follow a version, gently" = (value = json!({
                "model": "hg-9000", "target_version": "stable", "from": "p-1", "to": "p-2",
                "waves_per_mille": [5, 50, 250, 1000], "success_per_mille": 950, "error_per_mille": 10,
                "soak_seconds": 86400, "wave_seconds": 259200, "rollout_seconds": 2592000,
            }))),
        ),
    ),
    responses(
        (status = 201, description = "It is started.", body = Shown,
            headers(("Location" = String, description = "Where it is."))),
        Always, NotFound, Conflict, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
async fn start(
    State(app): State<App>,
    Steers(caller, named): Steers,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let isp_id = named.or_else(|| caller.isp_id.clone());
    let isp_id = isp_id.ok_or_else(|| Problem::new(Kind::Invalid, "isp_id must name the ISP"))?;
    let wanted = wanted_rollout(body, &app.rollouts.plan)?;
    let started = start_rollout(&app, &isp_id, wanted, &caller.subject).await;
    let rollout = started.map_err(|it| it.problem())?;
    let place = format!("/subsystems/rs/rollouts/{}", rollout.id);
    let place = HeaderValue::try_from(place).expect("an id has no characters that a header lacks");
    let mut response = (StatusCode::CREATED, Json(Shown::from(&rollout))).into_response();
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}

/// Lists rollouts, the newest first.
#[utoipa::path(
    get,
    path = "/subsystems/rs/rollouts",
    tag = "rollouts",
    params(
        Named,
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Most items."),
        ("cursor" = Option<String>, Query, description = "What `next` said on the page before."),
    ),
    responses((status = 200, description = "A page of them.", body = Page), Always, NotFound, Invalid),
    security(("bearer" = ["rs:read"])),
)]
async fn list(
    State(app): State<App>,
    Pages(caller, isp_id, wanted): Pages,
) -> Result<Json<Page>, Problem> {
    let invalid = |why: String| Problem::new(Kind::Invalid, why);
    let limit = match wanted.limit.as_str() {
        "" => Some(PAGE_ITEMS),
        it => it.parse().ok().filter(|it| (1..=PAGE_ITEMS_MAX).contains(it)),
    };
    let limit =
        limit.ok_or_else(|| invalid(format!("limit must be from 1 to {PAGE_ITEMS_MAX}")))?;
    let before: Option<JobId> = match wanted.cursor.as_str() {
        "" => None,
        it => Some(it.parse().map_err(|_| invalid("cursor must be what `next` said".to_owned()))?),
    };
    let page = list_rollouts(&app, &caller, isp_id.as_ref(), before.as_ref(), limit).await;
    let page = page.map_err(|it| it.problem())?;
    Ok(Json(Page { items: page.items.iter().map(Shown::from).collect(), next: page.next }))
}

/// Shows a rollout.
#[utoipa::path(
    get,
    path = "/subsystems/rs/rollouts/{rollout_id}",
    tag = "rollouts",
    params(Named, ("rollout_id" = schema::Id, Path, description = "The rollout.")),
    responses((status = 200, description = "The rollout as it is.", body = Shown), Always, NotFound, Invalid),
    security(("bearer" = ["rs:read"])),
)]
async fn show(
    State(app): State<App>,
    Looks(caller, isp_id): Looks,
    rollout_id: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    let id = of_path(rollout_id)?;
    let found = find_rollout(&app, &caller, isp_id.as_ref(), &id).await;
    found.map(|it| Json(Shown::from(&it))).map_err(|it| it.problem())
}

/// Pauses, resumes or aborts a rollout.
///
/// An abort leads the routers back that were moved.
#[utoipa::path(
    post,
    path = "/subsystems/rs/rollouts/{rollout_id}",
    tag = "rollouts",
    params(Named, ("rollout_id" = schema::Id, Path, description = "The rollout.")),
    request_body(
        content = SteerBody,
        examples(
            ("pause" = (value = json!({"action": "pause"}))),
            ("resume" = (value = json!({"action": "resume"}))),
        ),
    ),
    responses(
        (status = 204, description = "It will be done."), Always, NotFound, Conflict, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
async fn steer(
    State(app): State<App>,
    Steers(caller, isp_id): Steers,
    rollout_id: Result<Path<String>, PathRejection>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Problem> {
    let id = of_path(rollout_id)?;
    let mut body = Body::of(body)?;
    let action = body.required("action", action);
    let action = body.finish(action)?.expect(NEEDED);
    let steered = steer_rollout(&app, &caller, isp_id.as_ref(), &id, action).await;
    steered.map(|_| StatusCode::NO_CONTENT).map_err(|it| it.problem())
}

/// What cannot be a rollout's name is the name of none.
fn of_path(path: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    let id = path.ok().and_then(|it| it.0.parse().ok());
    id.ok_or_else(|| Failure::NoSuch(Vec::new()).problem())
}

fn wanted_rollout(body: Value, plan: &Plan) -> Result<WantedRollout, Problem> {
    let mut body = Body::of(body)?;
    let model = body.required("model", name);
    let target_version = body.optional("target_version", or_null(name)).flatten();
    let (from, to) = (body.required("from", package), body.required("to", package));
    let waves_per_mille = body.optional("waves_per_mille", or_null(shares)).flatten();
    let success_per_mille = body.optional("success_per_mille", or_null(share)).flatten();
    let error_per_mille = body.optional("error_per_mille", or_null(share)).flatten();
    let soak_seconds = body.optional("soak_seconds", or_null(seconds)).flatten();
    let wave_seconds = body.optional("wave_seconds", or_null(seconds)).flatten();
    let rollout_seconds = body.optional("rollout_seconds", or_null(seconds)).flatten();
    let plan = Plan {
        waves_per_mille: waves_per_mille.unwrap_or_else(|| plan.waves_per_mille.clone()),
        success_per_mille: success_per_mille.unwrap_or(plan.success_per_mille),
        error_per_mille: error_per_mille.unwrap_or(plan.error_per_mille),
        soak_seconds: soak_seconds.unwrap_or(plan.soak_seconds),
        wave_seconds: wave_seconds.unwrap_or(plan.wave_seconds),
        rollout_seconds: rollout_seconds.unwrap_or(plan.rollout_seconds),
    };
    if let Err(wrong) = plan.check() {
        wrong.0.into_iter().for_each(|(member, why)| body.refuse(member, why));
    }
    if from.is_some() && from == to {
        body.refuse("to", "must be another package than from");
    }
    let (model, from, to) = body.finish((model, from, to))?;
    let group = Group { model: model.expect(NEEDED), target_version };
    Ok(WantedRollout { group, from: from.expect(NEEDED), to: to.expect(NEEDED), plan })
}

fn name(value: &Value) -> Result<Text, &'static str> {
    const FORM: &str = "must be a text of 1 to 1024 characters";
    let text = value.as_str().filter(|it| !it.is_empty()).ok_or(FORM)?;
    Text::try_from(text.to_owned()).map_err(|_| FORM)
}

fn package(value: &Value) -> Result<AgentPackageId, &'static str> {
    let id = value.as_str().and_then(|it| it.parse().ok());
    id.ok_or("must be the id of a package")
}

fn share(value: &Value) -> Result<u16, &'static str> {
    let number = value.as_u64().and_then(|it| it.try_into().ok());
    number.ok_or("must be a number from 0 to 1000")
}

fn shares(value: &Value) -> Result<Vec<u16>, &'static str> {
    let list = value.as_array().ok_or("must be a list of numbers")?;
    list.iter().map(share).collect::<Result<_, _>>().map_err(|_| "must be a list of numbers")
}

fn seconds(value: &Value) -> Result<u64, &'static str> {
    value.as_u64().ok_or("must be a number of seconds")
}

fn action(value: &Value) -> Result<Steer, &'static str> {
    match value.as_str() {
        Some("pause") => Ok(Steer::Pause),
        Some("resume") => Ok(Steer::Resume),
        Some("abort") => Ok(Steer::Abort),
        Some(_) | None => Err("must be pause, resume or abort"),
    }
}

/// A value of a form of its own, or null.
fn or_null<T>(
    read: impl Fn(&Value) -> Result<T, &'static str>,
) -> impl Fn(&Value) -> Result<Option<T>, &'static str> {
    move |value| if value.is_null() { Ok(None) } else { read(value).map(Some) }
}
