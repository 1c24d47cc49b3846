//! In: a case's folder. Out: a bridge that knows its files and a handful of images. Never: a step run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use crossdock_frontend::{Bridge, BridgeError, DirEntry, FileStat, ImageRequest, RefId, ResolvedImage, Warning};
use crossdock_llb::{Definition, Op};
use crossdock_oci::{BlobDigest, ImageConfig, Platform};
use serde_json::{Value, json};

/// Answers from a handful of files.
pub struct ToyBridge {
    /// By path within the case's folder.
    files: BTreeMap<String, Vec<u8>>,
    /// Prefixes of the sources that were solved, by number.
    solved: Mutex<Vec<String>>,
    asked: Mutex<Vec<String>>,
    warned: Mutex<Vec<Warning>>,
    /// Every image that is named is there, for three platforms.
    has_every_image: bool,
}

impl ToyBridge {
    /// With the files of a folder.
    pub fn new(case: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(case, "", &mut files);
        Self::with_files(files)
    }

    /// With these files.
    pub fn with_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        let (solved, asked, warned) = Default::default();
        Self { files, solved, asked, warned, has_every_image: false }
    }

    /// The same with every image there is.
    pub fn with_every_image(mut self) -> Self {
        self.has_every_image = true;
        self
    }

    /// What was asked: sources in order, then images sorted, because these are resolved several at a time.
    pub fn journal(&self) -> String {
        let asked = self.asked.lock().unwrap();
        let (mut images, sources): (Vec<&String>, Vec<&String>) =
            asked.iter().partition(|line| line.contains("load metadata"));
        images.sort();
        sources.iter().chain(&images).map(|line| format!("ask {line}\n")).collect()
    }

    pub fn warnings(&self) -> Vec<Warning> {
        self.warned.lock().unwrap().clone()
    }
}

fn collect(directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, fs_err::read(entry.path()).unwrap());
        }
    }
}

/// The platforms of images that have several.
const PLATFORMS: [(&str, &str); 3] = [("amd64", ""), ("arm64", "v8"), ("arm", "v7")];

fn config(name: &str, platform: &Platform) -> Value {
    let mut view = json!({
        "architecture": platform.architecture, "os": platform.os, "variant": platform.variant,
        "created": "2020-01-02T03:04:05Z",
        "config": { "Env": ["PATH=/usr/bin:/bin"], "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": [BlobDigest::of(name.as_bytes())] },
        "history": [{ "created": "2020-01-02T03:04:05Z", "created_by": format!("ADD {name} /") }],
    });
    match name {
        "docker.io/library/golang:1.19" => view["config"]["Env"] = json!(["PATH=/go/bin:/bin", "GOPATH=/go"]),
        "docker.io/library/rich:1" => {
            view["config"] = json!({
                "User": "app:staff", "WorkingDir": "/app/", "Env": ["A=1"], "Entrypoint": ["/e"], "Cmd": ["c"],
                "Labels": { "l": "1" }, "Volumes": { "/v": {} }, "ExposedPorts": { "1/tcp": {} }, "Shell": ["/bin/bash", "-c"],
                "StopSignal": "SIGINT", "Healthcheck": { "Test": ["CMD", "x"] }, "Hostname": "old",
            });
            view["author"] = json!("someone");
            view["moby.buildkit.cache.v0"] = json!("e30=");
        }
        "docker.io/library/onbuild:1" => {
            view["config"]["OnBuild"] =
                json!(["COPY --from=busybox /bin/x /x", "ENV O=1", "RUN echo $O", "ADD . /src"]);
        }
        "docker.io/shelf/webapp-onbuild:1" => {
            view["config"]["WorkingDir"] = json!("/srv");
            view["config"]["OnBuild"] = json!([
                "ARG NODE_ENV",
                "ENV NODE_ENV=$NODE_ENV",
                "COPY package.json /srv/",
                "RUN npm ci && npm cache clean --force",
                "COPY --chown=node:node . /srv",
                "USER node",
            ]);
        }
        "docker.io/library/badonbuild:1" => view["config"]["OnBuild"] = json!(["RUNN x"]),
        "docker.io/library/empty:1" => {
            view["rootfs"]["diff_ids"] = json!([]);
            view["history"] = json!([{ "created_by": "LABEL x", "empty_layer": true }]);
        }
        "docker.io/library/nohistory:1" => {
            view["rootfs"]["diff_ids"] = json!([BlobDigest::of(b"1"), BlobDigest::of(b"2")]);
            view["history"] = json!([{ "created_by": "ADD x" }, { "created_by": "ENV y", "empty_layer": true }]);
        }
        "docker.io/library/longhistory:1" => {
            view["rootfs"]["diff_ids"] = json!([BlobDigest::of(b"1")]);
            view["history"] = json!([{ "created_by": "ADD x" }, { "created_by": "ADD y" }]);
        }
        "docker.io/library/nopath:1" => view["config"]["Env"] = json!([]),
        _ => {}
    }
    view
}

/// The platform of the manifest that is found, or those that are there.
fn choose(name: &str, wanted: &Platform, any: bool) -> Option<Result<Platform, Vec<Platform>>> {
    let all = || PLATFORMS.map(|(arch, variant)| Platform::new("linux", arch, variant).normalized());
    let pick = |have: Vec<Platform>| {
        let matcher = wanted.matcher();
        let best = have.iter().filter_map(|p| Some((matcher.rank(p)?, p.clone()))).min_by_key(|(rank, _)| *rank);
        best.map(|(_, platform)| platform).ok_or(have)
    };
    Some(match name {
        "docker.io/library/busybox:latest"
        | "docker.io/library/busybox:uclibc"
        | "docker.io/library/alpine:latest"
        | "docker.io/library/alpine:3.16.3"
        | "docker.io/library/golang:1.19"
        | "docker.io/library/rich:1"
        | "docker.io/library/onbuild:1"
        | "docker.io/library/badonbuild:1"
        | "docker.io/library/empty:1"
        | "docker.io/library/nohistory:1"
        | "docker.io/library/longhistory:1"
        | "docker.io/library/nopath:1" => pick(all().to_vec()),
        "docker.io/library/amd64only:1" => pick(vec![Platform::new("linux", "amd64", "")]),
        // One manifest without an index: taken whatever was asked for.
        "docker.io/library/armsingle:1" => Ok(Platform::new("linux", "arm64", "")),
        _ if any => pick(all().to_vec()),
        _ => return None,
    })
}

impl Bridge for ToyBridge {
    fn build_platform(&self) -> Platform {
        Platform::new("linux", "amd64", "")
    }

    fn resolve_image(&self, request: &ImageRequest) -> Result<ResolvedImage, BridgeError> {
        self.asked.lock().unwrap().push(format!("{} for {}", request.log_name, request.platform));
        let reference = request.reference.clone();
        let name = reference.to_string();
        let platform = match choose(&name, &request.platform, self.has_every_image) {
            None => return Err(BridgeError::NoSuchImage { reference: Box::new(reference) }),
            Some(Err(available)) => {
                return Err(BridgeError::NoSuchPlatform {
                    reference: Box::new(reference),
                    wanted: Box::new(request.platform.clone()),
                    available,
                });
            }
            Some(Ok(platform)) => platform,
        };
        let raw = serde_json::to_vec(&config(&name, &platform)).unwrap();
        let digest = BlobDigest::of(name.as_bytes());
        let config = ImageConfig::parse(raw.into()).unwrap();
        Ok(ResolvedImage { reference: reference.with_digest(digest), digest, config, platform })
    }

    fn solve(&self, definition: &Definition) -> Result<RefId, BridgeError> {
        // An archive is unpacked by a step of its own; its files are those of the folder all the same.
        let vertex = definition.vertices.first().unwrap();
        let Op::Source(source) = &vertex.op else { panic!("the frontend solves sources only") };
        self.asked.lock().unwrap().push(format!("{} {:?}", vertex.metadata.name, source.attrs));
        let directory = match source.identifier.as_str() {
            // Repositories and web servers of the cases have their files in this folder.
            remote if remote.starts_with("git://") || remote.starts_with("http") => "remote/".to_owned(),
            "local://dockerfile" => String::new(),
            "local://context" => "context/".to_owned(),
            local if local.starts_with("local://") => format!("named/{}/", &local[8..]),
            other => panic!("unknown source {other}"),
        };
        let mut solved = self.solved.lock().unwrap();
        solved.push(directory);
        Ok(RefId(solved.len() as u64 - 1))
    }

    fn read_file(&self, result: RefId, path: &str, max_bytes: u64) -> Result<Vec<u8>, BridgeError> {
        let prefix = self.solved.lock().unwrap()[usize::try_from(result.0).unwrap()].clone();
        let bytes = self.files.get(&format!("{prefix}{path}")).cloned();
        let bytes = bytes.ok_or_else(|| BridgeError::NoSuchFile { path: path.to_owned() })?;
        let size_bytes = bytes.len() as u64;
        if size_bytes > max_bytes {
            return Err(BridgeError::FileTooLarge { path: path.to_owned(), size_bytes, max_bytes });
        }
        Ok(bytes)
    }

    fn read_head(&self, result: RefId, path: &str, length: u64) -> Result<Vec<u8>, BridgeError> {
        let mut bytes = self.read_file(result, path, u64::MAX)?;
        bytes.truncate(usize::try_from(length).unwrap());
        Ok(bytes)
    }

    fn read_dir(&self, _result: RefId, path: &str) -> Result<Vec<DirEntry>, BridgeError> {
        Err(BridgeError::NoSuchFile { path: path.to_owned() })
    }

    fn stat(&self, _result: RefId, path: &str) -> Result<FileStat, BridgeError> {
        Err(BridgeError::NoSuchFile { path: path.to_owned() })
    }

    fn source_time(&self, result: RefId) -> Result<Option<i64>, BridgeError> {
        let directory = &self.solved.lock().unwrap()[usize::try_from(result.0).unwrap()];
        Ok((directory == "remote/").then_some(1_600_000_000))
    }

    fn evaluate(&self, _result: RefId) -> Result<(), BridgeError> {
        Ok(())
    }

    fn warn(&self, warning: Warning) {
        self.warned.lock().unwrap().push(warning);
    }
}
