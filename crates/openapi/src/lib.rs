//! REST APIs as OpenAPI 3.1 documents that are made from the code that serves them.
//!
//! - [`document`]: what the documents of all services have in common
//! - [`served`]: the routes with `/openapi.json` and `/docs` beside them
//! - [`schema`]: values of the fleet's words, as the documents describe them
//! - [`refusals`]: the problems that routes answer with

mod page;
pub mod refusals;
pub mod schema;

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

/// The name of the one way to say who calls.
pub const BEARER: &str = "bearer";

/// The document of a service before it has any routes.
pub fn document(service: &str, description: &str) -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title(service)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(license));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "Signed with EdDSA; lives for five minutes at the most; `aud` is the service's name. \
             The scopes of an operation stand beside it.",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .schema_from::<refusals::Problem>()
        .schema_from::<refusals::WrongMember>()
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build();
    OpenApiBuilder::new().info(info.build()).components(Some(components)).build()
}

/// The routes, and beside them `/openapi.json` and `/docs`, which nobody needs a token for.
pub fn served<S: Clone + Send + Sync + 'static>(router: OpenApiRouter<S>) -> Router<S> {
    let (router, api) = router.split_for_parts();
    let json: Arc<str> = text(&api).into();
    let page: Arc<str> = page::of(&api).into();
    let document = move || async move {
        ([(header::CONTENT_TYPE, "application/json")], json.to_string()).into_response()
    };
    let docs = move || async move { Html(page.to_string()).into_response() };
    router.route("/openapi.json", get(document)).route("/docs", get(docs))
}

/// The document as it is served and kept.
pub fn text(api: &OpenApi) -> String {
    let text = serde_json::to_string_pretty(api);
    text.expect("a document has text keys and no other way to fail") + "\n"
}
