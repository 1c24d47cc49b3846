//! In: a reader. Out: its bytes, read and worked on by a thread that is some pieces ahead. Never: more than [`PIECES_MAX`] pieces in memory.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Pieces that are ahead: 2 MiB.
const PIECES_MAX: usize = 8;
const PIECE_BYTES: usize = 256 << 10;

/// Gives the bytes of `source` to `consume`, which ends where it likes. The source comes back as far as it was read: to its end when `consume` got there.
pub(super) fn read_ahead<R: Read + Send, T>(mut source: R, consume: impl FnOnce(Ahead) -> T) -> (T, R) {
    let (full, pieces) = sync_channel(PIECES_MAX);
    let (spent, empty) = sync_channel(PIECES_MAX);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            send(&mut source, &full, &empty);
            source
        });
        let outcome = consume(Ahead { pieces, spent, piece: Vec::new(), at: 0 });
        (outcome, reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Reads until the source ends or fails, or nobody wants more.
fn send(source: &mut impl Read, full: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.clear();
        piece.reserve(PIECE_BYTES);
        // As much as fits: decoders give little at a time.
        let read = source.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
        let is_last = !matches!(read, Ok(count) if count == PIECE_BYTES);
        let sent = full.send(Ok(piece)).and_then(|()| read.err().map_or(Ok(()), |error| full.send(Err(error))));
        if is_last || sent.is_err() {
            return;
        }
    }
}

/// The bytes that were read ahead.
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    spent: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Ok(next) = self.pieces.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.piece, next?);
            self.at = 0;
            // Nobody wants it back when the last piece was read.
            let _ = self.spent.try_send(used);
        }
        let count = out.len().min(self.piece.len() - self.at);
        out[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives few bytes at a time, and fails where it is told to.
    struct Slow {
        left: usize,
        fails: bool,
    }

    impl Read for Slow {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 && self.fails {
                return Err(io::Error::other("damaged"));
            }
            let count = out.len().min(self.left).min(1000);
            out[..count].fill(7);
            self.left -= count;
            Ok(count)
        }
    }

    #[test]
    fn all_bytes_come_and_the_source_is_back_at_its_end() {
        for size in [0, 1, PIECE_BYTES, PIECE_BYTES * PIECES_MAX * 3 + 5] {
            let (bytes, source) = read_ahead(Slow { left: size, fails: false }, |mut ahead| {
                let mut bytes = Vec::new();
                ahead.read_to_end(&mut bytes).map(|_| bytes)
            });
            assert_eq!(bytes.unwrap(), vec![7; size]);
            assert_eq!(source.left, 0);
        }
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it() {
        let size = PIECE_BYTES + 5;
        let ((read, error), _) = read_ahead(Slow { left: size, fails: true }, |mut ahead| {
            let mut bytes = Vec::new();
            let error = ahead.read_to_end(&mut bytes).unwrap_err();
            (bytes.len(), error)
        });
        assert_eq!((read, error.to_string().as_str()), (size, "damaged"));
    }

    #[test]
    fn a_consumer_may_stop_early() {
        let endless = || io::repeat(1);
        let ((), _) = read_ahead(endless(), drop);
        let (byte, _) = read_ahead(endless(), |mut ahead| {
            let mut byte = [0];
            ahead.read_exact(&mut byte).map(|()| byte)
        });
        assert_eq!(byte.unwrap(), [1]);
    }
}
