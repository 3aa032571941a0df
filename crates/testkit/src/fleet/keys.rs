//! Who signs tokens in a fleet, and whom its services trust.

use std::sync::Arc;

use anyhow::Result;

use super::Service;
use crate::tokens::Issuer;

/// The keys of one fleet.
#[derive(Debug)]
pub(super) struct Keys {
    /// Whoever runs the fleet.
    pub(super) operators: Arc<Issuer>,
    /// rssync, for its calls of others.
    rssync: Issuer,
    /// rsclient, for its calls of rsadaptor.
    rsclient: Issuer,
    /// rsagents, for its calls of rsclient.
    rsagents: Issuer,
    /// Whoever makes agent packages.
    pub(super) maker: Issuer,
}

impl Keys {
    pub(super) fn new() -> Result<Self> {
        let issuer = Issuer::new;
        let operators = Arc::new(issuer("operators")?);
        Ok(Self {
            operators,
            rssync: issuer("rssync")?,
            rsclient: issuer("rsclient")?,
            rsagents: issuer("rsagents")?,
            maker: issuer("maker")?,
        })
    }

    /// What a service must be told of them, named without its prefix.
    pub(super) fn settings_of(&self, service: Service) -> Vec<(String, String)> {
        match service {
            Service::Simulator | Service::RsEvents => Vec::new(),
            Service::RsAdaptor => trusted(&self.rsclient, "internal"),
            Service::RsAgents => {
                let mut settings = trusted(&self.rssync, "internal");
                settings.extend(trusted(&self.operators, "rs:read rs:write"));
                settings.extend(signing(&self.rsagents));
                let name = "PACKAGES__KEYS__MAKER__PUBLIC_KEY".to_owned();
                settings.push((name, self.maker.public_key_pem()));
                settings
            }
            Service::RsClient => {
                let mut settings = trusted(&self.rssync, "internal");
                settings.extend(trusted(&self.rsagents, "internal"));
                settings.extend(trusted(&self.operators, "rs:read rs:write"));
                settings.extend(signing(&self.rsclient));
                settings
            }
            Service::RsSync => {
                let mut settings = trusted(&self.operators, "sync:read sync:write");
                settings.extend(signing(&self.rssync));
                settings
            }
        }
    }
}

/// The key with which a service signs its own tokens.
fn signing(own: &Issuer) -> [(String, String); 2] {
    let own = [("ISSUER", own.name().to_owned()), ("PRIVATE_KEY", own.private_key_pem())];
    own.map(|(name, value)| (format!("SIGNING__{name}"), value))
}

/// One key whose tokens are taken.
fn trusted(issuer: &Issuer, scopes: &str) -> Vec<(String, String)> {
    let members = [
        ("ISSUER", issuer.name().to_owned()),
        ("PUBLIC_KEY", issuer.public_key_pem()),
        ("SCOPES", scopes.to_owned()),
        ("ISP_OPTIONAL", "true".to_owned()),
    ];
    let table = format!("AUTH__KEYS__{}", issuer.name().to_uppercase());
    members.into_iter().map(|(name, value)| (format!("{table}__{name}"), value)).collect()
}
