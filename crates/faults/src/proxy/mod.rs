//! A wire that the test holds in its hand: between a process of the product and its database
//! or Redis. It can be cut, or go dead without a word; on the way to PostgreSQL it can also
//! change what the product says ([`rewrite`]), which is how bugs are seeded.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

pub mod rewrite;

use rewrite::Rewriting;

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Carries.
    Whole,
    /// Carries nothing and says nothing, as a cable that was pulled.
    Dead,
    /// Breaks what is open and refuses what is new.
    Cut,
}

/// A port of ours that leads to a server's.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    wire: watch::Sender<Wire>,
}

impl Proxy {
    /// Listens until the runtime ends. What the client says may be rewritten on the way.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open(server: u16, rewriting: Option<Rewriting>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (wire, held) = watch::channel(Wire::Whole);
        let rewriting = rewriting.map(Arc::new);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (held, rewriting) = (held.clone(), rewriting.clone());
                tokio::spawn(carry(client, server, held, rewriting));
            }
        });
        Ok(Self { port, wire })
    }

    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

/// An end on either side ends both.
async fn carry(
    client: TcpStream,
    server: u16,
    mut held: watch::Receiver<Wire>,
    rewriting: Option<Arc<Rewriting>>,
) {
    if held.wait_for(|wire| *wire != Wire::Dead).await.is_err() || *held.borrow() == Wire::Cut {
        return;
    }
    let Ok(upstream) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server))).await else {
        return;
    };
    if client.set_nodelay(true).is_err() || upstream.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = upstream.into_split();
    let mut cut = held.clone();
    let carried = async {
        match rewriting {
            None => tokio::select! {
                () = pass(from_client, to_server, held.clone()) => {}
                () = pass(from_server, to_client, held) => {}
            },
            Some(rewriting) => {
                rewriting
                    .carry((from_client, to_client), (from_server, to_server))
                    .await;
            }
        }
    };
    tokio::select! {
        () = carried => {}
        _ = cut.wait_for(|wire| *wire == Wire::Cut) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<Wire>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if held.wait_for(|wire| *wire == Wire::Whole).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
