//! The names under which a sync asks for the documents of an ISP.

use events::IspId;

/// One of the documents that an ISP has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemDocument {
    /// Protection of its routers, with both lists.
    RouterProtection,
    /// LAN protection and advanced configuration.
    System,
}

impl SystemDocument {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::RouterProtection, Self::System];

    /// What the key of its request ends with. No id has a `~`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::RouterProtection => "~router-protection",
            Self::System => "~system",
        }
    }

    /// The key of the request for it.
    pub fn key(self, isp_id: &IspId) -> String {
        format!("{isp_id}{}", self.suffix())
    }

    /// Which document of which ISP a key asks for, where it asks for one.
    pub fn of_key(key: &str) -> Option<(Self, IspId)> {
        Self::ALL.into_iter().find_map(|it| {
            let isp_id = key.strip_suffix(it.suffix())?;
            Some((it, isp_id.parse().ok()?))
        })
    }
}

/// The entity that a key is about: what stands before a `~`.
pub fn entity_of_key(key: &str) -> &str {
    key.split_once('~').map_or(key, |(entity, _)| entity)
}
