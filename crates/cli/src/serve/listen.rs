//! Opening a listening address, with words for the usual trouble.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::exit::{Exit, Outcome, Stop};

/// Listens on the address of a setting.
pub async fn on(address: SocketAddr, setting: &str) -> Outcome<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::AddrInUse { Exit::InUse } else { Exit::Internal };
        let flag = setting.replace(['_', '.'], "-");
        Stop::new(exit, format!("cannot listen on {address}: {error}; choose another address with --{flag} (port 0: any free one)"))
    })
}

/// The address as a person opens it: of a wildcard the loopback address.
pub fn url_of(listener: &TcpListener) -> std::io::Result<String> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}"))
}
