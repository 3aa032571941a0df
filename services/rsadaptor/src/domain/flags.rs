//! The decision what to do about a router's flags, given what is applied already.

use events::{IspId, Revision};

use super::{Applied, AppliedFlags, Hash, Json, applied::is_foreign};

/// What a record wants the backend to hold of a router's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagsWish {
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two states of the flags.
    pub revision: Revision,
    /// What is put.
    pub body: Json,
    /// Its hash.
    pub hash: Hash,
    /// Whether it is sent even where the backend holds the same already.
    pub force: bool,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagsPlan {
    /// The router belongs to another tenant: refuse and alarm.
    ForeignTenant,
    /// Newer flags are applied, or went with the router: nothing.
    Superseded,
    /// The backend holds them already: record the revision.
    Unchanged,
    /// Put them.
    Act {
        /// There is no such router any more: that the backend does not know it is no reason to wait.
        router_is_gone: bool,
    },
}

impl FlagsWish {
    /// What is applied once the wish has come true.
    pub fn fulfilled(&self) -> AppliedFlags {
        AppliedFlags { revision: self.revision, hash: Some(self.hash.clone()) }
    }
}

/// Decides what to do about `wish` where `applied` is applied of the router.
pub fn plan_flags(applied: Option<&Applied>, wish: &FlagsWish) -> FlagsPlan {
    let Some(applied) = applied else { return FlagsPlan::Act { router_is_gone: false } };
    if is_foreign(applied, Some(&wish.isp_id)) {
        return FlagsPlan::ForeignTenant;
    }
    let router_is_gone = applied.has_no_flags();
    match &applied.flags {
        Some(flags) if flags.revision > wish.revision => FlagsPlan::Superseded,
        Some(flags)
            if !wish.force && !router_is_gone && flags.hash.as_ref() == Some(&wish.hash) =>
        {
            FlagsPlan::Unchanged
        }
        Some(_) | None => FlagsPlan::Act { router_is_gone },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Kind;

    fn wish(at: u64, body: &str) -> FlagsWish {
        let body = Json::of(&body);
        FlagsWish {
            isp_id: "isp-1".parse().unwrap(),
            revision: at.try_into().unwrap(),
            hash: body.hash(),
            body,
            force: false,
        }
    }

    fn router(flags: Option<FlagsWish>) -> Applied {
        Applied {
            isp_id: Some("isp-1".parse().unwrap()),
            kind: Kind::Router,
            revision: 10.try_into().unwrap(),
            hash: Some(Hash::of_bytes(b"router")),
            tombstone: false,
            flags: flags.map(|it| it.fulfilled()),
        }
    }

    #[test]
    fn flags_go_by_their_own_revision_and_hash() {
        let act = FlagsPlan::Act { router_is_gone: false };
        assert_eq!(plan_flags(None, &wish(5, "a")), act);
        assert_eq!(plan_flags(Some(&router(None)), &wish(5, "a")), act);
        let held = router(Some(wish(5, "a")));
        assert_eq!(plan_flags(Some(&held), &wish(4, "a")), FlagsPlan::Superseded);
        assert_eq!(plan_flags(Some(&held), &wish(5, "a")), FlagsPlan::Unchanged);
        assert_eq!(plan_flags(Some(&held), &wish(6, "a")), FlagsPlan::Unchanged);
        assert_eq!(plan_flags(Some(&held), &wish(5, "b")), act);
        assert_eq!(plan_flags(Some(&held), &wish(6, "b")), act);
        let forced = |it| FlagsWish { force: true, ..it };
        assert_eq!(plan_flags(Some(&held), &forced(wish(5, "a"))), act);
        assert_eq!(plan_flags(Some(&held), &forced(wish(4, "a"))), FlagsPlan::Superseded);
        let foreign = FlagsWish { isp_id: "isp-2".parse().unwrap(), ..wish(6, "a") };
        assert_eq!(plan_flags(Some(&held), &foreign), FlagsPlan::ForeignTenant);
    }

    #[test]
    fn flags_of_a_router_that_is_gone_need_not_find_it() {
        let gone = FlagsPlan::Act { router_is_gone: true };
        let deleted = Applied { tombstone: true, ..router(None) };
        assert_eq!(plan_flags(Some(&deleted), &wish(20, "a")), gone);
        let device = Applied { kind: Kind::Device, ..router(None) };
        assert_eq!(plan_flags(Some(&device), &wish(20, "a")), gone);
        // What went with it stays away.
        let went = AppliedFlags { revision: 12.try_into().unwrap(), hash: None };
        let again = Applied { flags: Some(went), ..router(None) };
        assert_eq!(plan_flags(Some(&again), &wish(11, "a")), FlagsPlan::Superseded);
        assert_eq!(
            plan_flags(Some(&again), &wish(13, "a")),
            FlagsPlan::Act { router_is_gone: false }
        );
    }
}
