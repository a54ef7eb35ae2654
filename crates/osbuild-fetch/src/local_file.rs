//! `file:` URLs.

use std::io::Read as _;
use std::path::Path;

use crate::FetchError;
use crate::disk_space::write_error;
use crate::mirrors::Blame;
use crate::sink::Sink;
use crate::transfer::{Counter, Failure};

const READ_SIZE: usize = 1024 * 1024;

/// Copies a file of this machine into the sink.
pub(crate) async fn copy(
    path: &Path,
    url: &str,
    counter: &Counter,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let failure = |error: std::io::Error| {
        let error = FetchError::Url {
            url: url.to_owned(),
            reason: error.to_string(),
        };
        Failure::new(error, Blame::Mirror)
    };
    sink.reset()
        .map_err(|failure| Failure::new(write_error(failure, url, None), Blame::Nobody))?;
    let mut file = fs_err::File::open(path).map_err(failure)?;
    let size = file.metadata().map_err(failure)?.len();
    counter.set_size(size);
    sink.check_room(url, size)
        .map_err(|error| Failure::new(error, Blame::Nobody))?;
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let count = file.read(&mut buffer).map_err(failure)?;
        if count == 0 {
            return Ok(());
        }
        let more = size.saturating_sub(sink.length());
        sink.append(&buffer[..count]).map_err(|failure| {
            Failure::new(write_error(failure, url, Some(more)), Blame::Nobody)
        })?;
        counter.set_received(sink.length());
        // The other transfers, and cancellation, get their turn between two pieces.
        tokio::task::yield_now().await;
    }
}
