//! Who calls, as a handler is given it.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use events::IspId;
use problem::{Kind, Problem};

use crate::Verifier;

/// Who shows a token that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub subject: String,
    /// The tenant; none for operators and services.
    pub isp_id: Option<IspId>,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// An answer to whoever shows no token that holds: it names the scheme, as RFC 9110 wants it.
#[derive(Debug)]
pub struct Unauthorized(Problem);

impl Caller {
    /// Whether the caller may do what `scope` stands for.
    ///
    /// # Errors
    /// A problem of the kind [`Kind::Forbidden`].
    pub fn require(&self, scope: &str) -> Result<(), Problem> {
        match self.scopes.iter().any(|it| it == scope) {
            true => Ok(()),
            false => Err(Problem::new(Kind::Forbidden, format!("this needs the scope `{scope}`"))),
        }
    }

    /// Whether the caller may reach what belongs to `isp_id`.
    ///
    /// # Errors
    /// A problem of the kind [`Kind::TenantMismatch`], which looks like nothing was there.
    pub fn tenant(&self, isp_id: &IspId) -> Result<(), Problem> {
        match &self.isp_id {
            Some(own) if own != isp_id => {
                Err(Problem::new(Kind::TenantMismatch, format!("`{own}` asks for `{isp_id}`")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The ISP that the caller speaks for: an ISP is itself, an operator names one. Another one's looks as if it were not
    /// there, and what cannot be an ISP's name is the name of none.
    ///
    /// # Errors
    /// A problem: an operator names none, or it is another one's.
    pub fn speaks_for(&self, named: Option<&str>) -> Result<IspId, Problem> {
        match (&self.isp_id, named) {
            (Some(own), None) => Ok(own.clone()),
            (None, None) => Err(Problem::new(Kind::Invalid, "isp_id must name the ISP")),
            (_, Some(named)) => {
                let none = |_| Problem::new(Kind::NotFound, Kind::NotFound.title());
                let named: IspId = named.parse().map_err(none)?;
                self.tenant(&named)?;
                Ok(named)
            }
        }
    }

    /// Whether the caller may reach across ISPs.
    pub fn is_operator(&self) -> bool {
        self.isp_id.is_none()
    }
}

impl<S: Sync> FromRequestParts<S> for Caller
where
    Verifier: FromRef<S>,
{
    type Rejection = Unauthorized;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Unauthorized> {
        let token = bearer(&parts.headers).map_err(Unauthorized)?;
        Verifier::from_ref(state).caller(token).map_err(Unauthorized)
    }
}

impl IntoResponse for Unauthorized {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        response
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let refused = |why| Problem::new(Kind::Unauthorized, why);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("there must be one Authorization header"));
    };
    let text = value.to_str().map_err(|_| refused("the Authorization header is no text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(refused("the Authorization header must be `Bearer` and a token")),
    }
}
