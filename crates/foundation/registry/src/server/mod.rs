//! In: requests of the distribution protocol. Out: blobs and manifests of a content store. Never: a blob under a wrong digest.
