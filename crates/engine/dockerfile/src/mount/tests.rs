use super::*;

fn resolve(text: &str) -> Result<Mount, String> {
    let mut expand = |word: &str| Ok(word.replace("$X", "x"));
    MountSpec::parse(text).and_then(|spec| spec.resolve(&mut expand)).map_err(|error| error.to_string())
}

#[test]
fn keys_and_defaults() {
    let bind = resolve("source=a,target=/b").unwrap();
    assert!(bind.readonly && bind.kind == MountType::Bind);
    assert!(!resolve("type=bind,rw,dst=/b").unwrap().readonly);
    assert!(!resolve("type=bind,readonly=false,dst=/b").unwrap().readonly);
    let cache = resolve("type=cache,id=$X,target=/b,sharing=LOCKED,mode=0700,uid=1,gid=2").unwrap();
    assert_eq!((cache.id.as_str(), cache.sharing, cache.mode), ("x", Some(Sharing::Locked), Some(0o700)));
    assert!(!cache.readonly);
    assert_eq!(resolve("type=tmpfs,target=/t,size=64m").unwrap().size_bytes, 64 << 20);
    assert_eq!(resolve("type=tmpfs,target=/t,size=1.5GiB").unwrap().size_bytes, 3 << 29);
    let secret = resolve("type=secret,id=a,required,env=A").unwrap();
    assert!(secret.required && secret.env.as_deref() == Some("A"));
    assert_eq!(MountSpec::parse("type=bind,FROM=stage").unwrap().from(), "stage");
}

#[test]
fn errors_say_what_is_wrong() {
    let rows = [
        ("", "failed to parse csv mounts: it is empty"),
        ("from=$A", "'from' doesn't support variable expansion, define alias stage instead"),
        ("type=chache", "unsupported mount type \"chache\" (did you mean cache?)"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("tagret=/x", "unexpected key 'tagret' in 'tagret=/x' (did you mean target?)"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
        ("size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=1x", "invalid value for size: 1x"),
        ("mode=700", "mode not allowed for \"bind\" type mounts"),
        ("type=tmpfs,uid=0", "uid not allowed for \"tmpfs\" type mounts"),
        ("type=cache,mode=9", "invalid value 9 for mode"),
        ("type=cache,uid=joe", "invalid value joe for uid"),
        ("type=cache,sharing=share", "unsupported sharing value \"share\" (did you mean shared?)"),
        ("sharing=shared", "invalid cache sharing set for bind mount"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("ro=maybe", "invalid value for ro: maybe"),
    ];
    for (text, wanted) in rows {
        assert_eq!(resolve(text).unwrap_err(), wanted, "{text}");
    }
}
