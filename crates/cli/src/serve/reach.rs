//! Whether a server of the settings can be reached at all, and if not, why.

use std::time::Duration;

use tokio::net::TcpStream;
use url::Url;

const WITHIN: Duration = Duration::from_secs(3);

/// Whether somebody listens at the address, in a sentence if not.
pub async fn listens(what: &str, url: &str, usual_port: u16) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("the address of {what}: {error}"))?;
    // Without a host, or with one in the query, it is a socket file: the driver finds it.
    let Some(host) = parsed.host_str().filter(|host| !host.is_empty()) else {
        return Ok(());
    };
    let address = (
        host.trim_matches(['[', ']']),
        parsed.port().unwrap_or(usual_port),
    );
    let trouble = match tokio::time::timeout(WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {WITHIN:?}"),
    };
    Err(format!(
        "{what} at {}:{} cannot be reached: {trouble}",
        address.0, address.1
    ))
}
