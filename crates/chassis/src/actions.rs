//! Actions: what an operator may have a running service do, by `POST /actions/{name}` of the admin port.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// All actions of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Actions(Arc<Mutex<BTreeMap<String, Action>>>);

#[derive(Clone)]
struct Action {
    description: String,
    act: Act,
}

type Act = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// An action as `GET /actions` lists it.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct Offered {
    /// What stands in the path.
    pub name: String,
    /// What it does.
    pub description: String,
}

/// Why an action was not carried out.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ActionError {
    /// No action has this name.
    #[error("there is no action `{0}`")]
    Unknown(String),
    /// The action refuses, and says why.
    #[error("{0}")]
    Refused(String),
}

impl Actions {
    /// Offers an action. It may block, and it answers what it has done or why it refuses, both for people.
    /// The name is a word that can stand in a path; a name that is offered again means the later action.
    pub fn register(
        &self,
        name: impl Into<String>,
        description: impl Into<String>,
        act: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) {
        let action = Action { description: description.into(), act: Arc::new(act) };
        self.lock().insert(name.into(), action);
    }

    /// What is offered, by name.
    pub fn offered(&self) -> Vec<Offered> {
        let offered = |(name, action): (&String, &Action)| Offered {
            name: name.clone(),
            description: action.description.clone(),
        };
        self.lock().iter().map(offered).collect()
    }

    /// Carries an action out on this thread, and logs how it ended.
    ///
    /// # Errors
    /// There is no such action, or it refuses.
    pub fn carry_out(&self, name: &str) -> Result<String, ActionError> {
        let found = self.lock().get(name).cloned();
        let action = found.ok_or_else(|| ActionError::Unknown(name.to_owned()))?;
        match (action.act)() {
            Ok(done) => {
                tracing::info!(action = name, done, "an operator's action was carried out");
                Ok(done)
            }
            Err(reason) => {
                tracing::warn!(action = name, reason, "an operator's action was refused");
                Err(ActionError::Refused(reason))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Action>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().keys()).finish()
    }
}
