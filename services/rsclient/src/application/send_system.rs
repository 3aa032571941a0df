//! Send the documents of ISPs again, as a sync asks for.

use async_task::{At, Failure as Failed, Sent, Task};
use eventbus::PublishError;
use events::{Revision, RsSystemEvent};

use super::send_devices::copy;
use crate::{
    app::App,
    application::Failure,
    domain::{SystemDocument, Work},
};

/// Sends the documents of these keys as they are now, each to be answered. Nothing is raised.
///
/// # Errors
/// The store or the bus failed; doing it again sends copies again.
pub async fn send_system(
    app: &App,
    bulk: &Task<Work>,
    keys: &[String],
    expires_at: At,
) -> Result<Sent, Failure> {
    let mut sent = Sent::default();
    for key in keys {
        let Some((_, event)) = found(app, key).await? else {
            sent.gone.push(key.clone());
            continue;
        };
        match app.bus.publish(&copy(bulk, key, &event, expires_at)).await {
            Ok(_) => (),
            Err(error @ PublishError::TooLarge(_)) => {
                let task = (&bulk.job_id, &bulk.id);
                sent.failures.push(Failed::unsendable(task, key, "too_large", &error.to_string()));
            }
            Err(error @ PublishError::Deliver { .. }) => return Err(error.into()),
        }
    }
    Ok(sent)
}

/// Documents of which the backend holds something newer than we have ever said: our store was set back. They are raised
/// above that and sent again, as is what has changed on the way.
///
/// # Errors
/// The store or the bus failed; doing it again does all of it again.
pub async fn repair_system(
    app: &App,
    bulk: &Task<Work>,
    held: &[(String, Revision)],
    expires_at: At,
) -> Result<Vec<String>, Failure> {
    let mut again = Vec::new();
    for (key, held) in held {
        let Some((revision, _)) = found(app, key).await? else { continue };
        if revision < *held {
            metrics::counter!("rsclient_revisions_repaired_total").increment(1);
            raise_past(app, key, *held).await?;
        }
        if revision != *held {
            again.push(key.clone());
        }
    }
    send_system(app, bulk, &again, expires_at).await?;
    Ok(again)
}

async fn found(app: &App, key: &str) -> Result<Option<(Revision, RsSystemEvent)>, Failure> {
    let Some((document, isp_id)) = SystemDocument::of_key(key) else { return Ok(None) };
    Ok(match document {
        SystemDocument::RouterProtection => {
            let found = app.store.router_protections.find(&isp_id).await?;
            found.map(|it| (it.revision, it.event()))
        }
        SystemDocument::System => {
            let found = app.store.system_configurations.find(&isp_id).await?;
            found.map(|it| (it.revision, it.event()))
        }
    })
}

async fn raise_past(app: &App, key: &str, held: Revision) -> Result<(), Failure> {
    let Some((document, isp_id)) = SystemDocument::of_key(key) else { return Ok(()) };
    match document {
        SystemDocument::RouterProtection => {
            app.store.router_protections.raise_past(&isp_id, held).await?;
        }
        SystemDocument::System => {
            app.store.system_configurations.raise_past(&isp_id, held).await?;
        }
    }
    Ok(())
}
