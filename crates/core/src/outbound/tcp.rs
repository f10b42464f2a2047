//! Connections for protocols that are not HTTP (SMTP), under the same address policy: the
//! whole answer of the resolver is judged, what was judged is connected to, and the peer is
//! judged again. TLS is verified against the name that was asked for.
//!
//! It speaks no protocol, and whether a connection may stay in clear is not its to decide.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Origin, Outbound, OutboundError, Stage};

/// A connection to a judged address, in clear or under TLS.
pub struct TcpConnection {
    origin: Origin,
    connect: Duration,
    wire: Wire,
}

enum Wire {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl fmt::Debug for TcpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpConnection")
            .field("origin", &self.origin.to_string())
            .field("is_encrypted", &self.is_encrypted())
            .finish()
    }
}

/// Certificates in PEM that cannot serve as trust anchors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnchors {
    /// No `BEGIN CERTIFICATE` in it.
    #[error("holds no certificate in PEM form")]
    Empty,
    /// One of them is no certificate.
    #[error("holds a certificate that cannot be read")]
    Unreadable,
}

/// Reads certificates in PEM as trust anchors.
///
/// # Errors
/// There is none, or one of them is none.
pub fn trust_anchors(pem: &str) -> Result<RootCertStore, InvalidAnchors> {
    let mut anchors = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| InvalidAnchors::Unreadable)?;
        anchors
            .add(certificate)
            .map_err(|_| InvalidAnchors::Unreadable)?;
    }
    if anchors.is_empty() {
        Err(InvalidAnchors::Empty)
    } else {
        Ok(anchors)
    }
}

impl Outbound {
    /// Connects to a service that is not HTTP.
    ///
    /// # Errors
    /// The address policy refused what the name leads to, or nobody is there.
    pub async fn connect_tcp(&self, origin: &Origin) -> Result<TcpConnection, OutboundError> {
        let late = |_| OutboundError::Timeout {
            origin: origin.clone(),
            stage: Stage::Connect,
            limit: self.connect,
        };
        let stream = timeout(self.connect, self.reach(origin))
            .await
            .map_err(late)??;
        Ok(TcpConnection {
            origin: origin.clone(),
            connect: self.connect,
            wire: Wire::Clear(stream),
        })
    }

    async fn reach(&self, origin: &Origin) -> Result<TcpStream, OutboundError> {
        let dns = |reason: String| OutboundError::Dns {
            origin: origin.clone(),
            reason,
        };
        // A literal address comes back as itself, in whichever way it is written.
        let found: Vec<SocketAddr> = tokio::net::lookup_host((origin.host(), origin.port()))
            .await
            .map_err(|error| dns(error.to_string()))?
            .collect();
        let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
        self.policy
            .check(origin.host(), &addresses)
            .map_err(|address| OutboundError::Blocked {
                origin: origin.clone(),
                address,
            })?;
        let mut refused = None;
        for address in found {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.judged_again(origin, stream),
                Err(error) => refused = Some(error),
            }
        }
        Err(match refused {
            Some(error) => connect_error(origin, &error),
            None => dns("no address".into()),
        })
    }

    /// A connection that leads elsewhere than to what was judged is a defect.
    fn judged_again(&self, origin: &Origin, stream: TcpStream) -> Result<TcpStream, OutboundError> {
        let peer = stream
            .peer_addr()
            .map_err(|error| connect_error(origin, &error))?;
        self.check_address(origin, peer.ip())?;
        // Small commands wait for their answers: nothing is gained by collecting them.
        stream
            .set_nodelay(true)
            .map_err(|error| connect_error(origin, &error))?;
        Ok(stream)
    }

    /// What a server's certificate is verified with: these anchors and no others, or the
    /// system's.
    ///
    /// # Errors
    /// The system has no trust anchors.
    pub fn tls(&self, anchors: Option<RootCertStore>) -> Result<Arc<ClientConfig>, OutboundError> {
        let setup = |error: rustls::Error| OutboundError::Setup(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(setup)?;
        let verified = match anchors {
            Some(anchors) => builder.with_root_certificates(anchors),
            None => builder.with_platform_verifier().map_err(setup)?,
        };
        Ok(Arc::new(verified.with_no_client_auth()))
    }
}

fn connect_error(origin: &Origin, error: &std::io::Error) -> OutboundError {
    OutboundError::Connect {
        origin: origin.clone(),
        reason: error.to_string(),
    }
}

impl TcpConnection {
    /// Where it leads.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether what is sent is encrypted, to a peer whose name was verified.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        match self.wire {
            Wire::Clear(_) => false,
            Wire::Tls(_) => true,
        }
    }

    /// The same connection under TLS. What a peer sent before in clear must have been
    /// read to its end: anything behind it breaks the handshake.
    ///
    /// # Errors
    /// The certificate is not trusted or not the host's, or no handshake came about.
    pub async fn secured(self, config: Arc<ClientConfig>) -> Result<Self, OutboundError> {
        let Self {
            origin,
            connect,
            wire,
        } = self;
        let failed = |reason: String| OutboundError::Tls {
            origin: origin.clone(),
            reason,
        };
        let Wire::Clear(stream) = wire else {
            return Err(failed("it is encrypted already".into()));
        };
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|_| failed("a certificate cannot name this host".into()))?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        let stream = timeout(connect, handshake)
            .await
            .map_err(|_| OutboundError::Timeout {
                origin: origin.clone(),
                stage: Stage::Connect,
                limit: connect,
            })?
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            wire: Wire::Tls(Box::new(stream)),
            origin,
            connect,
        })
    }
}

impl AsyncRead for TcpConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for TcpConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
