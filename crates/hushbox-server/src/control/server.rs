//! The server's end of the control socket.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Reply, Request};
use crate::limits;
use crate::operator::Operator;

/// Replies that wait for a slow command.
const REPLIES_QUEUE: usize = 16;

/// Serves commands until the task is dropped.
pub async fn serve(listener: UnixListener, operator: Operator) {
    let slots = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    tracing::warn!("a command was turned away: too many at once");
                    continue;
                };
                let operator = operator.clone();
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, &operator).await {
                        tracing::debug!(%error, "a command went away");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no command can be taken");
                tokio::time::sleep(limits::ACCEPT_REST).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, operator: &Operator) -> std::io::Result<()> {
    // The kernel's word, not the peer's.
    let uid = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(0));
    loop {
        read.get_mut().set_limit(limits::CONTROL_LINE_BYTES as u64);
        let mut line = Zeroizing::new(Vec::new());
        let count = match timeout(limits::CONTROL_IDLE, read.read_until(b'\n', &mut line)).await {
            Ok(count) => count?,
            Err(_) => return Ok(()),
        };
        if count == 0 {
            return Ok(());
        }
        let request = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => request,
            // Not the text of the error: it may quote a PIN.
            Err(_) => {
                write_line(
                    &mut write,
                    &Reply::Refused("this server does not know that request".to_owned()),
                )
                .await?;
                return Ok(());
            }
        };
        answer(request, uid, operator, &mut write).await?;
    }
}

async fn answer(
    request: Request,
    uid: u32,
    operator: &Operator,
    write: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let (replies, queue) = mpsc::channel(REPLIES_QUEUE);
    let doing = async move {
        let done = operator.run(request, uid, &replies).await;
        drop(replies);
        done
    };
    let writing = async {
        // Moved in: when writing fails the queue closes, and what was being done ends.
        let mut queue = queue;
        while let Some(reply) = queue.recv().await {
            timeout(limits::WRITE_MAX, write_line(write, &reply)).await??;
        }
        Ok::<_, std::io::Error>(())
    };
    let (done, written) = tokio::join!(doing, writing);
    written?;
    match done {
        Ok(()) => write_line(write, &Reply::End).await,
        Err(error) => write_line(write, &Reply::Refused(error.to_string())).await,
    }
}

async fn write_line(
    write: &mut (impl AsyncWriteExt + Unpin),
    reply: &Reply,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    write.flush().await
}
