//! In: a layer's tar on its way to somebody else. Out: the same bytes, and what the layer's programs are. Never: a second pass, an error of its own on the way: what is no tar passes as it is.

use std::io::{self, Read};

use super::layer::{Gathering, Programs, is_program};
use super::{HEAD_BYTES, Head};
use crate::listing::ListingError;
use crate::tar::{Chunk, Reader, TarEntry};

/// Bytes of an archive between two pieces of files: extended headers, one after the other.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Passes a layer on and looks at its programs.
pub struct Tap<R: Read> {
    reader: Reader<Kept<R>>,
    /// How much of the kept bytes was handed out.
    given: usize,
    member: Option<Member>,
    gathering: Gathering,
    state: State,
}

enum State {
    Reading,
    /// The archive's end was seen; what follows passes.
    Ended,
    /// It is no archive, or one beyond a limit.
    Failed(ListingError),
}

struct Member {
    entry: TarEntry,
    /// The first bytes of a program.
    head: Option<Vec<u8>>,
}

/// Keeps what was read for whoever reads the tap.
struct Kept<R> {
    inner: R,
    bytes: Vec<u8>,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.bytes.len() > KEPT_BYTES_MAX {
            return Err(io::Error::other("headers in a row exceed the limit of 8 MiB"));
        }
        match self.inner.read(out) {
            Ok(count) => {
                self.bytes.extend_from_slice(&out[..count]);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                // The reader of the tap gets the failure itself, after the bytes before it.
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

impl<R: Read> Tap<R> {
    /// A tap on the tar of a layer.
    pub fn new(inner: R) -> Self {
        Self {
            reader: Reader::new(Kept { inner, bytes: Vec::new(), failure: None }),
            given: 0,
            member: None,
            gathering: Gathering::default(),
            state: State::Reading,
        }
    }

    /// What the layer's programs are; asked when all was read.
    ///
    /// # Errors
    /// When the stream was no layer, or was not read to its end.
    pub fn finish(self) -> Result<Programs, ListingError> {
        match self.state {
            State::Ended => Ok(self.gathering.finish()),
            State::Failed(error) => Err(error),
            State::Reading => Err(ListingError::Stream(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Reads on by one piece, so that what is kept stays small.
    fn step(&mut self) -> Result<State, ListingError> {
        if let Some(member) = &mut self.member {
            match (self.reader.next_chunk()?, &mut member.head) {
                (Some(Chunk::Bytes(bytes)), Some(head)) => {
                    head.extend_from_slice(&bytes[..bytes.len().min(HEAD_BYTES - head.len())]);
                }
                (Some(Chunk::Hole(length)), Some(head)) => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX).min(HEAD_BYTES - head.len());
                    head.resize(head.len() + length, 0);
                }
                (Some(_), None) => {}
                (None, _) => self.end_member()?,
            }
            return Ok(State::Reading);
        }
        let Some(item) = self.reader.next_item()? else { return Ok(State::Ended) };
        let head = match &item.entry {
            TarEntry::Entry(entry) if is_program(entry) => Some(Vec::new()),
            _ => None,
        };
        self.member = Some(Member { entry: item.entry, head });
        Ok(State::Reading)
    }

    fn end_member(&mut self) -> Result<(), ListingError> {
        let Some(Member { entry, head }) = self.member.take() else { return Ok(()) };
        self.gathering.push(entry, head.map(|head| Head::of(&head)))
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let kept = self.reader.stream_mut();
            let waiting = &kept.bytes[self.given..];
            if !waiting.is_empty() {
                let count = waiting.len().min(out.len());
                out[..count].copy_from_slice(&waiting[..count]);
                self.given += count;
                return Ok(count);
            }
            kept.bytes.clear();
            self.given = 0;
            if let Some(failure) = kept.failure.take() {
                return Err(failure);
            }
            if !matches!(self.state, State::Reading) {
                return kept.inner.read(out);
            }
            self.state = self.step().unwrap_or_else(State::Failed);
        }
    }
}
