//! Who asks: a key that signs a token for each request, short-lived, so that nothing lasting ever travels.

use std::fs;

use anyhow::{Context as _, Result};
use auth::{Grant, SYNC_READ, SYNC_WRITE, Signer};

use super::server::Server;
use crate::Usage;

/// The service that the tokens are for.
const AUDIENCE: &str = "rssync";

/// What a request needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rights {
    /// To look at jobs.
    Read,
    /// To start and steer them too.
    Write,
}

/// Who asks.
pub(crate) struct Credentials {
    signer: Signer,
    subject: String,
}

impl Credentials {
    /// Reads the key. What is wrong with it is told without any of it.
    pub(crate) fn read(server: &Server) -> Result<Self> {
        let wrong = |why: &str| Usage(format!("{}: {why}", server.key.display()));
        let pem = fs::read_to_string(&server.key).map_err(|err| wrong(&err.to_string()))?;
        let signer = Signer::new(&server.issuer, &pem)
            .map_err(|_| wrong("no Ed25519 private key as PKCS #8 in PEM"))?;
        Ok(Self { signer, subject: server.subject.clone() })
    }

    /// A token for one request.
    pub(crate) fn token(&self, rights: Rights) -> Result<String> {
        let scopes: &[&str] = match rights {
            Rights::Read => &[SYNC_READ],
            Rights::Write => &[SYNC_READ, SYNC_WRITE],
        };
        let grant = Grant { audience: AUDIENCE, subject: &self.subject, isp_id: None, scopes };
        self.signer.token(&grant).context("sign a token")
    }
}
