//! Make the backend hold a document of an ISP: what the use cases about whole ISPs have in common.

use events::{IspId, Revision};
use hs_admin::SystemDocument;
use serde::Serialize;

use super::{Request, Result, fulfil::fulfil};
use crate::{
    app::App,
    domain::{Json, Kind, Subject, Want, Wish},
};

/// Makes the backend hold `model` as `document` of an ISP. Documents of ISPs are never deleted.
///
/// # Errors
/// The record waits.
pub(super) async fn put_document(
    app: &App,
    request: &Request,
    (isp_id, document): (&IspId, SystemDocument),
    revision: Revision,
    model: &impl Serialize,
) -> Result {
    let body = Json::of(model);
    let wish = Wish {
        isp_id: Some(isp_id.clone()),
        revision,
        want: Want::Body { kind: Kind::System, hash: body.hash(), body },
        spared: request.spared(),
        varies: false,
    };
    fulfil(app, request, Subject::System(isp_id, document), &wish).await
}
