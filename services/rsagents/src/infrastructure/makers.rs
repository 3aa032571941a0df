//! Who vouches for agent packages.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use auth::PublicKey;
use events::AgentPackage;

use crate::{domain::signed_text, settings::MakerKey};

/// The keys of those who make packages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Makers(Arc<[PublicKey]>);

impl Makers {
    /// Those whose keys are trusted.
    ///
    /// # Errors
    /// A key that is none.
    pub fn new(keys: &BTreeMap<String, MakerKey>) -> anyhow::Result<Self> {
        let keys = keys.iter().map(|(name, it)| {
            PublicKey::from_pem(&it.public_key)
                .with_context(|| format!("packages.keys.{name}.public_key cannot be used"))
        });
        Ok(Self(keys.collect::<anyhow::Result<_>>()?))
    }

    /// Whether any of them has signed a package.
    pub fn vouch_for(&self, package: &AgentPackage) -> bool {
        let text = signed_text(package);
        self.0.iter().any(|it| it.has_signed(text.as_bytes(), &package.signature))
    }
}
