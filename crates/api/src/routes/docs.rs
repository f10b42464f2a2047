//! The API describes itself: the OpenAPI document, a page that shows it without
//! any foreign host, and a page for each kind of problem.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        content::ContentBuilder,
        response::ResponseBuilder,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::{
    access::{self, Access},
    extract::Key,
    problem::{KINDS, Kind, Problem, ProblemBody},
    state::Api,
};

/// What the handlers cannot say of the document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Patchbay",
        description = "Connects an organization's accounts at other systems, keeps their credentials, and pulls their \
                       data with visible progress.\n\nErrors are problem details (RFC 9457). Lists come in pages: send \
                       `next` of a page as `cursor` of the next request. A trailing slash is accepted. Work is done by \
                       jobs: routes that start some answer 202 with the job; `?wait=10` waits for its end. \
                       `Idempotency-Key` on POST makes a repeat harmless for 24 hours.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemBody)),
    security(("api_key" = [])),
    modifiers(&ApiKey),
    tags(
        (name = "providers", description = "What can be connected"),
        (name = "connections", description = "Accounts, their credentials, syncs and records"),
        (name = "consents", description = "Connecting by consent (OAuth)"),
        (name = "jobs", description = "Durable pieces of work"),
        (name = "retry policy", description = "How failed work is tried again, and what waits for a person"),
        (name = "progress", description = "Server-sent events: state, not deltas"),
        (name = "overview", description = "Counts and the activity log"),
        (name = "probes", description = "For those who run it"),
        (name = "documents", description = "The API describes itself"),
    ),
)]
pub struct Document;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(
            Http::builder()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("pb_...")
                .build(),
        );
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("api_key", scheme);
    }
}

/// Adds what follows from the path: a unique name, and for every route with a key the role it
/// needs and the refusals.
pub fn finish(document: &mut utoipa::openapi::OpenApi) {
    let paths: Vec<String> = document.paths.paths.keys().cloned().collect();
    for path in paths {
        let Some(item) = document.paths.paths.get_mut(&path) else {
            continue;
        };
        for (method, operation) in [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("PATCH", &mut item.patch),
            ("DELETE", &mut item.delete),
        ] {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, &path));
            let method: axum::http::Method = method.parse().expect("the names above are methods");
            let Some(Access::Key(role)) = access::of(&method, &path) else {
                continue;
            };
            let role = sea_orm::ActiveEnum::to_value(&role);
            let text = operation.description.take().unwrap_or_default();
            operation.description = Some(
                format!("{text}\n\nNeeds a key with the role `{role}` or more.")
                    .trim()
                    .to_owned(),
            );
            for (status, words) in [
                ("401", "No valid API key"),
                ("403", "The key's role is not enough"),
                ("503", "The database is away; see `Retry-After`"),
                ("default", "Any other refusal; `type` says which"),
            ] {
                let content = ContentBuilder::new()
                    .schema(Some(utoipa::openapi::Ref::from_schema_name("Problem")))
                    .build();
                let refusal = ResponseBuilder::new()
                    .description(words)
                    .content("application/problem+json", content);
                operation
                    .responses
                    .responses
                    .insert(status.to_owned(), refusal.build().into());
            }
        }
    }
}

/// `get_connections_id_records`: unique, because method and path are.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix(access::BASE).unwrap_or(path);
    let words = path
        .split(['/', '{', '}', '.', '-'])
        .filter(|word| !word.is_empty());
    std::iter::once(method.to_lowercase().as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

/// The OpenAPI document (3.1).
#[utoipa::path(
    get, path = "/openapi.json", tag = "documents", security(()),
    responses((status = 200, content_type = "application/json", body = Object)),
)]
pub async fn document(State(api): State<Api>) -> Response {
    let mut response = Response::new(axum::body::Body::from(api.document.clone()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// The same for people.
#[utoipa::path(
    get, path = "/docs", tag = "documents", security(()),
    responses((status = 200, content_type = "text/html", body = String)),
)]
pub async fn page() -> Response {
    let mut response = Html(include_str!("docs.html")).into_response();
    // The page draws itself from /openapi.json and nothing else.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    response
}

/// What a kind of problem means.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ProblemKind {
    /// As `type` of a problem says it.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: String,
    /// The HTTP status it comes with.
    status: u16,
    /// What it means and what to do.
    description: String,
}

/// Explains the `type` of a problem.
#[utoipa::path(
    get, path = "/problems/{slug}", tag = "documents", security(()),
    params(("slug" = String, Path, description = "Last part of the problem's `type`")),
    responses((status = 200, body = ProblemKind), (status = 404, body = ProblemBody)),
)]
pub async fn problem(Key(slug): Key) -> Result<Json<ProblemKind>, Problem> {
    let (_, status, slug, title, description) = KINDS
        .iter()
        .find(|row| row.2 == slug)
        .ok_or_else(|| Problem::new(Kind::NotFound, "There is no such kind of problem."))?;
    Ok(Json(ProblemKind {
        kind: format!("/problems/{slug}"),
        title: (*title).into(),
        status: status.as_u16(),
        description: (*description).into(),
    }))
}
