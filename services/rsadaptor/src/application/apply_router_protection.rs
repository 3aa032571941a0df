//! Make the backend hold an ISP's router protection, which it holds in two documents.

use events::RouterProtection;
use hs_admin::SystemDocument;

use super::{Request, Result, put_document::put_document};
use crate::{
    app::App,
    domain::{router_allowed_ip, router_dns},
};

/// Makes the backend hold both halves of an ISP's router protection. The second one is put whatever becomes of the
/// first, unless that waits; a second run from the top finds the first one unchanged.
///
/// # Errors
/// The record waits.
pub async fn apply_router_protection(
    app: &App,
    request: &Request,
    protection: &RouterProtection,
) -> Result {
    let RouterProtection { isp_id, revision, .. } = protection;
    let (dns, ip) = (router_dns(protection), router_allowed_ip(protection));
    let at = |document| (isp_id, document);
    let first = put_document(app, request, at(SystemDocument::RouterDns), *revision, &dns).await?;
    let second =
        put_document(app, request, at(SystemDocument::RouterAllowedIp), *revision, &ip).await?;
    Ok(first.and(second))
}
