//! The client against servers on loopback that behave in one way each.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use url::Url;

use crate::{
    outbound::{
        AddressPolicy, Credential, Limits, Method, Origin, Outbound, OutboundConfig, OutboundError,
        OutboundRequest, Stage, header::HeaderValue,
    },
    secret::Secret,
};

/// Answers every connection with these bytes, then keeps it open or closes it.
/// What it was sent comes through the channel.
async fn server(answer: &'static str, keep_open: bool) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                let Ok(length) = stream.read(&mut buffer).await else {
                    return;
                };
                if seen
                    .send(String::from_utf8_lossy(&buffer[..length]).into_owned())
                    .is_err()
                {
                    return;
                }
                if stream.write_all(answer.as_bytes()).await.is_ok() && keep_open {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (port, requests)
}

fn allowing(allowed: &str) -> Outbound {
    let allow = vec![allowed.parse().expect("allowed")];
    let config = OutboundConfig {
        policy: AddressPolicy { allow },
        connect: Duration::from_secs(2),
    };
    Outbound::new(config).expect("a client")
}

fn url(host: &str, port: u16) -> Url {
    Url::parse(&format!("http://{host}:{port}/path?secret=s3cr3t")).expect("a test address")
}

fn short() -> Limits {
    Limits {
        header: Duration::from_millis(200),
        total: Duration::from_millis(400),
        body: 1000,
    }
}

async fn refused(outbound: &Outbound, url: Url) -> OutboundError {
    let mut request = OutboundRequest::get(url);
    request.limits = short();
    let error = outbound.send(request).await.expect_err("an error");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
    error
}

#[tokio::test]
async fn an_answer_comes_whole_and_the_request_says_who_asks() {
    let (port, mut requests) = server(
        "HTTP/1.1 418 Teapot\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello",
        false,
    )
    .await;
    let mut request = OutboundRequest::post_json(url("127.0.0.1", port), &[1, 2]).expect("JSON");
    request.trace_context = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    let answer = allowing("127.0.0.0/8")
        .send(request)
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_slice()),
        (418, b"hello".as_slice())
    );
    assert_eq!(answer.headers["x-a"], "b");
    let sent = requests
        .recv()
        .await
        .expect("a request")
        .to_ascii_lowercase();
    assert!(
        sent.starts_with("post /path?secret=s3cr3t http/1.1\r\n"),
        "{sent}"
    );
    assert!(
        sent.contains(concat!(
            "user-agent: patchbay/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        )),
        "{sent}"
    );
    assert!(
        sent.contains("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
        "{sent}"
    );
    assert!(sent.ends_with("\r\n\r\n[1,2]"), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (port, _requests) = server(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        false,
    )
    .await;
    let request = OutboundRequest::get(url("127.0.0.1", port));
    assert_eq!(
        allowing("127.0.0.0/8")
            .send(request)
            .await
            .expect("an answer")
            .status
            .as_u16(),
        302
    );
}

#[tokio::test]
async fn loopback_is_refused_by_literal_and_by_name_and_hears_nothing() {
    let (port, mut requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    let strict = Outbound::new(OutboundConfig::default()).expect("a client");
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "localhost",
    ] {
        let error = refused(&strict, url(host, port)).await;
        assert!(
            matches!(error, OutboundError::Blocked { .. }),
            "{host}: {error:?}"
        );
    }
    assert!(requests.try_recv().is_err(), "something was sent");
}

#[tokio::test]
async fn an_allowed_host_name_is_reached() {
    let (port, _requests) = server("HTTP/1.1 204 No Content\r\n\r\n", false).await;
    let request = OutboundRequest::get(url("localhost", port));
    assert_eq!(
        allowing("localhost")
            .send(request)
            .await
            .expect("an answer")
            .status
            .as_u16(),
        204
    );
}

#[tokio::test]
async fn a_credential_goes_to_its_origins_only() {
    let (port, mut requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    let outbound = allowing("127.0.0.0/8");
    let target = url("127.0.0.1", port);
    let elsewhere = Origin::of(&url("127.0.0.1", port.wrapping_add(1).max(1))).expect("an origin");
    let credential = Credential::bearer(Secret::new("t0ken"), vec![elsewhere]);
    let error = outbound
        .send(OutboundRequest::get(target.clone()).credential(credential))
        .await;
    assert!(
        matches!(error, Err(OutboundError::ForeignHost { .. })),
        "{error:?}"
    );
    assert!(requests.try_recv().is_err(), "something was sent");

    let credential = Credential::bearer(
        Secret::new("t0ken"),
        vec![Origin::of(&target).expect("an origin")],
    );
    let request = OutboundRequest::get(target).credential(credential);
    assert!(!format!("{request:?}").contains("t0ken"));
    outbound.send(request).await.expect("an answer");
    let sent = requests.recv().await.expect("a request");
    assert!(sent.contains("authorization: Bearer t0ken\r\n"), "{sent}");
}

#[tokio::test]
async fn a_secret_body_goes_to_its_origins_only_and_is_not_printed() {
    let (port, mut requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    let outbound = allowing("127.0.0.0/8");
    let target = url("127.0.0.1", port);
    let here = Origin::of(&target).expect("an origin");
    let elsewhere = Origin::of(&url("127.0.0.1", port.wrapping_add(1).max(1))).expect("an origin");
    let request = |origin| {
        OutboundRequest::new(Method::POST, target.clone()).secret_body(
            HeaderValue::from_static("application/x-www-form-urlencoded"),
            b"code=s3cr3t".to_vec(),
            vec![origin],
        )
    };
    let printed = format!("{:?}", request(here.clone()));
    // Neither as text nor as the numbers of its bytes.
    assert!(
        !printed.contains("s3cr3t") && !printed.contains("51, 99"),
        "{printed}"
    );
    let error = outbound.send(request(elsewhere)).await;
    assert!(
        matches!(error, Err(OutboundError::ForeignHost { .. })),
        "{error:?}"
    );
    assert!(requests.try_recv().is_err(), "something was sent");
    outbound.send(request(here)).await.expect("an answer");
    let sent = requests.recv().await.expect("a request");
    assert!(sent.starts_with("POST "), "{sent}");
}

#[tokio::test]
async fn basic_authentication_encodes_id_and_secret_before_it_joins_them() {
    let (port, mut requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    let target = url("127.0.0.1", port);
    let origins = vec![Origin::of(&target).expect("an origin")];
    let credential = Credential::basic("my:client", &Secret::new("p w%"), origins);
    let request = OutboundRequest::get(target).credential(credential);
    allowing("127.0.0.0/8")
        .send(request)
        .await
        .expect("an answer");
    let sent = requests.recv().await.expect("a request");
    // base64("my%3Aclient:p+w%25"), RFC 6749 section 2.3.1.
    assert!(
        sent.contains("authorization: Basic bXklM0FjbGllbnQ6cCt3JTI1\r\n"),
        "{sent}"
    );
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_announced_or_not() {
    const LONG: &str = concat!(
        "0123456789",
        "0123456789",
        "0123456789",
        "0123456789",
        "0123456789"
    );
    let (announced, _requests) =
        server("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", true).await;
    let (streamed, _more) = {
        let body = LONG.repeat(21);
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        server(Box::leak(answer.into_boxed_str()), true).await
    };
    for port in [announced, streamed] {
        let error = refused(&allowing("127.0.0.0/8"), url("127.0.0.1", port)).await;
        assert!(
            matches!(error, OutboundError::TooLarge { limit: 1000, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn silence_and_trickles_end_at_their_deadlines() {
    let (silent, _requests) = server("", true).await;
    let error = refused(&allowing("127.0.0.0/8"), url("127.0.0.1", silent)).await;
    assert!(
        matches!(
            error,
            OutboundError::Timeout {
                stage: Stage::Header,
                ..
            }
        ),
        "{error:?}"
    );
    let (half, _requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", true).await;
    let error = refused(&allowing("127.0.0.0/8"), url("127.0.0.1", half)).await;
    assert!(
        matches!(
            error,
            OutboundError::Timeout {
                stage: Stage::Total,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_that_ends_early_a_closed_port_and_a_wrong_protocol_are_told_apart() {
    let outbound = allowing("127.0.0.0/8");
    let (half, _requests) = server("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", false).await;
    let error = refused(&outbound, url("127.0.0.1", half)).await;
    assert!(matches!(error, OutboundError::Broken { .. }), "{error:?}");

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port")
        .local_addr()
        .expect("bound")
        .port();
    let error = refused(&outbound, url("127.0.0.1", closed)).await;
    assert!(matches!(error, OutboundError::Connect { .. }), "{error:?}");

    let (plain, _requests) = server("HTTP/1.1 400 Bad Request\r\n\r\n", false).await;
    let mut https = url("127.0.0.1", plain);
    https.set_scheme("https").expect("a web scheme");
    let error = refused(&outbound, https).await;
    assert!(matches!(error, OutboundError::Tls { .. }), "{error:?}");

    let ftp = Url::parse("ftp://127.0.0.1/x?secret=s3cr3t").expect("an address");
    assert!(matches!(
        refused(&outbound, ftp).await,
        OutboundError::Malformed(_)
    ));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_error() {
    // RFC 6761: `.invalid` never resolves.
    let error = refused_slowly(url("no-such-host.invalid", 80)).await;
    assert!(matches!(error, OutboundError::Dns { .. }), "{error:?}");
}

async fn refused_slowly(url: Url) -> OutboundError {
    allowing("127.0.0.0/8")
        .send(OutboundRequest::get(url))
        .await
        .expect_err("an error")
}
