//! In: a document of a registry. Out: what templates of `imagetools inspect --format` see: Name, Manifest, Image, SBOM, Provenance. Never: a layer, or an attestation nobody asked for.

use std::collections::BTreeMap;

use crossdock_gotemplate::{Data, Field, Unset};
use crossdock_oci::{
    ContainerConfig, Descriptor, History, ImageConfig, ImageConfigView, Index, MANIFEST_SIZE_MAX, Manifest, Platform,
    Timestamp, media_type,
};

use crate::library::{ATTESTATION_BYTES_MAX, Library};
use crate::{Found, ListError};

const PREDICATE: &str = "in-toto.io/predicate-type";
const SUBJECT: &str = "vnd.docker.reference.digest";

/// What a template needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    pub images: bool,
    pub attestations: bool,
}

/// One platform with everything known of it.
#[derive(Default)]
struct OnePlatform {
    image: Option<Data>,
    sboms: Vec<Data>,
    provenance: Option<Data>,
}

/// The value for templates; `name` as it was written. Configs and attestations are fetched only when they are needed.
///
/// # Errors
/// When a document is missing or unreadable.
pub fn value(library: &Library<'_>, name: &str, found: &Found, needs: Needs) -> Result<Data, ListError> {
    let bad = |source| ListError::Document { name: name.to_string(), source };
    if !media_type::is_index(&found.descriptor.media_type) {
        let mut one = OnePlatform::default();
        if needs.images && media_type::is_manifest(&found.descriptor.media_type) {
            one.image = image(library, found, found.raw.clone())?.map(|(image, _)| image);
        }
        let manifest = descriptor("interface {}", &Descriptor { platform: None, ..found.descriptor.clone() });
        return Ok(single(name, manifest, one));
    }
    let index = Index::parse(found.raw.clone()).map_err(bad)?;
    let platforms = platforms(library, found, &index, needs)?;
    let manifest = index_data(&found.descriptor, &index);
    let images = index.images().count();
    if images > 1 || (images == 0 && index.view.manifests.len() > 1) {
        return Ok(several(name, manifest, platforms));
    }
    Ok(single(name, manifest, platforms.into_values().next().unwrap_or_default()))
}

fn platforms(
    library: &Library<'_>,
    found: &Found,
    index: &Index,
    needs: Needs,
) -> Result<BTreeMap<String, OnePlatform>, ListError> {
    let mut platforms: BTreeMap<String, OnePlatform> = BTreeMap::new();
    if !needs.images && !needs.attestations {
        return Ok(platforms);
    }
    for entry in index.images().filter(|entry| media_type::is_manifest(&entry.media_type)) {
        let mut one = OnePlatform::default();
        let mut shown = entry.platform.clone();
        if needs.images || shown.is_none() {
            let raw = library.document(&found.place, entry)?;
            if let Some((data, platform)) = image(library, found, raw)? {
                one.image = Some(data);
                shown = shown.or(platform);
            }
        }
        if needs.attestations {
            attestations(library, found, index, entry, &mut one)?;
        }
        platforms.insert(shown.map_or_else(String::new, |platform| platform.normalized().to_string()), one);
    }
    Ok(platforms)
}

fn image(
    library: &Library<'_>,
    found: &Found,
    raw: bytes::Bytes,
) -> Result<Option<(Data, Option<Platform>)>, ListError> {
    let bad = |source| ListError::Document { name: found.place.shown(), source };
    let manifest = Manifest::parse(raw).map_err(bad)?;
    let raw = library.blob(&found.place, &manifest.view.config, "image config", MANIFEST_SIZE_MAX)?;
    let Ok(config) = ImageConfig::parse(raw) else { return Ok(None) };
    Ok(Some((image_data(&config.view), config.view.platform())))
}

/// SBOMs and provenance of an image: layers of the manifests that refer to it.
fn attestations(
    library: &Library<'_>,
    found: &Found,
    index: &Index,
    of: &Descriptor,
    one: &mut OnePlatform,
) -> Result<(), ListError> {
    let digest = of.digest.to_string();
    let refers = |entry: &&Descriptor| entry.is_attestation() && entry.annotations.get(SUBJECT) == Some(&digest);
    for entry in index.view.manifests.iter().filter(refers) {
        let raw = library.document(&found.place, entry)?;
        let manifest =
            Manifest::parse(raw).map_err(|source| ListError::Document { name: found.place.shown(), source })?;
        for layer in &manifest.view.layers {
            let Some(kind) = layer.annotations.get(PREDICATE) else { continue };
            let is_provenance = kind.starts_with("https://slsa.dev/provenance/");
            if !is_provenance && kind != "https://spdx.dev/Document" {
                continue;
            }
            let raw = library.blob(&found.place, layer, "attestation", ATTESTATION_BYTES_MAX)?;
            let statement: serde_json::Value = serde_json::from_slice(&raw).unwrap_or_default();
            let predicate = Data::from(statement.get("predicate").unwrap_or(&serde_json::Value::Null));
            if is_provenance {
                one.provenance = Some(predicate);
            } else {
                one.sboms.push(predicate);
            }
        }
    }
    Ok(())
}

fn provenance(one: &mut OnePlatform) -> Option<Data> {
    let slsa = one.provenance.take()?;
    Some(Data::Struct { type_name: "imagetools.provenanceStub", fields: vec![Field::optional("SLSA", "SLSA", slsa)] })
}

fn sbom(one: &mut OnePlatform) -> Option<Data> {
    let mut all = std::mem::take(&mut one.sboms).into_iter();
    let fields = vec![
        Field::optional("SPDX", "SPDX", all.next()?),
        Field::optional("AdditionalSPDXs", "AdditionalSPDXs", all.collect::<Vec<_>>()),
    ];
    Some(Data::Struct { type_name: "imagetools.sbomStub", fields })
}

fn single(name: &str, manifest: Data, mut one: OnePlatform) -> Data {
    let nothing = |type_name, field| Data::Struct { type_name, fields: vec![Field::optional(field, field, Data::Nil)] };
    let fields = vec![
        Field::optional("Name", "name", name),
        Field::optional("Manifest", "manifest", manifest),
        Field::optional("Image", "image", one.image.take()),
        Field::new("SBOM", "", sbom(&mut one).unwrap_or_else(|| nothing("imagetools.sbomStub", "SPDX"))),
        Field::new(
            "Provenance",
            "",
            provenance(&mut one).unwrap_or_else(|| nothing("imagetools.provenanceStub", "SLSA")),
        ),
    ];
    Data::Struct { type_name: "imagetools.tplInput", fields }
}

fn several(name: &str, manifest: Data, platforms: BTreeMap<String, OnePlatform>) -> Data {
    let (mut images, mut sboms, mut provenances) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (platform, mut one) in platforms {
        sboms.extend(sbom(&mut one).map(|data| (platform.clone(), data)));
        provenances.extend(provenance(&mut one).map(|data| (platform.clone(), data)));
        images.extend(one.image.take().map(|data| (platform, data)));
    }
    let fields = vec![
        Field::optional("Name", "name", name),
        Field::optional("Manifest", "manifest", manifest),
        Field::optional("Image", "image", images),
        Field::new("SBOM", "", sboms),
        Field::new("Provenance", "", provenances),
    ];
    Data::Struct { type_name: "imagetools.tplInputs", fields }
}

fn index_data(own: &Descriptor, index: &Index) -> Data {
    let entries: Vec<Data> = index.view.manifests.iter().map(|entry| descriptor("v1.Descriptor", entry)).collect();
    let fields = vec![
        Field::new("SchemaVersion", "schemaVersion", 2i64),
        Field::optional("MediaType", "mediaType", own.media_type.as_str()),
        Field::new("Digest", "digest", own.digest.to_string()),
        Field::new("Size", "size", own.size),
        Field::new("Manifests", "manifests", entries),
        Field::optional("Annotations", "annotations", words(&index.view.annotations)),
    ];
    // Go sees it through an interface, and says so in errors.
    Data::Struct { type_name: "interface {}", fields }
}

fn descriptor(type_name: &'static str, from: &Descriptor) -> Data {
    let fields = vec![
        Field::new("MediaType", "mediaType", from.media_type.as_str()),
        Field::new("Digest", "digest", from.digest.to_string()),
        Field::new("Size", "size", from.size),
        Field::optional("URLs", "urls", texts(&from.urls)),
        Field::optional("Annotations", "annotations", words(&from.annotations)),
        Field::optional("Data", "data", from.data.clone().map_or_else(|| Data::List(Vec::new()), Data::Text)),
        Field::optional("Platform", "platform", from.platform.as_ref().map(platform_data)),
        Field::optional("ArtifactType", "artifactType", from.artifact_type.clone().unwrap_or_default()),
    ];
    Data::Struct { type_name, fields }
}

fn platform_data(platform: &Platform) -> Data {
    platform_fields(
        &platform.architecture,
        &platform.os,
        &platform.os_version,
        &platform.os_features,
        &platform.variant,
    )
}

fn platform_fields(architecture: &str, os: &str, os_version: &str, os_features: &[String], variant: &str) -> Data {
    let fields = vec![
        Field::new("Architecture", "architecture", architecture),
        Field::new("OS", "os", os),
        Field::optional("OSVersion", "os.version", os_version),
        Field::optional("OSFeatures", "os.features", texts(os_features)),
        Field::optional("Variant", "variant", variant),
    ];
    Data::Struct { type_name: "v1.Platform", fields }
}

/// An image config as the image specification's Go type holds it: what Docker adds is not in it.
fn image_data(view: &ImageConfigView) -> Data {
    let platform = platform_fields(&view.architecture, &view.os, &view.os_version, &view.os_features, &view.variant);
    let diff_ids: Vec<Data> = view.rootfs.diff_ids.iter().map(|id| Data::from(id.to_string())).collect();
    let rootfs =
        vec![Field::new("Type", "type", view.rootfs.kind.as_str()), Field::new("DiffIDs", "diff_ids", diff_ids)];
    let history: Vec<Data> = view.history.iter().map(history_data).collect();
    let fields = vec![
        Field::optional("Created", "created", view.created.as_ref().map(time)),
        Field::optional("Author", "author", view.author.as_str()),
        Field::embedded("Platform", platform),
        Field::new("Config", "config", config_data(&view.config)),
        Field::new("RootFS", "rootfs", Data::Struct { type_name: "v1.RootFS", fields: rootfs }),
        Field::optional("History", "history", history),
    ];
    Data::Struct { type_name: "v1.Image", fields }
}

/// An image's defaults as the image specification's Go type holds them.
#[must_use]
pub fn config_data(config: &ContainerConfig) -> Data {
    let set = |keys: &crossdock_oci::config::EmptyObjectMap| -> Data {
        let empty = || Data::Struct { type_name: "struct {}", fields: Vec::new() };
        if keys.is_empty() {
            return Data::Unset(Unset::Map);
        }
        Data::Map(keys.keys().map(|key| (key.clone(), empty())).collect())
    };
    let fields = vec![
        Field::optional("User", "User", config.user.as_str()),
        Field::optional("ExposedPorts", "ExposedPorts", set(&config.exposed_ports)),
        Field::optional("Env", "Env", texts(&config.env)),
        Field::optional("Entrypoint", "Entrypoint", texts(&config.entrypoint)),
        Field::optional("Cmd", "Cmd", texts(&config.cmd)),
        Field::optional("Volumes", "Volumes", set(&config.volumes)),
        Field::optional("WorkingDir", "WorkingDir", config.working_dir.as_str()),
        Field::optional("Labels", "Labels", words(&config.labels)),
        Field::optional("StopSignal", "StopSignal", config.stop_signal.as_str()),
        Field::optional("ArgsEscaped", "ArgsEscaped", config.args_escaped),
    ];
    Data::Struct { type_name: "v1.ImageConfig", fields }
}

fn history_data(step: &History) -> Data {
    let fields = vec![
        Field::optional("Created", "created", step.created.as_ref().map(time)),
        Field::optional("CreatedBy", "created_by", step.created_by.as_str()),
        Field::optional("Author", "author", step.author.as_str()),
        Field::optional("Comment", "comment", step.comment.as_str()),
        Field::optional("EmptyLayer", "empty_layer", step.empty_layer),
    ];
    Data::Struct { type_name: "v1.History", fields }
}

/// A time: RFC 3339 in JSON, Go's own form in text.
#[must_use]
pub fn time(at: &Timestamp) -> Data {
    let text = at.to_string();
    let shown =
        text.strip_suffix('Z').map_or_else(|| text.clone(), |utc| format!("{} +0000 UTC", utc.replacen('T', " ", 1)));
    Data::Shown { text: shown, json: serde_json::Value::String(text) }
}

/// A list of texts; Go reads one that is not there as nil.
#[must_use]
pub fn texts(items: &[String]) -> Data {
    if items.is_empty() {
        return Data::Unset(Unset::List);
    }
    Data::List(items.iter().map(|item| Data::from(item.as_str())).collect())
}

fn words(entries: &BTreeMap<String, String>) -> Data {
    if entries.is_empty() {
        return Data::Unset(Unset::Map);
    }
    Data::Texts(entries.iter().map(|(key, value)| (key.clone(), Data::from(value.as_str()))).collect())
}
