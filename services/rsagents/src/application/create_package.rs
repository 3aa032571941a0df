//! Somebody has made a package.

use events::AgentPackage;

use super::Failure;
use crate::{app::App, domain::Package, infrastructure::store::Created};

/// Takes a package that nobody has; its revision is made here. Answers whether it is new: the same one may be said
/// again.
///
/// # Errors
/// Nobody who is trusted has signed it, the ISP has too many, the id is taken, or the store failed.
pub async fn create_package(app: &App, package: &AgentPackage) -> Result<(Package, bool), Failure> {
    if !app.makers.vouch_for(package) {
        return Err(Failure::Unsigned);
    }
    let count = app.store.packages.count_of(&package.isp_id).await?;
    let known = match count >= app.packages_max {
        // It may be one of them.
        true => app.store.packages.find_one(&package.agent_package_id).await?,
        false => None,
    };
    let created = match known {
        Some(held) => Created::Held(held),
        None if count >= app.packages_max => {
            return Err(Failure::Conflict(format!("there are {count} packages, and no room")));
        }
        None => app.store.packages.create(package).await?,
    };
    fail::fail_point!("rsagents::after-change", |_| std::process::abort());
    match created {
        Created::Yes(package) => {
            app.outboxes.packages.tell_soon(package.package.agent_package_id.as_str());
            Ok((package, true))
        }
        Created::Held(held) if held.package.isp_id != package.isp_id => {
            Err(Failure::NoSuch(Vec::new()))
        }
        Created::Held(held) if held.deleted => {
            Err(Failure::Conflict("the id is that of a deleted package".to_owned()))
        }
        Created::Held(held) if is_same(&held.package, package) => Ok((held, false)),
        Created::Held(_) => Err(Failure::Conflict("there is a package of this id".to_owned())),
    }
}

fn is_same(held: &AgentPackage, said: &AgentPackage) -> bool {
    AgentPackage { revision: held.revision, ..said.clone() } == *held
}
