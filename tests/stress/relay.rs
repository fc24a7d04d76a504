//! A balancer in front of two replicas, as simple as they come: every new connection goes to the
//! preferred replica, or to the other one if that takes none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A running relay; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where clients connect to.
    pub(crate) address: SocketAddr,
    preferred: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Listens in front of two replicas.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub(crate) async fn start(replicas: [SocketAddr; 2]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the relay")?;
        let address = listener.local_addr()?;
        let preferred = Arc::new(AtomicUsize::new(0));
        let choice = preferred.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let first = choice.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    for replica in [replicas[first], replicas[1 - first]] {
                        if let Ok(mut server) = TcpStream::connect(replica).await {
                            // Either end may vanish: that is what is tested.
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self { address, preferred, task: task.abort_handle() })
    }

    /// Sends new connections to this replica.
    pub(crate) fn prefer(&self, replica: usize) {
        self.preferred.store(replica, Ordering::Relaxed);
    }
}
