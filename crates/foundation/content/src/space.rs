//! In: what rooms want remembered. Out: the kinds of metadata rows, what a row points at, changes to apply together. Never: what the bytes of a row mean.

use crossdock_oci::BlobDigest;

/// How the key of an Image row begins when the image has no name; what follows is its digest.
pub const UNTAGGED_PREFIX: &str = "untagged/";

/// A kind of metadata row. The number is what stands in the database: it never changes and is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// A name of an image kept here: a reference, or [`UNTAGGED_PREFIX`] and a digest. A root of garbage collection.
    Image = 1,
    /// A result stored under a cache key. Kept until pruned.
    Record = 2,
    /// What is known of a layer: its blobs, origins, sizes. Lives while something links to it.
    Layer = 3,
    /// An unpacked layer in `snapshots/<key>`. Lives while something links to it.
    Snapshot = 4,
    /// Every entry of a layer. Lives while something links to it.
    Listing = 5,
    /// A compressed chunk of a layer. Kept until pruned.
    Chunk = 6,
    /// How a blob was made from a diffID. Kept until pruned.
    Recipe = 7,
    /// What a moving name of the outside meant last. Kept until pruned.
    Pin = 8,
    /// The stat index of a context directory. Kept until pruned.
    Stat = 9,
    /// A container, which needs its image. A root of garbage collection: only who removes the container removes the row.
    Container = 10,
}

impl Space {
    /// All kinds of rows, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Image,
        Self::Record,
        Self::Layer,
        Self::Snapshot,
        Self::Listing,
        Self::Chunk,
        Self::Recipe,
        Self::Pin,
        Self::Stat,
        Self::Container,
    ];

    /// Whether rows of this kind are kept for speed only: they are roots until pruned, and losing one costs time.
    pub const fn is_cache(self) -> bool {
        matches!(self, Self::Record | Self::Chunk | Self::Recipe | Self::Pin | Self::Stat)
    }

    /// Whether rows of this kind live only while something links to them or a lease covers them.
    pub const fn is_kept_by_links(self) -> bool {
        matches!(self, Self::Layer | Self::Snapshot | Self::Listing)
    }

    /// The word for one such row in messages.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Record => "cache record",
            Self::Layer => "layer",
            Self::Snapshot => "snapshot",
            Self::Listing => "listing",
            Self::Chunk => "chunk",
            Self::Recipe => "recipe",
            Self::Pin => "pin",
            Self::Stat => "stat index",
            Self::Container => "container",
        }
    }

    pub(crate) const fn number(self) -> i64 {
        self as i64
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|space| space.number() == number)
    }
}

/// Something a row needs: it is kept at least as long as the row. It may be absent (a layer still in its registry).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// The blob with this digest.
    Blob(BlobDigest),
    /// The row of this kind with this key.
    Row(Space, String),
}

/// A row to be written: its bytes are opaque here (JSON by convention), its links are what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    pub space: Space,
    pub key: &'a str,
    pub value: &'a [u8],
    pub links: &'a [Link],
}

/// One change of the metadata; [`crate::Store::apply`] makes several of them in one transaction.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Write the row, replacing an older one with the same key, its value and its links.
    Put(Row<'a>),
    /// Forget the row; what it linked to goes at the next collection, unless something else needs it.
    Remove(Space, &'a str),
    /// Note that the row was used now. A row that is not there is passed over.
    Touch(Space, &'a str),
}

/// What is known of a row besides its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowInfo {
    pub key: String,
    /// Bytes of the value.
    pub value_bytes: u64,
    /// Seconds since 1970 at which the row was written.
    pub created_unix_s: i64,
    /// Seconds since 1970 at which the row was last written, touched or, under a lease, read.
    pub used_unix_s: i64,
}

/// What is known of a stored blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    pub digest: BlobDigest,
    pub size_bytes: u64,
    /// Seconds since 1970 at which the blob came in.
    pub created_unix_s: i64,
    /// Seconds since 1970 at which the blob last came in or, under a lease, was asked for.
    pub used_unix_s: i64,
}
