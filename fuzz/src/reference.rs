//! In: any text as an image's name, a platform, a digest. Out: nothing. Never: a panic, a name that is another one when it is read again.

use crossdock_oci::{BlobDigest, Platform, PlatformMatcher, Reference};

/// Reads the words of a command line.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<Reference>() {
        for shown in [name.to_string(), name.familiar()] {
            let again: Reference = shown.parse().expect("a name reads what it wrote");
            assert_eq!(again, name, "{shown}");
        }
        let tagged = name.tagged_or_latest();
        assert!(tagged.tag().is_some() || tagged.digest().is_some());
    }
    if let Ok(platform) = text.parse::<Platform>() {
        let again: Platform = platform.to_string().parse().expect("a platform reads what it wrote");
        // The version of an operating system is not shown.
        assert_eq!(
            (&again.os, &again.architecture, &again.variant),
            (&platform.os, &platform.architecture, &platform.variant)
        );
        assert!(PlatformMatcher::new(&platform).rank(&platform).is_some());
        assert!(!platform.file_name().contains('/'));
    }
    if let Ok(digest) = text.parse::<BlobDigest>() {
        assert_eq!(digest.to_string(), text);
    }
}
