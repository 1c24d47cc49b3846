//! In: the words behind `manifest` and `imagetools`. Out: their flags, as typed. Never: a meaning.

use clap::{Args, Subcommand};

/// `imagetools …`
#[derive(Debug, Subcommand)]
pub enum ImagetoolsVerb {
    /// Join images of a registry into an index
    Create(CreateArgs),
    /// Show a manifest or index of a registry, or of the local store
    Inspect(RegistryInspectArgs),
}

/// `manifest …`
#[derive(Debug, Subcommand)]
pub enum ManifestVerb {
    /// Make a local list of images
    Create(ListCreateArgs),
    /// Say for which platform an image of a list is
    Annotate(AnnotateArgs),
    /// Show a list or a manifest
    Inspect(ListInspectArgs),
    /// Push a local list
    Push(ListPushArgs),
    /// Remove local lists
    Rm(ListRmArgs),
    /// Show the local lists
    Ls,
    /// Remove local lists that were pushed
    Prune(ListPruneArgs),
}

/// `manifest create`
#[derive(Debug, Args)]
pub struct ListCreateArgs {
    /// Name of the list
    #[arg(value_name = "MANIFEST_LIST")]
    pub list: String,
    /// Images: names, digests, oci-layout://DIR[:tag][@digest]; an index stands for all its images
    #[arg(value_name = "MANIFEST", required = true)]
    pub manifests: Vec<String>,
    /// Add to a list that is there
    #[arg(short, long)]
    pub amend: bool,
    /// Allow a registry without TLS
    #[arg(long)]
    pub insecure: bool,
}

/// `manifest annotate`
#[derive(Debug, Args)]
pub struct AnnotateArgs {
    #[arg(value_name = "MANIFEST_LIST")]
    pub list: String,
    #[arg(value_name = "MANIFEST")]
    pub manifest: String,
    /// Operating system
    #[arg(long)]
    pub os: Option<String>,
    /// Architecture
    #[arg(long)]
    pub arch: Option<String>,
    /// Variant of the architecture
    #[arg(long)]
    pub variant: Option<String>,
    /// Feature of the operating system
    #[arg(long, value_delimiter = ',')]
    pub os_features: Vec<String>,
    /// Version of the operating system
    #[arg(long)]
    pub os_version: Option<String>,
}

/// `manifest inspect`
#[derive(Debug, Args)]
pub struct ListInspectArgs {
    /// [MANIFEST_LIST] MANIFEST
    #[arg(required = true, num_args = 1..=2, value_name = "MANIFEST")]
    pub names: Vec<String>,
    /// Allow a registry without TLS
    #[arg(long)]
    pub insecure: bool,
    /// Show everything that is known
    #[arg(short, long)]
    pub verbose: bool,
}

/// `manifest push`
#[derive(Debug, Args)]
pub struct ListPushArgs {
    #[arg(value_name = "MANIFEST_LIST")]
    pub list: String,
    /// Remove the local list afterwards
    #[arg(short, long)]
    pub purge: bool,
    /// Allow a registry without TLS
    #[arg(long)]
    pub insecure: bool,
}

/// `manifest rm`
#[derive(Debug, Args)]
pub struct ListRmArgs {
    #[arg(value_name = "MANIFEST_LIST", required = true)]
    pub lists: Vec<String>,
}

/// `manifest prune`
#[derive(Debug, Args)]
pub struct ListPruneArgs {
    /// Remove all local lists, those that were not pushed, too
    #[arg(short, long)]
    pub all: bool,
    /// Nothing is asked: this flag changes nothing
    #[arg(short, long, hide = true)]
    pub force: bool,
}

/// `imagetools create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Images to join: names, digests, oci-layout://DIR[:tag][@digest]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Name of the index, may be given several times
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub tags: Vec<String>,
    /// File with a source: a name, a digest or a descriptor in JSON
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<String>,
    /// Add to the index that is there
    #[arg(long)]
    pub append: bool,
    /// Show the index, push nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Annotation: index:KEY=VALUE or manifest-descriptor[PLATFORM]:KEY=VALUE
    #[arg(long = "annotation", value_name = "TYPE:KEY=VALUE")]
    pub annotations: Vec<String>,
    /// Only the images of these platforms
    #[arg(short, long = "platform", value_name = "PLATFORM")]
    pub platforms: Vec<String>,
    /// Put a single image into an index instead of copying it as it is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", value_parser = super::switches::parse, action = clap::ArgAction::Set)]
    pub prefer_index: bool,
    /// Write the descriptor of the result to a file
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<String>,
    /// Progress: auto, none, plain, rawjson, tty
    #[arg(long, default_value = "auto", value_name = "FORMAT")]
    pub progress: String,
}

/// `imagetools inspect`
#[derive(Debug, Args)]
pub struct RegistryInspectArgs {
    pub name: String,
    /// Show the bytes as they are
    #[arg(long)]
    pub raw: bool,
    /// Go template over .Name, .Manifest, .Image, .SBOM and .Provenance
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}
