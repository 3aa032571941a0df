//! A router has reported which software it has installed, or could not install.

use events::RouterAgentReported;

use crate::{
    app::App,
    application::{Effect, Failure},
    infrastructure::store::Written,
};

/// Stores what a router reports, also where it is not known yet: events of homes may be ahead of their provisioning.
///
/// # Errors
/// The store failed, or the router is another ISP's.
pub async fn save_report(app: &App, said: &RouterAgentReported) -> Result<Effect, Failure> {
    let known = app.store.devices.find(std::slice::from_ref(&said.device_id)).await?.pop();
    if let Some(owner) = known.map(|it| it.isp_id).filter(|it| *it != said.isp_id) {
        let (router, isp_id) = (&said.device_id, &said.isp_id);
        let why = format!("`{isp_id}` speaks of router `{router}` of `{owner}`");
        return Err(Failure::TenantMismatch(why));
    }
    Ok(match app.store.reports.save(said).await? {
        Written::Yes => Effect::Applied,
        Written::Superseded => Effect::Superseded,
    })
}
