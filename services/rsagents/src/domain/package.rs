//! An agent package as it is remembered, how it may change, and what is said of it.

use events::{
    AgentPackage, AgentPackageState, Bounded, Count, DeletedAgentPackage, HttpUrl, ListedPackage,
    Revision, RsAgentEvent, Text,
};
use serde::{Deserialize, Serialize};

/// An agent package, or what is remembered of a deleted one: its last state, with the revision of its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its state.
    #[serde(flatten)]
    pub package: AgentPackage,
    /// Whether it is gone.
    #[serde(default)]
    pub deleted: bool,
    /// Since which revision it is the same software.
    #[serde(default)]
    pub content_revision: Revision,
    /// What the backend said of it last.
    #[serde(default)]
    pub backend: Option<BackendWord>,
    /// Where somebody wants it deleted and that is not over.
    #[serde(default)]
    pub deleting: Option<Deleting>,
}

/// What the backend said of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum BackendWord {
    /// It holds it.
    Applied {
        /// As of this revision.
        revision: Revision,
    },
    /// It does not take it.
    Refused {
        /// At this revision.
        revision: Revision,
        /// What it answered, where it was asked.
        http_status: Option<u16>,
        /// Why.
        error: Option<String>,
    },
}

/// A deletion that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleting {
    /// Who is at it: whoever takes his attempt back takes back no other, and the deletion ends with the last one.
    #[serde(default)]
    pub attempts: Vec<String>,
    /// When it began, in Unix milliseconds.
    pub since: i64,
}

/// What is to become of a package; absent members stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageChange {
    /// A semantic version.
    pub version: Option<Text>,
    /// The models that it runs on.
    pub models: Option<Bounded<Text>>,
    /// Where it is.
    pub url: Option<HttpUrl>,
    /// What it hashes to.
    pub sha256: Option<Text>,
    /// How large it is, in bytes.
    pub size_bytes: Option<Count>,
    /// Who vouches for it.
    pub signature: Option<String>,
    /// Where in its life it is.
    pub state: Option<AgentPackageState>,
}

/// What a change comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is like that already.
    Nothing,
    /// It is the same software.
    State(AgentPackage),
    /// It is other software.
    Content(AgentPackage),
}

/// Why a package cannot change like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchangeable {
    /// Others rely on what it is.
    #[error("a package that is {} stays what it is: only its state can change", .0.as_str())]
    Content(State),
    /// There is no such way.
    #[error("a package that is {} cannot become {}", .0.as_str(), .1.as_str())]
    State(State, State),
}

/// A state, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(pub AgentPackageState);

impl State {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self.0 {
            AgentPackageState::Draft => "draft",
            AgentPackageState::Released => "released",
            AgentPackageState::Deprecated => "deprecated",
            AgentPackageState::Revoked => "revoked",
        }
    }

    /// The state of this name.
    pub fn named(name: &str) -> Option<AgentPackageState> {
        use AgentPackageState::{Deprecated, Draft, Released, Revoked};
        [Draft, Released, Deprecated, Revoked].into_iter().find(|it| State(*it).as_str() == name)
    }

    /// Whether a package may go from this state to the other one. What was released once is never a draft again, and
    /// what is revoked stays that.
    pub fn may_become(self, next: AgentPackageState) -> bool {
        use AgentPackageState::{Deprecated, Draft, Released, Revoked};
        match (self.0, next) {
            (Draft, Released) | (Released, Deprecated | Revoked) | (Deprecated, Revoked) => true,
            (Draft, Draft | Deprecated | Revoked)
            | (Released, Draft | Released)
            | (Deprecated, Draft | Released | Deprecated)
            | (Revoked, Draft | Released | Deprecated | Revoked) => false,
        }
    }

    /// Whether routers may run a package in this state.
    pub fn may_run(self) -> bool {
        match self.0 {
            AgentPackageState::Released | AgentPackageState::Deprecated => true,
            AgentPackageState::Draft | AgentPackageState::Revoked => false,
        }
    }
}

impl BackendWord {
    /// The revision that it is about.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Applied { revision } | Self::Refused { revision, .. } => *revision,
        }
    }
}

impl Package {
    /// Whether the backend holds the software that it is.
    pub fn is_applied(&self) -> bool {
        match &self.backend {
            Some(BackendWord::Applied { revision }) => *revision >= self.content_revision,
            Some(BackendWord::Refused { .. }) | None => false,
        }
    }

    /// Whether routers may be pointed at it.
    pub fn is_listed(&self) -> bool {
        !self.deleted && State(self.package.state).may_run() && self.is_applied()
    }

    /// As it is listed.
    pub fn listed(&self) -> ListedPackage {
        ListedPackage {
            agent_package_id: self.package.agent_package_id.clone(),
            version: self.package.version.clone(),
            models: self.package.models.clone(),
        }
    }

    /// What is said of it.
    pub fn event(&self) -> RsAgentEvent {
        let state = &self.package;
        match self.deleted {
            false => RsAgentEvent::RSAgentPackageCreated(state.clone()),
            true => RsAgentEvent::RSAgentPackageDeleted(DeletedAgentPackage {
                agent_package_id: state.agent_package_id.clone(),
                revision: state.revision,
            }),
        }
    }
}

impl PackageChange {
    /// What the change makes of a package.
    ///
    /// # Errors
    /// It cannot change like that.
    pub fn of(&self, held: &AgentPackage) -> Result<Changed, Unchangeable> {
        let mut next = held.clone();
        set(&mut next.version, &self.version);
        set(&mut next.models, &self.models);
        set(&mut next.url, &self.url);
        set(&mut next.sha256, &self.sha256);
        set(&mut next.size_bytes, &self.size_bytes);
        set(&mut next.signature, &self.signature);
        let other = next != *held;
        set(&mut next.state, &self.state);
        let (from, to) = (State(held.state), State(next.state));
        if from != to && !from.may_become(to.0) {
            return Err(Unchangeable::State(from, to));
        }
        match (other, from != to) {
            (true, _) if held.state != AgentPackageState::Draft => Err(Unchangeable::Content(from)),
            (true, _) => Ok(Changed::Content(next)),
            (false, true) => Ok(Changed::State(next)),
            (false, false) => Ok(Changed::Nothing),
        }
    }
}

fn set<T: Clone>(member: &mut T, wanted: &Option<T>) {
    if let Some(wanted) = wanted {
        *member = wanted.clone();
    }
}

/// What the maker of a package signs: which software it is, and under which version it goes.
pub fn signed_text(package: &AgentPackage) -> String {
    let AgentPackage { version, sha256, size_bytes, .. } = package;
    format!("routersecure agent package\n{version}\n{sha256}\n{}\n", size_bytes.get())
}

#[cfg(test)]
mod tests {
    use AgentPackageState::{Deprecated, Draft, Released, Revoked};
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    const STATES: [AgentPackageState; 4] = [Draft, Released, Deprecated, Revoked];

    fn package(state: AgentPackageState) -> AgentPackage {
        serde_json::from_value(json!({
            "agent_package_id": "p-1", "isp_id": "isp-1", "revision": 5, "version": "4.2.0",
            "models": ["hg-8000"], "url": "https://example.org/p", "sha256": "ab", "size_bytes": 7,
            "signature": "s", "state": State(state).as_str(),
        }))
        .unwrap()
    }

    #[test]
    fn a_package_goes_from_draft_to_released_to_deprecated_to_revoked_and_never_back() {
        let mut ways = Vec::new();
        for from in STATES {
            for to in STATES {
                let change = PackageChange { state: Some(to), ..PackageChange::default() };
                let (from, to) = (State(from), State(to));
                match change.of(&package(from.0)) {
                    Ok(Changed::Nothing) => assert_eq!(from, to),
                    Ok(changed) => {
                        assert_eq!(changed, Changed::State(package(to.0)));
                        ways.push(format!("{} -> {}", from.as_str(), to.as_str()));
                    }
                    Err(why) => assert_eq!(why, Unchangeable::State(from, to)),
                }
            }
        }
        expect![[r"
            draft -> released
            released -> deprecated
            released -> revoked
            deprecated -> revoked"]]
        .assert_eq(&ways.join("\n"));
        let names = STATES.map(|it| State::named(State(it).as_str()));
        assert_eq!(names, STATES.map(Some));
        assert_eq!(State::named("Draft"), None);
    }

    #[test]
    fn only_a_draft_becomes_other_software() {
        let url = HttpUrl::try_from("https://example.org/q".to_owned()).unwrap();
        let other = PackageChange { url: Some(url.clone()), ..PackageChange::default() };
        let Changed::Content(next) = other.of(&package(Draft)).unwrap() else { panic!("the same") };
        assert_eq!(next.url, url);
        for state in [Released, Deprecated, Revoked] {
            assert_eq!(other.of(&package(state)), Err(Unchangeable::Content(State(state))));
        }
        let both = PackageChange { state: Some(Released), ..other };
        assert!(
            matches!(both.of(&package(Draft)), Ok(Changed::Content(it)) if it.state == Released)
        );
        let same = package(Released).version;
        let same = PackageChange { version: Some(same), ..PackageChange::default() };
        assert_eq!(same.of(&package(Released)), Ok(Changed::Nothing));
    }

    #[test]
    fn only_what_the_backend_holds_and_routers_may_run_is_listed() {
        let revision = |it: u64| Revision::try_from(it).unwrap();
        let applied = |it| Some(BackendWord::Applied { revision: revision(it) });
        let refused =
            Some(BackendWord::Refused { revision: revision(5), http_status: None, error: None });
        let is_listed = |state, content: u64, backend, deleted| {
            let content_revision = revision(content);
            let package = package(state);
            Package { package, deleted, content_revision, backend, deleting: None }.is_listed()
        };
        let listed = STATES.map(|it| is_listed(it, 3, applied(4), false));
        assert_eq!(listed, [false, true, true, false]);
        assert!(!is_listed(Released, 5, applied(4), false), "it held other software");
        assert!(!is_listed(Released, 3, applied(4), true));
        assert!(!is_listed(Released, 3, refused, false));
        assert!(!is_listed(Released, 3, None, false));
    }

    #[test]
    fn the_maker_signs_which_software_it_is() {
        expect![[r"
            routersecure agent package
            4.2.0
            ab
            7
        "]]
        .assert_eq(&signed_text(&package(Draft)));
    }
}
