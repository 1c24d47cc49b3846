//! In: the words of the command line. Out: one struct for each verb (LowArgs). Never: a file opened, a default looked up.

pub mod binfmt;
pub mod build;
pub mod builders;
pub mod containers;
pub mod context;
pub mod faces;
pub mod globals;
pub mod images;
pub mod lists;
pub mod prune;
pub mod run;
pub mod switches;
pub mod usages;
pub mod verify;

use clap::{Args, Parser, Subcommand};

use containers::ContainerVerb;
use lists::{ImagetoolsVerb, ManifestVerb};

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
    #[command(flatten)]
    pub globals: globals::GlobalArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

/// The command line of the plugin `docker-buildx`, behind the word `buildx` or alone.
#[derive(Debug, Parser)]
#[command(
    name = "docker buildx",
    bin_name = "docker buildx",
    about = "Docker Buildx",
    disable_help_subcommand = true,
    args_override_self = true
)]
pub struct Plugin {
    /// Show more of what goes wrong
    #[arg(short = 'D', long, global = true)]
    pub debug: bool,
    #[command(flatten)]
    pub globals: globals::GlobalArgs,
    #[command(flatten)]
    pub buildx: builders::BuildxArgs,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Build an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<build::BuildArgs>),
    /// Make, choose and look at builders; build with them
    Buildx(builders::BuildxArgs),
    #[command(hide = true)]
    Builder(builders::BuildxArgs),
    /// Work on images in registries
    Imagetools {
        #[command(subcommand)]
        verb: ImagetoolsVerb,
    },
    /// Make lists of images for several platforms
    Manifest {
        #[command(subcommand)]
        verb: ManifestVerb,
    },
    /// List the images kept here
    Images(images::ImagesArgs),
    /// Run a command in an image, for any platform
    Run(run::RunArgs),
    /// Make a container without starting it
    Create(run::RunArgs),
    /// Start containers
    Start(containers::StartArgs),
    /// Stop running containers
    Stop(containers::StopArgs),
    /// List containers
    Ps(containers::PsArgs),
    /// Copy files between a container and the host
    Cp(containers::CpArgs),
    /// Send a signal to running containers
    Kill(containers::KillArgs),
    /// Remove containers
    Rm(containers::RmArgs),
    /// Show what a container wrote
    Logs(containers::LogsArgs),
    /// Wait for containers to end
    Wait(containers::WaitArgs),
    /// Look at containers
    Container {
        #[command(subcommand)]
        verb: ContainerVerb,
    },
    /// Fetch an image into the local store
    Pull(images::PullArgs),
    /// Push an image kept here
    Push(images::PushArgs),
    /// Give an image another name
    Tag(images::TagArgs),
    /// Take names of images away
    Rmi(images::RmiArgs),
    /// Write images into an archive
    Save(images::SaveArgs),
    /// Read images from an archive
    Load(images::LoadArgs),
    /// Show how an image was made
    History(images::HistoryArgs),
    /// Look at images
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// Show everything known of images and containers, as JSON
    Inspect(containers::InspectArgs),
    /// Log in to a registry
    Login(images::LoginArgs),
    /// Log out of a registry
    Logout(images::LogoutArgs),
    /// Remove build cache and images nobody names
    Prune(images::PruneArgs),
    /// Show which platforms run here, and how; register emulators
    Binfmt(binfmt::BinfmtArgs),
    /// Serve the local store as a registry
    Registry {
        #[command(subcommand)]
        verb: RegistryVerb,
    },
    /// Look at what is kept here, remove what nobody needs
    System {
        #[command(subcommand)]
        verb: prune::SystemVerb,
    },
    /// Look at build contexts
    Context {
        #[command(subcommand)]
        verb: context::ContextVerb,
    },
    /// Check that the programs of an image fit its platforms, and its digests
    Verify(verify::VerifyArgs),
    /// Check the local store for damage
    CheckStore {
        /// Drop damaged blobs, so that they are fetched or made again
        #[arg(long)]
        repair: bool,
    },
    /// Put links where Docker's client looks for its plugins
    Install(faces::InstallArgs),
    /// Take the links away again
    Uninstall(faces::InstallArgs),
    /// Show facts of this machine and program
    Info(faces::FormatArgs),
    /// Show the version
    Version(faces::FormatArgs),
}

/// `image …`
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Build an image from a Dockerfile
    Build(Box<build::BuildArgs>),
    /// Show everything known of images, as JSON
    Inspect(images::InspectArgs),
    /// List the images kept here
    #[command(alias = "list")]
    Ls(images::ImagesArgs),
    /// Take names of images away
    #[command(alias = "remove")]
    Rm(images::RmiArgs),
    /// Fetch an image into the local store
    Pull(images::PullArgs),
    /// Push an image kept here
    Push(images::PushArgs),
    /// Give an image another name
    Tag(images::TagArgs),
    /// Write images into an archive
    Save(images::SaveArgs),
    /// Read images from an archive
    Load(images::LoadArgs),
    /// Show how an image was made
    History(images::HistoryArgs),
    /// Remove images nobody needs
    Prune(prune::ImagePruneArgs),
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
