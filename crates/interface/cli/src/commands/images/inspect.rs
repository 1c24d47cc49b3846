//! In: names of kept images. Out: what `image inspect` says of each, under Docker's keys. Never: an image changed, a layer read.

use std::collections::BTreeMap;

use crossdock_build::Engine;
use crossdock_gotemplate::{Data, Field, JsonStyle, Options, Template, TemplateError, Unset, to_json};
use crossdock_image::local::LocalManifest;
use crossdock_image::{Images, LocalImage};
use crossdock_lists::details::{config_data, texts, time};
use crossdock_oci::config::Healthcheck;
use crossdock_oci::{ContainerConfig, ImageConfig, ImageConfigView, Platform, Reference};
use serde_json::{Map, Value};

use super::platform_of;
use crate::args::images::InspectArgs;
use crate::commands::{engine, template};
use crate::error::{CliError, all, result};

/// What is said of one object. Docker's client tries a template on its own types first, where every field exists, and then on
/// the JSON, where keys are as they are written.
pub struct Document {
    typed: Option<Data>,
    shown: Data,
}

impl Document {
    /// Of a document as it is shown, and as templates see it first.
    pub fn with_typed(typed: &Value, shown: &Value) -> Self {
        Self { typed: Some(Data::from(typed)), shown: Data::from(shown) }
    }

    fn render(&self, template: &Template) -> Result<String, TemplateError> {
        let options = Options::default();
        if let Some(Ok(text)) = self.typed.as_ref().map(|typed| template.render(typed, &options)) {
            return Ok(text);
        }
        let json: Value = serde_json::from_str(&to_json(&self.shown, JsonStyle::LINE)).unwrap_or_default();
        template.render(&Data::from(&json), &options)
    }
}

/// `image inspect NAME…`
pub fn inspect(args: &InspectArgs) -> Result<(), CliError> {
    args.format.as_deref().map(template::of_documents).transpose()?;
    let engine = engine()?;
    let platform = args.platform.as_deref().map(str::parse::<Platform>).transpose()?;
    let (mut documents, mut failures) = (Vec::new(), Vec::new());
    for name in &args.names {
        match document(&engine, name, platform.as_ref()) {
            Ok(document) => documents.push(document),
            Err(error) => failures.push(error),
        }
    }
    // What was found is shown first, as Docker does it.
    show(&documents, args.format.as_deref())?;
    all(failures)
}

/// What `inspect` says of an image.
pub fn document(engine: &Engine, name: &str, platform: Option<&Platform>) -> Result<Document, CliError> {
    let images = engine.images();
    let image = images.find(name)?;
    describe(&images, &image, platform)
}

/// Documents as JSON, or each by a template.
pub fn show(documents: &[Document], format: Option<&str>) -> Result<(), CliError> {
    let format = format.unwrap_or_default();
    if format.is_empty() || format == "json" {
        let style = if format.is_empty() { JsonStyle::INSPECTED } else { JsonStyle::LINE };
        result(&to_json(&Data::List(documents.iter().map(|document| document.shown.clone()).collect()), style));
        return Ok(());
    }
    let wrong = |error| CliError::Usage(format!("template parsing error: {error}"));
    let template = template::of_documents(format)?;
    if documents.is_empty() {
        result("");
    }
    let mut failures = Vec::new();
    for document in documents {
        match document.render(&template) {
            Ok(text) => result(&text),
            Err(error) => failures.push(wrong(error)),
        }
    }
    all(failures)
}

/// Docker's keys for one platform of the image, and the platforms there are.
fn describe(images: &Images, image: &LocalImage, platform: Option<&Platform>) -> Result<Document, CliError> {
    let name = image.reference.as_ref().map_or_else(|| image.row.target.digest.to_string(), Reference::familiar);
    let chosen = platform_of(images, image, platform)?;
    let raw = images.document("image config", &chosen.manifest.view.config, &name)?;
    let config: Value = serde_json::from_slice(&raw).unwrap_or_default();
    let config = config.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    let view = ImageConfig::parse(raw).map(|config| config.view).unwrap_or_default();
    let fields = Fields { image, chosen: &chosen, view: &view, is_one: platform.is_some() };
    let (mut typed, mut shown) = (fields.all(images)?, fields.all(images)?);
    let behind_author = typed.iter().position(|field| field.name == "Architecture").unwrap_or(typed.len());
    typed.insert(behind_author, Field::new("Config", "Config", typed_config(&view.config)));
    typed.extend([
        Field::new("Container", "", ""),
        Field::new("VirtualSize", "", 0_u64),
        Field::new("Manifests", "", Data::Unset(Unset::List)),
    ]);
    shown.push(Field::new("Config", "Config", Data::from(&Value::Object(shown_config(config)))));
    // Two keys of our own, behind Docker's.
    let platforms: Vec<String> =
        images.manifests(image)?.iter().filter_map(|m| m.platform.as_ref()).map(ToString::to_string).collect();
    shown.push(Field::new("Manifest", "Manifest", descriptor(&chosen.descriptor)));
    shown.push(Field::new("Platforms", "Platforms", list(&platforms)));
    let structure = |fields| Data::Struct { type_name: "image.InspectResponse", fields };
    Ok(Document { typed: Some(structure(typed)), shown: structure(shown) })
}

struct Fields<'a> {
    image: &'a LocalImage,
    chosen: &'a LocalManifest,
    view: &'a ImageConfigView,
    /// Was a platform asked for? Then its manifest is what is shown.
    is_one: bool,
}

impl Fields<'_> {
    /// What the typed form and the JSON have in common, in Docker's order.
    fn all(&self, images: &Images) -> Result<Vec<Field>, CliError> {
        let (view, row) = (self.view, &self.image.row);
        let target = if self.is_one { &self.chosen.descriptor } else { &row.target };
        let layers: Vec<String> = view.rootfs.diff_ids.iter().map(ToString::to_string).collect();
        let (tags, digests) = names(images, self.image)?;
        let comment = view.history.last().map_or("", |step| step.comment.as_str());
        let size: u64 = self.chosen.manifest.view.layers.iter().map(|layer| layer.size).sum();
        let structure = |type_name, fields| Data::Struct { type_name, fields };
        Ok(vec![
            Field::new("ID", "Id", target.digest.to_string()),
            Field::new("RepoTags", "RepoTags", list(&tags)),
            Field::new("RepoDigests", "RepoDigests", list(&digests)),
            Field::new("Parent", "Parent", ""),
            Field::new("Comment", "Comment", comment),
            Field::optional("Created", "Created", view.created.map_or_else(String::new, |time| time.to_string())),
            Field::new("DockerVersion", "DockerVersion", ""),
            Field::new("Author", "Author", view.author.as_str()),
            Field::new("Architecture", "Architecture", view.architecture.as_str()),
            Field::optional("Variant", "Variant", view.variant.as_str()),
            Field::new("Os", "Os", view.os.as_str()),
            Field::optional("OsVersion", "OsVersion", view.os_version.as_str()),
            Field::new("Size", "Size", size),
            Field::new(
                "GraphDriver",
                "GraphDriver",
                structure(
                    "storage.DriverData",
                    vec![Field::new("Data", "Data", Data::Unset(Unset::Map)), Field::new("Name", "Name", "overlayfs")],
                ),
            ),
            Field::new(
                "RootFS",
                "RootFS",
                structure(
                    "image.RootFS",
                    vec![Field::new("Type", "Type", "layers"), Field::optional("Layers", "Layers", texts(&layers))],
                ),
            ),
            Field::new(
                "Metadata",
                "Metadata",
                structure("image.Metadata", vec![Field::optional("LastTagTime", "LastTagTime", time(&row.created))]),
            ),
            Field::new("Descriptor", "Descriptor", descriptor(target)),
        ])
    }
}

/// Every tag of what the image is, and every name with its digest.
fn names(images: &Images, image: &LocalImage) -> Result<(Vec<String>, Vec<String>), CliError> {
    let digest = image.row.target.digest;
    let (mut tags, mut digests) = (Vec::new(), Vec::new());
    for other in images.list()?.iter().filter(|other| other.row.target.digest == digest) {
        let Some(name) = &other.reference else { continue };
        if name.tag().is_some() {
            tags.push(name.familiar());
        }
        digests.push(format!("{}@{digest}", name.familiar_name()));
    }
    tags.sort();
    digests.sort();
    digests.dedup();
    Ok((tags, digests))
}

/// A list that is `[]` when nothing is in it.
fn list(items: &[String]) -> Data {
    Data::List(items.iter().map(|item| Data::from(item.as_str())).collect())
}

fn descriptor(of: &crossdock_oci::Descriptor) -> Data {
    let words = |entries: &BTreeMap<String, String>| {
        Data::Texts(entries.iter().map(|(key, value)| (key.clone(), Data::from(value.as_str()))).collect())
    };
    let platform = of.platform.as_ref().map_or(Data::Unset(Unset::Pointer), |platform| Data::Struct {
        type_name: "v1.Platform",
        fields: vec![
            Field::new("Architecture", "architecture", platform.architecture.as_str()),
            Field::new("OS", "os", platform.os.as_str()),
            Field::optional("OSVersion", "os.version", platform.os_version.as_str()),
            Field::optional("OSFeatures", "os.features", texts(&platform.os_features)),
            Field::optional("Variant", "variant", platform.variant.as_str()),
        ],
    });
    Data::Struct {
        type_name: "v1.Descriptor",
        fields: vec![
            Field::new("MediaType", "mediaType", of.media_type.as_str()),
            Field::new("Digest", "digest", of.digest.to_string()),
            Field::new("Size", "size", of.size),
            Field::optional("URLs", "urls", Data::Unset(Unset::List)),
            Field::optional("Annotations", "annotations", words(&of.annotations)),
            Field::optional("Data", "data", Data::Unset(Unset::List)),
            Field::optional("Platform", "platform", platform),
            Field::optional("ArtifactType", "artifactType", ""),
        ],
    }
}

/// `Config` of the JSON: what the image says, and the keys that are always there.
fn shown_config(mut config: Map<String, Value>) -> Map<String, Value> {
    for key in ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"] {
        config.entry(key).or_insert(Value::Null);
    }
    for key in ["User", "WorkingDir"] {
        config.entry(key).or_insert_with(|| Value::from(""));
    }
    config
}

fn typed_config(config: &ContainerConfig) -> Data {
    let healthcheck = config.healthcheck.as_ref().map_or(Data::Unset(Unset::Pointer), typed_healthcheck);
    let extension = vec![
        Field::optional("Healthcheck", "Healthcheck", healthcheck),
        Field::optional("OnBuild", "OnBuild", texts(&config.on_build)),
        Field::optional("Shell", "Shell", texts(&config.shell)),
    ];
    Data::Struct {
        type_name: "v1.DockerOCIImageConfig",
        fields: vec![
            Field::embedded("ImageConfig", config_data(config)),
            Field::embedded(
                "DockerOCIImageConfigExt",
                Data::Struct { type_name: "v1.DockerOCIImageConfigExt", fields: extension },
            ),
        ],
    }
}

fn typed_healthcheck(check: &Healthcheck) -> Data {
    // A duration is never empty here; a zero one is only kept out of the JSON.
    let duration = |name: &'static str, nanoseconds: i64| {
        let shown = Data::Shown { text: crossdock_frontend::go_duration(nanoseconds), json: nanoseconds.into() };
        Field::new(name, if nanoseconds == 0 { "" } else { name }, shown)
    };
    Data::Struct {
        type_name: "v1.HealthcheckConfig",
        fields: vec![
            Field::optional("Test", "Test", texts(&check.test)),
            duration("Interval", check.interval),
            duration("Timeout", check.timeout),
            duration("StartPeriod", check.start_period),
            duration("StartInterval", check.start_interval),
            Field::optional("Retries", "Retries", check.retries),
        ],
    }
}
