//! The decision what to do about a record, given what is applied already.

use events::{IspId, Revision};

use super::{Body, Hash, Json, Kind};

/// What the backend holds of one resource, as far as we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The tenant, where it is known.
    pub isp_id: Option<IspId>,
    /// Which resource it is; of a tombstone: was last.
    pub kind: Kind,
    /// The highest revision applied; 0 where none is, but an unfinished call may have left something.
    pub revision: Revision,
    /// What the backend holds; `None` when an unfinished call has left that open.
    pub hash: Option<Hash>,
    /// Whether it was deleted.
    pub tombstone: bool,
    /// What the backend holds of a router's flags. Of all else: of the router that it was, nothing but the revision.
    pub flags: Option<AppliedFlags>,
}

/// What the backend holds of a router's flags, as far as we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedFlags {
    /// The highest revision applied, or that of the deletion that took them along.
    pub revision: Revision,
    /// What the backend holds; `None` when that is open, or when it holds none.
    pub hash: Option<Hash>,
}

impl Applied {
    /// The highest revision applied.
    pub fn held(&self) -> Option<Revision> {
        (self.revision > Revision::default()).then_some(self.revision)
    }

    /// Whether the backend holds no flags with it: it is no router, or none any more.
    pub fn has_no_flags(&self) -> bool {
        self.tombstone || self.kind != Kind::Router
    }
}

/// What a record wants the backend to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The tenant, where the record names it.
    pub isp_id: Option<IspId>,
    /// Order between two wishes for one resource.
    pub revision: Revision,
    /// What should be there.
    pub want: Want,
    /// When nothing needs to be sent.
    pub spared: Spared,
    /// Whether an earlier attempt may have sent something else: a command whose time was not over then.
    pub varies: bool,
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
pub enum Want {
    /// This.
    Body {
        /// Which resource it is.
        kind: Kind,
        /// What is put.
        body: Json,
        /// Its hash.
        hash: Hash,
    },
    /// Nothing; the kind says what it was.
    Nothing(Kind),
}

impl Want {
    /// A device's body.
    pub fn body(body: &Body) -> Self {
        let json = Json::of(body);
        Self::Body { kind: body.kind(), hash: json.hash(), body: json }
    }

    /// Which resource it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Body { kind, .. } | Self::Nothing(kind) => *kind,
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
    /// What is applied once the wish has come true where `before` was applied.
    pub fn fulfilled(&self, before: Option<&Applied>) -> Applied {
        let kind = self.want.kind();
        let stays_router = kind == Kind::Router && !self.want.is_deletion();
        let flags = before.and_then(|it| match it.flags.clone() {
            flags if stays_router => flags,
            // A router takes its flags along, and those of before do not come with the next one.
            None if it.has_no_flags() => None,
            flags => {
                let known = flags.map(|it| it.revision).unwrap_or_default();
                Some(AppliedFlags { revision: known.max(self.revision), hash: None })
            }
        });
        Applied {
            isp_id: self.isp_id.clone().or_else(|| before.and_then(|it| it.isp_id.clone())),
            kind,
            revision: self.revision,
            hash: Some(self.want.hash()),
            tombstone: self.want.is_deletion(),
            flags,
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
        remove: Vec<Kind>,
    },
}

/// Decides what to do about `wish` where `applied` is applied.
pub fn plan(applied: Option<&Applied>, wish: &Wish) -> Plan {
    let kind = wish.want.kind();
    let all = || kind.alternatives().to_vec();
    let deletes = wish.want.is_deletion();
    let Some(applied) = applied else {
        return Plan::Act { remove: if deletes { all() } else { Vec::new() } };
    };
    if is_foreign(applied, wish.isp_id.as_ref()) {
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
    let remove = match (&applied.hash, applied.tombstone, deletes) {
        // A call without a known end may have left any kind there.
        (None, _, true) | (Some(_), true, true) => all(),
        (None, _, false) => all().into_iter().filter(|it| *it != kind).collect(),
        (Some(_), false, true) => vec![applied.kind],
        (Some(_), false, false) if applied.kind != kind => vec![applied.kind],
        (Some(_), _, false) => Vec::new(),
    };
    Plan::Act { remove }
}

/// Whether what is applied is known to be another tenant's.
pub(super) fn is_foreign(applied: &Applied, isp_id: Option<&IspId>) -> bool {
    let other = applied.isp_id.as_ref().zip(isp_id).is_some_and(|(its, isp_id)| its != isp_id);
    let is_held = applied.held().is_some() || applied.flags.is_some();
    other && is_held
}

fn is_held(applied: &Applied, wish: &Wish) -> bool {
    let same = holds(applied, wish);
    match &wish.spared {
        Spared::Never => false,
        Spared::IfSame => same,
        Spared::IfAppliedBefore(then) => {
            let as_then = applied.kind == wish.want.kind() && applied.hash.as_ref() == Some(then);
            applied.revision == wish.revision && (same || as_then)
        }
    }
}

/// Whether the backend is known to hold what is wanted.
pub fn holds(applied: &Applied, wish: &Wish) -> bool {
    let is_deletion = wish.want.is_deletion();
    let same_thing = applied.kind == wish.want.kind() || is_deletion;
    same_thing
        && applied.tombstone == is_deletion
        && applied.hash.as_ref() == Some(&wish.want.hash())
}

#[cfg(test)]
#[path = "applied_tests.rs"]
mod tests;
