//! An ISP's configuration was created or updated.

use events::IspConfiguration;

use crate::{
    app::App,
    application::{Effect, Failure, walk_isp},
    infrastructure::store::Written,
};

/// Stores what an ISP says for all of its accounts and starts the walk that publishes all of its devices.
///
/// # Errors
/// The store or the bus failed.
pub async fn save_configuration(
    app: &App,
    configuration: &IspConfiguration,
) -> Result<Effect, Failure> {
    match app.store.configurations.save(configuration).await? {
        Written::Superseded => Ok(Effect::Superseded),
        Written::Yes => {
            walk_isp(app, &configuration.isp_id).await?;
            Ok(Effect::Applied)
        }
    }
}
