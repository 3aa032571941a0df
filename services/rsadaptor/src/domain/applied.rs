//! The decision what to do about a record, given what is applied already.

use std::fmt;

use events::{DeviceKind, IspId, Revision};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Body;

/// What the backend holds of one device, as far as we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The tenant.
    pub isp_id: IspId,
    /// Which resource it is; of a tombstone: was last.
    pub kind: DeviceKind,
    /// The highest revision applied; 0 where none is, but an unfinished call may have left something.
    pub revision: Revision,
    /// What the backend holds; `None` when an unfinished call has left that open.
    pub hash: Option<Hash>,
    /// Whether it was deleted.
    pub tombstone: bool,
}

impl Applied {
    /// The highest revision applied.
    pub fn held(&self) -> Option<Revision> {
        (self.revision > Revision::default()).then_some(self.revision)
    }
}

/// SHA-256 of a body as canonical JSON, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// The hash of a body as canonical JSON.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).iter().map(|it| format!("{it:02x}")).collect())
    }

    /// The hash of a resource that is not there.
    pub fn of_nothing() -> Self {
        Self::of_bytes(b"")
    }

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a record wants the backend to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two wishes for one device.
    pub revision: Revision,
    /// What should be there.
    pub want: Want,
    /// When nothing needs to be sent.
    pub spared: Spared,
}

/// When nothing needs to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spared {
    /// Where the backend holds the same already.
    IfSame,
    /// Where this very revision was applied, as it is now or with this hash: the record holds a command whose
    /// time is over, and an attempt that was cut off may have sent it.
    IfAppliedBefore(Hash),
    /// It is sent in any case.
    Never,
}

/// What should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and nearly always the large one")]
pub enum Want {
    /// This.
    Body {
        /// What is put.
        body: Body,
        /// The hash of its JSON.
        hash: Hash,
    },
    /// Nothing; the kind says what it was.
    Nothing(DeviceKind),
}

impl Want {
    /// Router or not.
    pub fn kind(&self) -> DeviceKind {
        match self {
            Self::Body { body, .. } => body.kind(),
            Self::Nothing(kind) => *kind,
        }
    }

    /// The hash of what should be there.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Body { hash, .. } => hash.clone(),
            Self::Nothing(_) => Hash::of_nothing(),
        }
    }

    fn is_deletion(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }
}

impl Wish {
    /// What is applied once the wish has come true.
    pub fn fulfilled(&self) -> Applied {
        Applied {
            isp_id: self.isp_id.clone(),
            kind: self.want.kind(),
            revision: self.revision,
            hash: Some(self.want.hash()),
            tombstone: self.want.is_deletion(),
        }
    }
}

/// What to do about a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The device belongs to another tenant: refuse and alarm.
    ForeignTenant,
    /// Something newer is applied: nothing.
    Superseded,
    /// Something newer is applied, a deletion, and a late call may have brought the device back:
    /// delete it once more, under the deletion's revision.
    BuryAgain,
    /// The backend holds it already: record the revision.
    Unchanged,
    /// Delete these resources, then put what is wanted, then record it.
    Act {
        /// What must go first.
        remove: Vec<DeviceKind>,
    },
}

/// Decides what to do about `wish` where `applied` is applied.
pub fn plan(applied: Option<&Applied>, wish: &Wish) -> Plan {
    let both = || vec![DeviceKind::Router, DeviceKind::Device];
    let deletes = wish.want.is_deletion();
    let Some(applied) = applied else {
        return Plan::Act { remove: if deletes { both() } else { Vec::new() } };
    };
    if applied.isp_id != wish.isp_id && applied.held().is_some() {
        return Plan::ForeignTenant;
    }
    let deletion_wins = applied.tombstone && applied.revision == wish.revision && !deletes;
    if applied.revision > wish.revision || deletion_wins {
        return match applied.tombstone && applied.hash.is_none() {
            true => Plan::BuryAgain,
            false => Plan::Superseded,
        };
    }
    if is_held(applied, wish) {
        return Plan::Unchanged;
    }
    let kind = wish.want.kind();
    let remove = match (&applied.hash, applied.tombstone, deletes) {
        // A call without a known end may have left either kind there.
        (None, _, true) | (Some(_), true, true) => both(),
        (None, _, false) => vec![other(kind)],
        (Some(_), false, true) => vec![applied.kind],
        (Some(_), false, false) if applied.kind != kind => vec![applied.kind],
        (Some(_), _, false) => Vec::new(),
    };
    Plan::Act { remove }
}

fn is_held(applied: &Applied, wish: &Wish) -> bool {
    let Some(held) = &applied.hash else { return false };
    let same_thing = applied.kind == wish.want.kind() || wish.want.is_deletion();
    let same =
        same_thing && applied.tombstone == wish.want.is_deletion() && *held == wish.want.hash();
    match &wish.spared {
        Spared::Never => false,
        Spared::IfSame => same,
        Spared::IfAppliedBefore(then) => {
            let as_then = applied.kind == wish.want.kind() && held == then;
            applied.revision == wish.revision && (same || as_then)
        }
    }
}

fn other(kind: DeviceKind) -> DeviceKind {
    match kind {
        DeviceKind::Router => DeviceKind::Device,
        DeviceKind::Device => DeviceKind::Router,
    }
}

#[cfg(test)]
#[path = "applied_tests.rs"]
mod tests;
