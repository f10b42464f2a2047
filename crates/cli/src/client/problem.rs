//! Refusals of the API (RFC 9457 problem details) as words and an exit code.

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::exit::{Exit, Stop};

#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    pointer: Option<String>,
    parameter: Option<String>,
    message: String,
}

/// Why the API refused.
pub async fn of(answer: Response) -> Stop {
    let status = answer.status();
    // An answer that breaks off is told by its status alone.
    let body = answer.bytes().await.unwrap_or_default();
    read(status, &body)
}

fn read(status: StatusCode, body: &[u8]) -> Stop {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => Stop::problem(exit(status), words(&problem), problem.kind),
        Err(_) => Stop::new(
            exit(status),
            format!(
                "the answer was {status}, and no problem of Patchbay: is this the right address?"
            ),
        ),
    }
}

fn exit(status: StatusCode) -> Exit {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Unauthorized,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Exit::Unreachable
        }
        status if status.is_client_error() => Exit::Refused,
        _ => Exit::Internal,
    }
}

fn words(problem: &Problem) -> String {
    let fields = problem.errors.iter().map(|error| {
        let place = error
            .pointer
            .as_deref()
            .or(error.parameter.as_deref())
            .unwrap_or("the request");
        format!("\n  {place}: {}", error.message)
    });
    let detail = if problem.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", problem.detail)
    };
    format!("{}{detail}{}", problem.title, fields.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_told() {
        let body = br#"{"type":"/problems/validation","title":"The body breaks its schema","status":422,"detail":"Two fields.",
            "errors":[{"pointer":"/config/environment","message":"is required"},{"parameter":"limit","message":"too large"}]}"#;
        let stop = read(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert!(stop.is_problem("validation") && !stop.is_problem("not-found"));
        assert_eq!(
            stop.to_string(),
            "The body breaks its schema: Two fields.\n  /config/environment: is required\n  limit: too large"
        );
    }

    #[test]
    fn statuses_have_stable_exit_codes() {
        let codes = [401, 403, 404, 409, 422, 500, 503]
            .map(|status| exit(StatusCode::from_u16(status).unwrap()).code());
        assert_eq!(codes, [4, 4, 5, 6, 6, 1, 3]);
    }

    #[test]
    fn a_foreign_answer_is_not_taken_for_a_problem() {
        let stop = read(StatusCode::NOT_FOUND, b"<html>");
        assert!(stop.to_string().contains("right address"), "{stop}");
    }
}
