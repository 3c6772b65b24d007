//! The command's end of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use zeroize::Zeroizing;

use super::socket::SocketPath;
use super::{Reply, Request};
use crate::config::Config;
use crate::limits;

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no server answers at {at}: is it running? ({source})")]
    NotRunning {
        /// The socket's path.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// This user may not.
    #[error("the control socket {at} is for the server's user and group only")]
    NotAllowed {
        /// The socket's path.
        at: String,
    },
    /// The server went away in the middle.
    #[error("the server went away before it had answered: {0}")]
    Broken(#[from] io::Error),
    /// What was answered could not be kept.
    #[error("what the server sent could not be written: {0}")]
    NotWritten(#[source] io::Error),
    /// What came is not an answer.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The server says no.
    #[error("{0}")]
    Refused(String),
}

/// Sends `request` and hands each reply to `each`, up to the end of the answer.
pub fn ask(
    config: &Config,
    request: &Request,
    mut each: impl FnMut(Reply) -> io::Result<()>,
) -> Result<(), ControlError> {
    let at = config.socket_folder().join(Config::SOCKET).display().to_string();
    let connected = SocketPath::new(config.socket_folder(), Config::SOCKET)
        .and_then(|path| UnixStream::connect(path.path()));
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(ControlError::NotAllowed { at });
        }
        Err(source) => return Err(ControlError::NotRunning { at, source }),
    };
    let mut line = Zeroizing::new(serde_json::to_vec(request)?);
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let read = reader.by_ref().take(limits::CONTROL_REPLY_BYTES as u64).read_line(&mut line)?;
        if read == 0 {
            return Err(ControlError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        match serde_json::from_str(&line)? {
            Reply::End => return Ok(()),
            Reply::Refused(why) => return Err(ControlError::Refused(why)),
            reply => each(reply).map_err(ControlError::NotWritten)?,
        }
    }
}

/// Asks for rows.
pub fn rows(config: &Config, request: &Request) -> Result<Vec<serde_json::Value>, ControlError> {
    let mut rows = Vec::new();
    ask(config, request, |reply| {
        if let Reply::Row(row) = reply {
            rows.push(row);
        }
        Ok(())
    })?;
    Ok(rows)
}
