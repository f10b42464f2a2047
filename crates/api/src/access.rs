//! Who may do what. Every route of the API stands in [`TABLE`]; one that does not
//! is refused, and a test compares the table with the OpenAPI document.

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    connection::Role,
    ids::{ApiKeyId, OrgId},
    job::{JobKind, NewJob, Queue},
    secret::Secret,
};

use crate::{
    problem::{Kind, Problem},
    state::Api,
};

/// What a route asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: health, documents, redirects.
    Public,
    /// A key with at least this role.
    Key(Role),
}

/// Where the API's routes live.
pub const BASE: &str = "/api/integrations";

/// Every route and what it asks. Paths under [`BASE`] begin with `~`.
#[rustfmt::skip]
pub const TABLE: &[(&str, &str, Access)] = {
    use Access::{Key, Public};
    use Role::{Admin, Member, Viewer};
    &[
        ("GET",    "/healthz",                          Public),
        ("GET",    "/readyz",                           Public),
        ("GET",    "/openapi.json",                     Public),
        ("GET",    "/docs",                             Public),
        ("GET",    "/problems/{slug}",                  Public),
        ("ANY",    "~",                                 Public), // redirect
        ("ANY",    "~/{id}",                            Public), // redirect
        ("ANY",    "~/{id}/test",                       Public), // redirect
        ("ANY",    "~/{id}/sync",                       Public), // redirect
        ("GET",    "/connect/{ticket}",                 Public), // a browser's, by its ticket
        ("GET",    "/connect/outcome/{id}",             Public), // a browser's, by its cookie
        ("GET",    "~/callback/{provider}",             Public), // a browser's, by state and cookie
        ("POST",   "~/authorize/{provider}",            Key(Admin)),
        ("GET",    "~/consents/{id}",                   Key(Viewer)),
        ("GET",    "~/oauth-clients",                   Key(Admin)),
        ("GET",    "~/oauth-clients/{provider}",        Key(Admin)),
        ("PUT",    "~/oauth-clients/{provider}",        Key(Admin)),
        ("DELETE", "~/oauth-clients/{provider}",        Key(Admin)),
        ("GET",    "~/providers",                       Key(Viewer)),
        ("GET",    "~/providers/{key}",                 Key(Viewer)),
        ("GET",    "~/connections",                     Key(Viewer)),
        ("POST",   "~/connections",                     Key(Admin)),
        ("GET",    "~/connections/{id}",                Key(Viewer)),
        ("PATCH",  "~/connections/{id}",                Key(Admin)),
        ("DELETE", "~/connections/{id}",                Key(Admin)),
        ("POST",   "~/connections/{id}/enable",         Key(Admin)),
        ("POST",   "~/connections/{id}/disable",        Key(Admin)),
        ("POST",   "~/connections/{id}/revoke",         Key(Admin)),
        ("PUT",    "~/connections/{id}/credential",     Key(Admin)),
        ("POST",   "~/connections/{id}/test",           Key(Member)),
        ("POST",   "~/connections/{id}/check",          Key(Member)),
        ("POST",   "~/connections/{id}/sync",           Key(Member)),
        ("POST",   "~/connections/{id}/actions/{action}", Key(Member)),
        ("GET",    "~/connections/{id}/records",        Key(Viewer)),
        ("GET",    "~/connections/{id}/health",         Key(Viewer)),
        ("GET",    "~/connections/{id}/schedules",      Key(Viewer)),
        ("POST",   "~/connections/{id}/schedules",      Key(Admin)),
        ("GET",    "~/schedules",                       Key(Viewer)),
        ("GET",    "~/schedules/{id}",                  Key(Viewer)),
        ("PATCH",  "~/schedules/{id}",                  Key(Admin)),
        ("DELETE", "~/schedules/{id}",                  Key(Admin)),
        ("POST",   "~/schedules/{id}/pause",            Key(Admin)),
        ("POST",   "~/schedules/{id}/resume",           Key(Admin)),
        ("POST",   "~/schedules/{id}/run",              Key(Member)),
        ("POST",   "~/check-all",                       Key(Member)),
        ("GET",    "~/jobs",                            Key(Viewer)),
        ("GET",    "~/jobs/{id}",                       Key(Viewer)),
        ("GET",    "~/jobs/{id}/logs",                  Key(Viewer)),
        ("GET",    "~/jobs/{id}/events",                Key(Viewer)),
        ("POST",   "~/jobs/{id}/cancel",                Key(Member)),
        ("POST",   "~/jobs/{id}/retry",                 Key(Member)),
        ("POST",   "~/jobs/{id}/discard",               Key(Member)),
        ("GET",    "~/dead-jobs",                       Key(Viewer)),
        ("POST",   "~/dead-jobs/retry",                 Key(Member)),
        ("POST",   "~/dead-jobs/discard",               Key(Admin)),
        ("GET",    "~/retry-policy",                    Key(Viewer)),
        ("PUT",    "~/retry-policy",                    Key(Admin)),
        ("GET",    "~/breakers",                        Key(Viewer)),
        ("GET",    "~/alerts",                          Key(Viewer)),
        ("GET",    "~/alerts/{id}",                     Key(Viewer)),
        ("POST",   "~/alerts/{id}/acknowledge",         Key(Member)),
        ("POST",   "~/alerts/{id}/silence",             Key(Member)),
        ("GET",    "~/alert-limits",                    Key(Viewer)),
        ("PUT",    "~/alert-limits",                    Key(Admin)),
        ("GET",    "~/alert-channels",                  Key(Admin)),
        ("POST",   "~/alert-channels",                  Key(Admin)),
        ("POST",   "~/alert-channels/webhooks",         Key(Admin)),
        ("DELETE", "~/alert-channels/{id}",             Key(Admin)),
        ("POST",   "~/alert-channels/{id}/test",        Key(Admin)),
        ("GET",    "~/stream",                          Key(Viewer)),
        ("GET",    "~/events",                          Key(Viewer)),
        ("GET",    "~/stats",                           Key(Viewer)),
    ]
};

/// What a route asks; `None` where the table does not know it.
pub fn of(method: &Method, path: &str) -> Option<Access> {
    let method = if method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    #[cfg(debug_assertions)]
    if path.strip_prefix(BASE) == Some(crate::routes::drills::PATH) {
        return Some(Access::Key(Role::Owner));
    }
    TABLE
        .iter()
        .find(|(of_method, of_path, _)| {
            (*of_method == method || *of_method == "ANY")
                && match of_path.strip_prefix('~') {
                    Some(under_base) => path.strip_prefix(BASE) == Some(under_base),
                    None => path == *of_path,
                }
        })
        .map(|row| row.2)
}

/// Who asks, after the key was checked and its role was found enough.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant: every query is limited to it.
    pub org: OrgId,
    /// What the key may do.
    pub role: Role,
    /// The key, by its row.
    pub key: ApiKeyId,
    /// W3C `traceparent` of the request, handed on to the jobs that it asks for.
    pub trace_context: Option<String>,
    /// The key as it was sent. The hash of a body is keyed with it.
    pub(crate) token: Secret,
}

impl Caller {
    /// How rows name this caller.
    pub fn actor(&self) -> String {
        format!("api_key:{}", self.key)
    }

    /// A job of this caller, with the usual policy.
    pub fn job(&self, kind: JobKind, queue: Queue) -> NewJob {
        NewJob {
            trace_context: self.trace_context.clone(),
            ..NewJob::new(Some(self.org), kind, queue, self.actor())
        }
    }
}

/// Stands before every route: checks the key, and lets pass what the table allows.
pub async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned())
        .unwrap_or_default();
    match of(request.method(), &path) {
        Some(Access::Public) => next.run(request).await,
        Some(Access::Key(needed)) => match authorise(&api, request.headers(), needed).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        },
        // A method that the route does not have is answered by the router itself.
        None if TABLE
            .iter()
            .any(|row| of(&method_of(row.0), &path).is_some()) =>
        {
            next.run(request).await
        }
        None => Problem::internal(&format!(
            "{} {path} is not in the access table",
            request.method()
        ))
        .into_response(),
    }
}

fn method_of(name: &str) -> Method {
    name.parse().unwrap_or(Method::GET)
}

async fn authorise(
    api: &Api,
    headers: &axum::http::HeaderMap,
    needed: Role,
) -> Result<Caller, Problem> {
    let refused = || {
        Problem::new(
            Kind::Unauthorized,
            "The request carries no valid API key. Send `Authorization: Bearer pb_...`; `patchbay key create` makes one.",
        )
    };
    let token = bearer(headers).ok_or_else(refused)?;
    let key = api
        .store
        .authenticate(token.expose())
        .await?
        .ok_or_else(refused)?;
    if !key.role.allows(needed) {
        let detail = format!(
            "This API key has the role `{}`; this needs at least `{}`. Use another key.",
            role_name(key.role),
            role_name(needed)
        );
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    Ok(Caller {
        org: key.org_id,
        role: key.role,
        key: key.id,
        trace_context: trace_context(headers),
        token,
    })
}

/// A `traceparent` of version 00 (<https://www.w3.org/TR/trace-context/#traceparent-header>);
/// another is ignored, as the standard asks.
fn trace_context(headers: &axum::http::HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let lower_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-');
    (lengths == [2, 32, 16, 2] && text.starts_with("00-") && text.chars().all(lower_hex))
        .then(|| text.to_owned())
}

fn bearer(headers: &axum::http::HeaderMap) -> Option<Secret> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Secret::new(token.trim()))
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
        Role::Viewer => "viewer",
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::internal(&"a public route asks for a caller"))
    }
}
