//! Make the backend forget an agent package.

use events::{DeletedAgentPackage, IspId};

use super::{Request, Result, fulfil::fulfil};
use crate::{
    app::App,
    domain::{Kind, Subject, Want, Wish},
};

/// Makes the backend hold nothing of `package`. Whose it was, the record says in its envelope alone, if at all.
///
/// # Errors
/// The record waits.
pub async fn remove_package(
    app: &App,
    request: &Request,
    tenant: Option<&IspId>,
    package: &DeletedAgentPackage,
) -> Result {
    let wish = Wish {
        isp_id: tenant.cloned(),
        revision: package.revision,
        want: Want::Nothing(Kind::Package),
        spared: request.spared(),
        varies: false,
    };
    fulfil(app, request, Subject::Package(&package.agent_package_id), &wish).await
}
