//! Make the backend hold an ISP's LAN protection and advanced configuration.

use events::SystemConfiguration;
use hs_admin::SystemDocument;

use super::{Request, Result, put_document::put_document};
use crate::{app::App, domain::general};

/// Makes the backend hold an ISP's LAN protection and advanced configuration.
///
/// # Errors
/// The record waits.
pub async fn apply_system(app: &App, request: &Request, system: &SystemConfiguration) -> Result {
    let at = (&system.isp_id, SystemDocument::General);
    put_document(app, request, at, system.revision, &general(system)).await
}
