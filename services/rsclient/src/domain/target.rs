//! Which package a router is to run. This is the one place that says so: what is published, what is shown, what a full
//! sync sends and what a rollout counts all ask here.

use events::{AgentPackageId, DeviceId, JobId, Revision, Text};

use super::{Agents, DeviceState, Group, Package, Share, share::Level};

/// What decides which software a router runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Software<'a> {
    /// What rsagents says of the ISP.
    pub agents: Option<&'a Agents>,
    /// The packages that the ISP has associated, or of which routers have a share.
    pub associated: &'a [Package],
}

/// Which package a router is to run, and who says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// The one that its ISP has chosen for it.
    pub chosen: Option<&'a AgentPackageId>,
    /// The one that its model runs where nothing else is said.
    pub default: Option<&'a AgentPackageId>,
    /// The rollout that it is of, and whether that has moved it.
    pub rollout: Option<(&'a JobId, Moved)>,
}

/// Whether a rollout has moved a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It runs what the rollout leads to.
    Yes,
    /// It runs what the rollout leads away from.
    NotYet,
}

impl<'a> Target<'a> {
    /// Chosen is the package that names the router; else the one for its model and the version that it follows;
    /// else the one for its model; of two, the one that was associated last. What is not listed is passed over. A share
    /// of another package takes a router away from a package that is not meant for that very router.
    pub fn of(id: &DeviceId, state: &DeviceState, software: Software<'a>) -> Self {
        let Some(agents) = software.agents else { return Self::default() };
        let is_listed = |it: &AgentPackageId| agents.listed(it).is_some();
        let (model, version) = (state.model.as_ref(), state.target_version.as_ref());
        let default = software.default_of(model).filter(|it| is_listed(it));
        let mut target = Self { chosen: None, default, rollout: None };
        for (level, package) in software.meant(Some(id), model, version) {
            if let Some((to, share)) = software.share_of(state, (level, package)) {
                let moves = share.contains(id) && is_listed(to);
                let moved = if moves { Moved::Yes } else { Moved::NotYet };
                target.rollout = Some((&share.rollout_id, moved));
                if moves {
                    target.chosen = Some(to);
                    return target;
                }
            }
            if is_listed(package) {
                target.chosen = (level != Level::Default).then_some(package);
                return target;
            }
        }
        target
    }

    /// The package that it is to run.
    pub fn package(&self) -> Option<&'a AgentPackageId> {
        self.chosen.or(self.default)
    }
}

impl<'a> Software<'a> {
    /// What the routers of a group run that nobody has named, all shares aside: `even` counts where it is not listed any
    /// more, too.
    pub fn followed_by(self, group: &Group, even: &AgentPackageId) -> Option<&'a AgentPackageId> {
        let agents = self.agents?;
        let meant = self.meant(None, Some(&group.model), group.target_version.as_ref());
        let mut packages = meant.into_iter().map(|(_, it)| it);
        packages.find(|it| *it == even || agents.listed(it).is_some())
    }

    /// The newest association of a group.
    pub fn newest_of(self, group: &Group) -> Revision {
        let associations = self.associated.iter().filter_map(|it| it.association.as_ref());
        let of_group = associations.filter(|it| it.groups.contains(group));
        of_group.map(|it| it.since_of(group)).max().unwrap_or_default()
    }

    fn default_of(self, model: Option<&Text>) -> Option<&'a AgentPackageId> {
        self.agents?.defaults.as_ref()?.by_model.get(model?)
    }

    /// The packages that are meant for a router, the one that goes before the others first, listed or not.
    fn meant(
        self,
        id: Option<&DeviceId>,
        model: Option<&Text>,
        version: Option<&Text>,
    ) -> Vec<(Level, &'a AgentPackageId)> {
        let mut meant: Vec<(Level, Revision, &'a AgentPackageId)> = Vec::new();
        for Package { id: package, association, .. } in self.associated {
            let Some(association) = association else { continue };
            if id.is_some_and(|it| association.routers.contains(it)) {
                meant.push((Level::Router, association.since(), package));
            }
            for group in association.groups.iter().filter(|it| Some(&it.model) == model) {
                let level = match &group.target_version {
                    None => Level::Model,
                    Some(it) if Some(it) == version => Level::Version,
                    Some(_) => continue,
                };
                meant.push((level, association.since_of(group), package));
            }
        }
        meant.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(b.2)));
        let default = self.default_of(model).map(|it| (Level::Default, it));
        meant.into_iter().map(|(level, _, it)| (level, it)).chain(default).collect()
    }

    /// The share, and its package, that may take a router away from a package that is meant for it. Of several, the one
    /// of the narrower group speaks, and of those the newest.
    fn share_of(
        self,
        state: &DeviceState,
        (level, package): (Level, &AgentPackageId),
    ) -> Option<(&'a AgentPackageId, &'a Share)> {
        let all = self
            .associated
            .iter()
            .flat_map(|it| it.shares.iter().map(move |share| (&it.id, share)));
        all.filter(|(_, it)| it.from == *package && it.level() <= level && it.group.has(state))
            .min_by(|(_, a), (_, b)| {
                a.level().cmp(&b.level()).then(b.rollout_id.cmp(&a.rollout_id))
            })
    }
}

#[cfg(test)]
mod tests {
    use events::{DeviceKind, DeviceType, ListedPackage};

    use super::*;
    use crate::domain::{Association, DefaultsOfModels, Led, ListedAgents, place};

    const ALL: &[&str] = &["a", "b", "c", "d"];

    fn text(text: &str) -> Text {
        text.to_owned().try_into().unwrap()
    }

    fn group(version: Option<&str>) -> Group {
        Group { model: text("hg-1"), target_version: version.map(text) }
    }

    /// What rsagents lists, and what routers of the model run by default.
    fn agents(listed: &[&str], default: Option<&str>) -> Agents {
        let package = |it: &&str| ListedPackage {
            agent_package_id: it.parse().unwrap(),
            version: text("1.0.0"),
            models: Vec::new().try_into().unwrap(),
        };
        let revision = 1.try_into().unwrap();
        let listed =
            Some(ListedAgents { revision, packages: listed.iter().map(package).collect() });
        let by_model = default.map(|it| (text("hg-1"), it.parse().unwrap())).into_iter().collect();
        let defaults = Some(DefaultsOfModels { revision, by_model });
        Agents { isp_id: "isp-1".parse().unwrap(), listed, defaults }
    }

    fn package(id: &str, since: u64, groups: &[Option<&str>], routers: &[&str]) -> Package {
        let association = Association {
            revision: since.try_into().unwrap(),
            routers: routers.iter().map(|it| it.parse().unwrap()).collect(),
            groups: groups.iter().map(|it| group(*it)).collect(),
            ..Association::default()
        };
        Package {
            id: id.parse().unwrap(),
            isp_id: None,
            said: None,
            reserved: false,
            association: Some(association),
            shares: Vec::new(),
            left_by: Vec::new(),
        }
    }

    /// A package of which routers that would run `from` have a share.
    fn shared(id: &str, from: &str, version: Option<&str>, per_mille: u16) -> Package {
        let share = Share {
            rollout_id: "rollout-1".parse().unwrap(),
            group: group(version),
            from: from.parse().unwrap(),
            per_mille,
            ended_by: 0,
        };
        Package { shares: vec![share], ..package(id, 9, &[], &[]) }
    }

    /// What router `r-1` is to run that follows a version or none, whether chosen or by default, and whether a rollout
    /// has moved it.
    fn target(agents: &Agents, associated: &[Package], version: Option<&str>) -> String {
        let state = DeviceState {
            user_id: None,
            external_id: None,
            kind: DeviceKind::Router,
            name: text("router"),
            device_type: DeviceType::Router,
            mac: "3c:22:fb:01:02:03".to_owned().try_into().unwrap(),
            model: Some(text("hg-1")),
            serial: None,
            enabled: None,
            services: None,
            rules: None,
            target_version: version.map(text),
            flags: None,
            upload_intervals: None,
        };
        let software = Software { agents: Some(agents), associated };
        let target = Target::of(&"r-1".parse().unwrap(), &state, software);
        let package = target.package().map_or("-", AgentPackageId::as_str);
        let how = if target.chosen.is_some() { "" } else { " by default" };
        let moved = target.rollout.map(|(_, moved)| format!(" {moved:?}"));
        format!("{package}{how}{}", moved.unwrap_or_default())
    }

    #[test]
    fn a_share_takes_a_router_away_from_a_package_that_is_not_meant_for_it_alone() {
        let all = agents(ALL, Some("d"));
        let model = package("a", 1, &[None], &[]);
        let whole = |from: &str| shared("b", from, None, 1_000);
        assert_eq!(target(&all, std::slice::from_ref(&model), None), "a");
        assert_eq!(target(&all, &[model.clone(), whole("a")], None), "b Yes");
        assert_eq!(target(&all, &[whole("d")], None), "b Yes");
        assert_eq!(target(&all, &[whole("c"), model.clone()], None), "a");
        let named = package("a", 1, &[None], &["r-1"]);
        assert_eq!(target(&all, &[named, whole("a")], None), "a");
        // Those of a narrower group follow that.
        let version = package("c", 1, &[Some("beta")], &[]);
        let both = [model.clone(), version.clone(), whole("a")];
        assert_eq!(target(&all, &both, Some("beta")), "c");
        assert_eq!(target(&all, &[version, whole("c")], Some("beta")), "c");
        assert_eq!(target(&all, &[model, shared("b", "a", Some("beta"), 1_000)], None), "a");
    }

    #[test]
    fn a_router_is_moved_from_the_share_on_in_which_it_has_its_place() {
        let (all, model) = (agents(ALL, None), package("a", 1, &[None], &[]));
        let place = place(&"rollout-1".parse().unwrap(), &"r-1".parse().unwrap());
        let at = |per_mille: u16| {
            target(&all, &[model.clone(), shared("b", "a", None, per_mille)], None)
        };
        assert_eq!((at(0), at(place)), ("a NotYet".to_owned(), "a NotYet".to_owned()));
        assert_eq!((at(place + 1), at(1_000)), ("b Yes".to_owned(), "b Yes".to_owned()));
    }

    #[test]
    fn what_is_not_listed_is_run_by_nobody_and_who_was_moved_stays_where_the_other_is_not() {
        let model = package("a", 1, &[None], &[]);
        let both = [model, shared("b", "a", None, 1_000)];
        assert_eq!(target(&agents(&["a", "d"], Some("d")), &both, None), "a NotYet");
        assert_eq!(target(&agents(&["b", "d"], Some("d")), &both, None), "b Yes");
        assert_eq!(target(&agents(&["d"], Some("d")), &both, None), "d by default NotYet");
        assert_eq!(target(&agents(&[], Some("d")), &both, None), "- by default NotYet");
    }

    #[test]
    fn a_group_that_a_rollout_has_led_is_newer_than_the_rest_of_its_package() {
        let all = agents(ALL, None);
        let mut led = package("b", 2, &[None], &["r-1"]);
        let association = association_of(&mut led);
        association.since = Some(2.try_into().unwrap());
        association.revision = 5.try_into().unwrap();
        association.led = vec![Led { group: group(None), since: 5.try_into().unwrap() }];
        let names = package("c", 3, &[], &["r-1"]);
        assert_eq!(target(&all, &[led.clone(), names], None), "c");
        association_of(&mut led).routers.clear();
        assert_eq!(target(&all, &[package("a", 4, &[None], &[]), led.clone()], None), "b");
        assert_eq!(target(&all, &[package("a", 6, &[None], &[]), led], None), "a");
    }

    fn association_of(package: &mut Package) -> &mut Association {
        package.association.as_mut().unwrap()
    }

    #[test]
    fn what_the_routers_of_a_group_follow_is_told_all_shares_aside() {
        let all = agents(&["b", "c", "d"], Some("d"));
        let associated = [
            package("a", 4, &[None], &[]),
            package("c", 3, &[None], &[]),
            shared("b", "c", None, 9),
        ];
        let software = Software { agents: Some(&all), associated: &associated };
        let followed = |even: &str| {
            software.followed_by(&group(None), &even.parse().unwrap()).unwrap().to_string()
        };
        assert_eq!(
            (followed("a"), followed("c"), followed("d")),
            ("a".into(), "c".into(), "c".into())
        );
        assert_eq!(software.newest_of(&group(None)).get(), 4);
    }
}
