//! In: the words of the command line. Out: one struct for each verb (LowArgs). Never: a file opened, a default looked up.

pub mod build;
pub mod images;
pub mod run;

use clap::{Args, Parser, Subcommand};

/// Builds container images for many platforms: no daemon, no root, no set-up.
#[derive(Debug, Parser)]
// Of a flag that is given again the last counts, as with Docker's tools.
#[command(
    name = "crossdock",
    version,
    disable_help_subcommand = true,
    propagate_version = false,
    args_override_self = true
)]
pub struct Cli {
    /// Show more of what goes wrong
    #[arg(short = 'D', long, global = true)]
    pub debug: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Build an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<build::BuildArgs>),
    /// List the images kept here
    Images(images::ImagesArgs),
    /// Run a command in an image, for any platform
    Run(run::RunArgs),
    /// Fetch an image into the local store
    Pull(images::PullArgs),
    /// Push an image kept here
    Push(images::PushArgs),
    /// Give an image another name
    Tag(images::TagArgs),
    /// Take names of images away
    Rmi(images::RmiArgs),
    /// Look at images
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// Remove build cache and images nobody names
    Prune(images::PruneArgs),
    /// Work on images in registries
    Imagetools {
        #[command(subcommand)]
        verb: ImagetoolsVerb,
    },
    /// Show which platforms run here, and how
    Binfmt(BinfmtArgs),
    /// Serve the local store as a registry
    Registry {
        #[command(subcommand)]
        verb: RegistryVerb,
    },
    /// Check the local store for damage
    CheckStore {
        /// Drop damaged blobs, so that they are fetched or made again
        #[arg(long)]
        repair: bool,
    },
    /// Show the version
    Version,
}

/// `image …`
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Show everything known of images, as JSON
    Inspect(images::InspectArgs),
    /// List the images kept here
    #[command(alias = "list")]
    Ls(images::ImagesArgs),
    /// Take names of images away
    #[command(alias = "remove")]
    Rm(images::RmiArgs),
}

/// `imagetools …`
#[derive(Debug, Subcommand)]
pub enum ImagetoolsVerb {
    /// Join images of a registry into an index
    Create(images::CreateArgs),
    /// Show a manifest or index of a registry, or of the local store
    Inspect(images::RegistryInspectArgs),
}

/// `registry …`
#[derive(Debug, Subcommand)]
pub enum RegistryVerb {
    /// Serve until interrupted
    Serve(ServeArgs),
}

/// `registry serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:5000")]
    pub addr: String,
}

/// `binfmt`
#[derive(Debug, Args)]
pub struct BinfmtArgs {
    /// Register emulators with the kernel (not built yet)
    #[arg(long, value_name = "ARCH")]
    pub install: Option<String>,
    /// Remove registered emulators (not built yet)
    #[arg(long, value_name = "ARCH")]
    pub uninstall: Option<String>,
}
