//! In: values and descriptors. Out: the same values and descriptors on the other side of a socket. Never: a partial message; a damaged one is an error.
//!
//! A frame is its length (4 bytes, little endian), then JSON. Descriptors travel with the length.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message, in bytes. A step's arguments and environment are the biggest; the kernel itself allows 6 MiB of them.
const MESSAGE_BYTES_MAX: u32 = 64 << 20;
/// How many descriptors one message may carry.
const DESCRIPTORS_MAX: usize = 8;

/// Sends a value and its descriptors.
///
/// # Errors
/// When the other side is gone.
pub(crate) fn send<T: Serialize>(stream: &UnixStream, value: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let body = serde_json::to_vec(value).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).ok().filter(|&length| length <= MESSAGE_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "message too long"))?;
    send_bytes(stream.as_fd(), &length.to_le_bytes(), descriptors)?;
    let mut stream = stream;
    stream.write_all(&body)
}

/// Receives a value and its descriptors; `None` when the other side has closed.
///
/// # Errors
/// When the message is cut short or not understood.
pub(crate) fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut head = [0; 4];
    let (count, descriptors) = receive_bytes(stream.as_fd(), &mut head)?;
    if count == 0 {
        return Ok(None);
    }
    let mut stream = stream;
    stream.read_exact(&mut head[count..])?;
    let length = u32::from_le_bytes(head);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too long"));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    let value = serde_json::from_slice(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((value, descriptors)))
}

/// Sends a few bytes with descriptors in one message.
pub(crate) fn send_bytes(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    let sent =
        rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL))?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives up to a buffer of bytes, and the descriptors that come with them. 0 bytes: the other side has closed.
pub(crate) fn receive_bytes(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = rustix::io::retry_on_intr(|| recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC))?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((received.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_descriptors_arrive() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut pipe_read, pipe_write) = std::io::pipe().unwrap();
        send(&one, &vec!["a", "b"], &[pipe_write.as_fd()]).unwrap();
        send(&one, &vec!["x".repeat(100_000)], &[]).unwrap_or_default();
        drop(pipe_write);
        let (value, descriptors) = receive::<Vec<String>>(&other).unwrap().unwrap();
        assert_eq!((value.len(), descriptors.len()), (2, 1));
        let mut writer = std::fs::File::from(descriptors.into_iter().next().unwrap());
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        pipe_read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        drop(one);
        assert!(receive::<Vec<String>>(&other).unwrap().is_some());
        assert!(receive::<Vec<String>>(&other).unwrap().is_none());
    }

    #[test]
    fn a_message_cut_short_is_an_error() {
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(&[9, 0, 0, 0, b'"']).unwrap();
        drop(one);
        assert!(receive::<String>(&other).is_err());
    }
}
