//! In: the path of a command. Out: the line Docker's tools show for its use. Never: a path our own face alone has.

use clap::Command;

use crate::face::Face;

/// What stands behind the command's path; `{}` is the path once more.
const TAILS: &[(&str, &str)] = &[
    ("build", "[OPTIONS] PATH | URL | -"),
    ("container cp", COPY),
    ("container create", IMAGE_AND_COMMAND),
    ("container inspect", CONTAINERS),
    ("container kill", CONTAINERS),
    ("container logs", "[OPTIONS] CONTAINER"),
    ("container rm", CONTAINERS),
    ("container run", IMAGE_AND_COMMAND),
    ("container start", CONTAINERS),
    ("container stop", CONTAINERS),
    ("container wait", "CONTAINER [CONTAINER...]"),
    ("cp", COPY),
    ("create", IMAGE_AND_COMMAND),
    ("history", "[OPTIONS] IMAGE"),
    ("image build", "[OPTIONS] PATH | URL | -"),
    ("image history", "[OPTIONS] IMAGE"),
    ("image inspect", IMAGES),
    ("image ls", "[OPTIONS] [REPOSITORY[:TAG]]"),
    ("image pull", "[OPTIONS] NAME[:TAG|@DIGEST]"),
    ("image rm", IMAGES),
    ("image save", IMAGES),
    ("image tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"),
    ("images", "[OPTIONS] [REPOSITORY[:TAG]]"),
    ("inspect", "[OPTIONS] NAME|ID [NAME|ID...]"),
    ("kill", CONTAINERS),
    ("login", "[OPTIONS] [SERVER]"),
    ("logout", "[SERVER]"),
    ("logs", "[OPTIONS] CONTAINER"),
    ("manifest annotate", "[OPTIONS] MANIFEST_LIST MANIFEST"),
    ("manifest create", "MANIFEST_LIST MANIFEST [MANIFEST...]"),
    ("manifest inspect", "[OPTIONS] [MANIFEST_LIST] MANIFEST"),
    ("manifest push", "[OPTIONS] MANIFEST_LIST"),
    ("manifest rm", "MANIFEST_LIST [MANIFEST_LIST...]"),
    ("pull", "[OPTIONS] NAME[:TAG|@DIGEST]"),
    ("rm", CONTAINERS),
    ("rmi", IMAGES),
    ("run", IMAGE_AND_COMMAND),
    ("save", IMAGES),
    ("start", CONTAINERS),
    ("stop", CONTAINERS),
    ("tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"),
    ("system df", "[OPTIONS]"),
    ("wait", "CONTAINER [CONTAINER...]"),
    ("buildx build", "[OPTIONS] PATH | URL | -"),
    ("buildx create", "[OPTIONS] [CONTEXT|ENDPOINT]"),
    ("buildx imagetools create", "[OPTIONS] [SOURCE...]"),
    ("buildx imagetools inspect", "[OPTIONS] NAME"),
    ("buildx inspect", "[NAME]"),
    ("buildx rm", "[OPTIONS] [NAME...]"),
    ("buildx stop", "[NAME]"),
    ("buildx use", "[OPTIONS] NAME"),
    ("buildx version", ""),
];
const IMAGE_AND_COMMAND: &str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
const CONTAINERS: &str = "[OPTIONS] CONTAINER [CONTAINER...]";
const IMAGES: &str = "[OPTIONS] IMAGE [IMAGE...]";
const COPY: &str = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\t{} [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH";

/// Gives each command of a face the usage line it has there.
pub fn apply(command: Command, face: Face) -> Command {
    let face_words = face.words();
    // The plugin's verbs are those below `buildx`.
    let own = if face == Face::Plugin { "buildx" } else { "" };
    walk(command, face_words, own, face)
}

fn walk(command: Command, shown: &str, path: &str, face: Face) -> Command {
    let command = match TAILS.iter().find(|(known, _)| *known == path) {
        Some((_, tail)) => {
            // Docker's client hands its builds to the plugin, which speaks of itself.
            let is_build = face == Face::Docker && command.get_name() == "build";
            let shown = if is_build { "docker buildx build" } else { shown };
            command.override_usage(format!("{shown} {}", tail.replace("{}", shown)))
        }
        None => command,
    };
    command.mut_subcommands(|sub| {
        let shown = format!("{shown} {}", sub.get_name());
        let path = format!("{path} {}", sub.get_name());
        walk(sub, &shown, path.trim_start(), face)
    })
}
