//! In: platforms, build args, ARG before the first FROM. Out: the global scope of a build for one platform. Never: an instruction of a stage.

use crossdock_dockerfile::{Dockerfile, Expander, LineRange, Variables};
use crossdock_oci::Platform;
use std::collections::BTreeMap;

use crate::environment::Environment;
use crate::error::{ErrorKind, Fault};

/// Proxy variables: given to every RUN without being declared, never part of a key (spec/dockerfile.md §5).
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Arguments that tell a stage its platforms without being given (spec/dockerfile.md §8).
const PLATFORM_ARGUMENTS: [&str; 10] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
];

/// Tells the target stage's name.
const STAGE_ARGUMENT: &str = "TARGETSTAGE";

/// Whether an argument tells a platform without being given.
pub fn is_platform_argument(name: &str) -> bool {
    PLATFORM_ARGUMENTS.contains(&name)
}

/// The automatic arguments of spec/dockerfile.md §8; a build arg of the same name wins.
pub(crate) fn automatic(
    build: &Platform,
    target: &Platform,
    stage: Option<&str>,
    build_args: &BTreeMap<String, String>,
) -> Environment {
    let of = |platform: &Platform| {
        let Platform { os, os_version, architecture, variant, .. } = platform.clone();
        [platform.to_string(), os, os_version, architecture, variant]
    };
    let platforms = PLATFORM_ARGUMENTS.into_iter().zip(of(build).into_iter().chain(of(target)));
    let pairs = platforms.chain([(STAGE_ARGUMENT, stage.unwrap_or("default").to_owned())]);
    let mut scope = Environment::default();
    for (name, value) in pairs {
        scope.set(name, build_args.get(name).unwrap_or(&value));
    }
    scope
}

/// Adds the ARG lines before the first FROM. Defaults may use what stands above them.
pub(crate) fn add_global(
    mut scope: Environment,
    file: &Dockerfile,
    build_args: &BTreeMap<String, String>,
) -> Result<Environment, Fault> {
    let expander = Expander::new(file.escape);
    for arg in &file.global_args {
        for definition in &arg.definitions {
            let value = match (build_args.get(&definition.name), &definition.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => {
                    Some(expander.word(default, &scope).map_err(|error| Fault::at(error.into(), arg.lines))?.text)
                }
                (None, None) => None,
            };
            if let Some(value) = value {
                scope.set(&definition.name, &value);
            }
            check_size(&scope, arg.lines)?;
        }
    }
    Ok(scope)
}

/// The environment must stay below its limit.
pub(crate) fn check_size(scope: &Environment, lines: LineRange) -> Result<(), Fault> {
    if scope.is_too_large() {
        return Err(Fault::at(ErrorKind::EnvironmentTooLarge, lines));
    }
    Ok(())
}

/// The proxy settings among the build args, by lower-case name.
pub(crate) fn proxies(build_args: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    build_args
        .iter()
        .filter_map(|(name, value)| {
            let name = PROXIES.into_iter().find(|proxy| proxy.eq_ignore_ascii_case(name))?;
            Some((name.to_owned(), value.clone()))
        })
        .collect()
}

/// The value of a build arg, or of a global ARG of the same name when it is not empty.
pub(crate) fn build_arg_or_global<'a>(
    name: &str,
    build_args: &'a BTreeMap<String, String>,
    scope: &'a Environment,
) -> Option<&'a str> {
    build_args.get(name).map(String::as_str).or_else(|| Variables::get(scope, name).filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_args_override_automatic_and_default_values() {
        let build_args =
            BTreeMap::from([("TARGETARCH".to_owned(), "x".to_owned()), ("B".to_owned(), "given".to_owned())]);
        let (build, target) = (Platform::new("linux", "amd64", ""), Platform::new("linux", "arm", "v7"));
        let file = Dockerfile::parse("ARG A=${TARGETARCH}-1\nARG B=$A\nARG C=$B-$A D\nFROM x\n").unwrap();
        let scope = add_global(automatic(&build, &target, None, &build_args), &file, &build_args).unwrap();
        let get = |name: &str| Variables::get(&scope, name).map(str::to_owned);
        assert_eq!(get("TARGETPLATFORM").as_deref(), Some("linux/arm/v7"));
        assert_eq!(get("TARGETARCH").as_deref(), Some("x"));
        assert_eq!(get("C").as_deref(), Some("given-x-1"));
        assert_eq!(get("D"), None);
        assert_eq!(get("TARGETSTAGE").as_deref(), Some("default"));
    }

    #[test]
    fn proxies_are_found_in_any_case() {
        let build_args = BTreeMap::from([("HTTP_PROXY".to_owned(), "p".to_owned()), ("x".to_owned(), "y".to_owned())]);
        assert_eq!(proxies(&build_args), BTreeMap::from([("http_proxy".to_owned(), "p".to_owned())]));
    }
}
