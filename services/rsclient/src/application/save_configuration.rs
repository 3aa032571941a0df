//! An ISP's configuration was created or updated.

use events::IspConfiguration;

use crate::{
    app::App,
    application::{Cause, Effect, Failure, publish_devices_of},
    infrastructure::store::{DevicesOf, Written},
};

/// Stores what an ISP says for all of its accounts and publishes all of its devices, in bounded batches. A crash
/// in the middle repeats it from the beginning.
///
/// # Errors
/// The store or the bus failed.
pub async fn save_configuration(
    app: &App,
    cause: &Cause,
    configuration: &IspConfiguration,
) -> Result<Effect, Failure> {
    match app.store.configurations.save(configuration).await? {
        Written::Superseded => Ok(Effect::Superseded),
        Written::Yes => {
            publish_devices_of(app, cause, &configuration.isp_id, DevicesOf::Isp).await?;
            Ok(Effect::Applied)
        }
    }
}
