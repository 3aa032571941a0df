//! What an ISP says for all of its accounts, at rest.

use events::{IspConfiguration, IspId, Revision, Rules, Services};
use serde::{Deserialize, Serialize};

/// The service configuration of an ISP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The tenant, which is the entity.
    #[serde(rename = "_id")]
    pub isp_id: IspId,
    /// The highest revision that was seen of it.
    pub revision: Revision,
    /// What the ISP says of the services.
    pub services: Option<Services>,
    /// What the ISP allows and blocks.
    pub rules: Option<Rules>,
}

impl From<&IspConfiguration> for Configuration {
    fn from(said: &IspConfiguration) -> Self {
        Self {
            isp_id: said.isp_id.clone(),
            revision: said.revision,
            services: said.services.clone(),
            rules: said.rules.clone(),
        }
    }
}
