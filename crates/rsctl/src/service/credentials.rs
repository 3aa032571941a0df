//! Who asks: a key that signs a token for each request, short-lived, so that nothing lasting ever travels.

use std::fs;

use anyhow::{Context as _, Result};
use auth::{Grant, RS_READ, RS_WRITE, SYNC_READ, SYNC_WRITE, Signer};

use super::{Whom, server::Caller};
use crate::Usage;

/// What a request needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rights {
    /// To look.
    Read,
    /// To start and steer, too.
    Write,
}

/// Who asks.
pub(crate) struct Credentials {
    whom: Whom,
    signer: Signer,
    subject: String,
}

impl Credentials {
    /// Reads the key. What is wrong with it is told without any of it.
    pub(crate) fn read(whom: Whom, caller: &Caller) -> Result<Self> {
        let wrong = |why: &str| Usage(format!("{}: {why}", caller.key.display()));
        let pem = fs::read_to_string(&caller.key).map_err(|err| wrong(&err.to_string()))?;
        let signer = Signer::new(&caller.issuer, &pem)
            .map_err(|_| wrong("no Ed25519 private key as PKCS #8 in PEM"))?;
        Ok(Self { whom, signer, subject: caller.subject.clone() })
    }

    /// A token for one request.
    pub(crate) fn token(&self, rights: Rights) -> Result<String> {
        let scopes: &[&str] = match (self.whom, rights) {
            (Whom::Rssync, Rights::Read) => &[SYNC_READ],
            (Whom::Rssync, Rights::Write) => &[SYNC_READ, SYNC_WRITE],
            (Whom::Rsclient, Rights::Read) => &[RS_READ],
            (Whom::Rsclient, Rights::Write) => &[RS_READ, RS_WRITE],
        };
        let audience = self.whom.name();
        let grant = Grant { audience, subject: &self.subject, isp_id: None, scopes };
        self.signer.token(&grant).context("sign a token")
    }
}
