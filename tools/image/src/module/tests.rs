use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::*;
use crate::layout::{self, Layout};

const RELEASE: &str = "1.2.3";

fn provenance() -> Provenance {
    Provenance { seconds: 1_767_225_600, revision: Some("0123abc".to_owned()) }
}

/// A folder with a module for each edition that says what it is and does nothing.
fn dist() -> tempfile::TempDir {
    let dist = tempfile::tempdir().unwrap();
    for edition in EDITIONS {
        let metadata = serde_json::to_string(&edition.metadata(RELEASE)).unwrap();
        write_module(dist.path(), edition.name, &metadata);
    }
    dist
}

fn write_module(dist: &Path, name: &str, metadata: &str) {
    let text = format!("(module (@custom \"sluice\" \"{}\"))", metadata.replace('"', "\\\""));
    fs::write(dist.join(format!("{name}.wasm")), wat::parse_str(text).unwrap()).unwrap();
}

/// The suite's module and both of its images.
fn suite() -> (Module, [Image; 2]) {
    let module = Module::all(dist().path(), RELEASE).unwrap().remove(0);
    let images = module.images(&provenance()).unwrap();
    (module, images)
}

fn json(blob: &Blob) -> Value {
    serde_json::from_slice(&blob.bytes).unwrap()
}

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

/// All files below a folder.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn every_edition_has_an_image_of_its_name_in_both_forms() {
    let modules = Module::all(dist().path(), RELEASE).unwrap();
    let names: Vec<_> = modules.iter().map(Module::name).collect();
    assert_eq!(names, EDITIONS.map(|edition| edition.name));
    for module in &modules {
        let tags = module.images(&provenance()).unwrap().map(|image| image.tag);
        assert_eq!(tags, ["1.2.3", "1.2.3-compat"]);
    }
}

/// What Istio's `extractOCIStandardImage` takes: the last layer, if it is of this type, and in it the first file of this name.
#[test]
fn the_standard_form_is_a_last_layer_with_plugin_wasm() {
    let (module, [image, _]) = suite();
    let last = image.layers().last().unwrap();
    assert_eq!(last.media_type.as_ref(), "application/vnd.oci.image.layer.v1.tar+gzip");
    let tar = unzipped(&last.bytes);
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.path().unwrap().to_str(), Some("plugin.wasm"));
    let header = entry.header();
    assert_eq!(
        (header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap(), header.username().unwrap()),
        (0o644, 0, 0, Some(""))
    );
    let mut content = Vec::new();
    entry.read_to_end(&mut content).unwrap();
    assert_eq!(content, module.bytes);
}

/// What Istio's `extractOCIArtifactImage` takes: exactly two layers, one of this type, as it is.
#[test]
fn the_compat_form_is_two_layers_of_which_one_is_the_module() {
    let (module, [_, image]) = suite();
    assert_eq!(image.layers().len(), 2);
    let of_module: Vec<_> = image
        .layers()
        .iter()
        .filter(|layer| layer.media_type.as_ref() == "application/vnd.module.wasm.content.layer.v1+wasm")
        .collect();
    assert_eq!(of_module.len(), 1);
    assert_eq!(of_module[0].bytes, module.bytes);
    // Istio tries the other form first, by the last layer's type.
    assert_ne!(image.layers()[1].media_type, MediaType::ImageLayerGzip);
    assert_eq!(json(&image.layers()[0])["type"], "envoy_proxy");
}

#[test]
fn manifests_and_configurations_tell_the_truth_about_what_they_name() {
    let (_, images) = suite();
    for image in &images {
        let manifest = json(&image.manifest);
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        let named = std::iter::once(&manifest["config"]).chain(manifest["layers"].as_array().unwrap());
        for (descriptor, blob) in named.zip(&image.content) {
            assert_eq!(descriptor["digest"], format!("sha256:{}", sha256(&blob.bytes)));
            assert_eq!(descriptor["size"], blob.bytes.len());
            assert_eq!(descriptor["mediaType"], blob.media_type.as_ref());
        }
        assert_eq!(manifest["layers"].as_array().unwrap().len() + 1, image.content.len());

        let configuration = json(image.configuration().unwrap());
        let unpacked: Vec<_> = image
            .layers()
            .iter()
            .map(|layer| match layer.media_type {
                MediaType::ImageLayerGzip => format!("sha256:{}", sha256(&unzipped(&layer.bytes))),
                _ => format!("sha256:{}", sha256(&layer.bytes)),
            })
            .collect();
        assert_eq!(configuration["rootfs"]["diff_ids"], serde_json::json!(unpacked));
        assert_eq!(configuration["created"], "2026-01-01T00:00:00Z");
    }
}

#[test]
fn labels_say_what_the_module_is() {
    let (module, images) = suite();
    let sha256 = sha256(&module.bytes);
    let expected = [
        ("org.opencontainers.image.title", "sluice"),
        ("org.opencontainers.image.version", RELEASE),
        ("org.opencontainers.image.source", env!("CARGO_PKG_REPOSITORY")),
        ("org.opencontainers.image.licenses", "Apache-2.0"),
        ("org.opencontainers.image.revision", "0123abc"),
        ("io.sluice.policy-version", "1"),
        ("io.sluice.edition", "sluice"),
        ("io.sluice.sections", &sluice_pipeline::SECTIONS.join(",")),
        (
            "io.sluice.callbacks",
            "proxy_on_request_headers,proxy_on_request_trailers,proxy_on_response_headers,proxy_on_log",
        ),
        ("io.sluice.module-sha256", &sha256),
    ];
    for image in &images {
        let labels = json(image.configuration().unwrap())["config"]["Labels"].clone();
        let annotations = json(&image.manifest)["annotations"].clone();
        for (name, value) in expected {
            assert_eq!(labels[name], value, "{name} of {}", image.tag);
            assert_eq!(annotations[name], value, "{name} of {}", image.tag);
        }
    }
}

#[test]
fn the_labelled_version_of_documents_is_the_one_that_modules_read() {
    let read = |version: &str| {
        serde_json::from_str::<sluice_pipeline::Document>(&format!(r#"{{"version":{version}}}"#)).map(|_| ())
    };
    read(POLICY_VERSION).unwrap();
    let next = POLICY_VERSION.parse::<u32>().unwrap() + 1;
    read(&next.to_string()).unwrap_err();
}

#[test]
fn a_layout_holds_exactly_what_its_index_leads_to() {
    let (_, images) = suite();
    let out = tempfile::tempdir().unwrap();
    Layout::of(&images, "registry.example.com/team/sluice").unwrap().write(out.path(), "sluice").unwrap();
    let files = tree(&out.path().join("sluice"));

    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let names: Vec<_> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["1.2.3", "1.2.3-compat"]);

    let mut reached: Vec<String> = vec!["index.json".to_owned(), "oci-layout".to_owned()];
    let path_of = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap())
    };
    for manifest in index["manifests"].as_array().unwrap() {
        reached.push(path_of(manifest));
        let manifest: Value = serde_json::from_slice(&files[&path_of(manifest)]).unwrap();
        reached.push(path_of(&manifest["config"]));
        reached.extend(manifest["layers"].as_array().unwrap().iter().map(path_of));
    }
    reached.sort();
    assert_eq!(reached, files.keys().cloned().collect::<Vec<_>>());
    for (path, content) in files.iter().filter(|(path, _)| path.starts_with("blobs/")) {
        assert_eq!(path, &format!("blobs/sha256/{}", sha256(content)));
    }
}

#[test]
fn the_tar_holds_the_layout() {
    let (_, images) = suite();
    let out = tempfile::tempdir().unwrap();
    Layout::of(&images, "sluice").unwrap().write(out.path(), "sluice").unwrap();
    let unpacked = out.path().join("unpacked");
    tar::Archive::new(fs::File::open(out.path().join("sluice.tar")).unwrap()).unpack(&unpacked).unwrap();
    assert_eq!(tree(&unpacked), tree(&out.path().join("sluice")));
}

#[test]
fn the_same_modules_give_the_same_bytes_and_what_was_there_before_is_gone() {
    let dist = dist();
    let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    fs::create_dir_all(two.path().join("sluice/blobs")).unwrap();
    fs::write(two.path().join("sluice/blobs/stale"), "from an earlier build").unwrap();
    for out in [&one, &two] {
        for module in Module::all(dist.path(), RELEASE).unwrap() {
            let images = module.images(&provenance()).unwrap();
            Layout::of(&images, module.name()).unwrap().write(out.path(), module.name()).unwrap();
        }
    }
    let files = tree(one.path());
    // Two manifests, two configurations, three layers, the index, the header, and the tar, of each.
    assert_eq!(files.len(), EDITIONS.len() * 10);
    assert_eq!(files, tree(two.path()));
}

#[test]
fn another_commit_gives_another_image() {
    let (module, [image, _]) = suite();
    for other in [Provenance { seconds: 0, ..provenance() }, Provenance { revision: None, ..provenance() }] {
        assert_ne!(module.images(&other).unwrap()[0].manifest.sha256(), image.manifest.sha256());
    }
}

#[test]
fn a_part_of_a_layout_is_a_layout_with_one_manifest() {
    let (_, images) = suite();
    let out = tempfile::tempdir().unwrap();
    Layout::of(&images, "sluice").unwrap().write(out.path(), "sluice").unwrap();
    let tagged = layout::tagged(&out.path().join("sluice")).unwrap();
    assert_eq!(tagged.len(), 2);
    for image in &tagged {
        let part = tempfile::tempdir().unwrap();
        layout::part(&out.path().join("sluice"), image, part.path()).unwrap();
        assert_eq!(layout::tagged(part.path()).unwrap(), std::slice::from_ref(image));
        let digest = image.descriptor.as_digest_sha256().unwrap();
        assert!(part.path().join("blobs/sha256").join(digest).is_file());
    }
}

#[test]
fn what_is_not_the_release_in_dist_is_refused_with_what_to_do() {
    let dist = dist();
    let refused = |expected: &str| {
        let error = Module::all(dist.path(), RELEASE).unwrap_err().to_string();
        assert!(error.contains(expected) && error.ends_with("run `make build`"), "{error}");
    };
    write_module(
        dist.path(),
        "sluice-auth",
        r#"{"version":"1.2.2","edition":"sluice-auth","sections":[],"callbacks":[]}"#,
    );
    refused("is sluice-auth of release 1.2.2, and sluice-auth of release 1.2.3 was expected");
    write_module(
        dist.path(),
        "sluice-auth",
        r#"{"version":"1.2.3","edition":"sluice","sections":[],"callbacks":[]}"#,
    );
    refused("is sluice of release 1.2.3, and sluice-auth of release");
    fs::write(dist.path().join("sluice-auth.wasm"), "text").unwrap();
    refused("sluice-auth.wasm is not a whole WebAssembly module");
    fs::remove_file(dist.path().join("sluice-auth.wasm")).unwrap();
    refused("sluice-auth.wasm is missing");
}

#[test]
fn the_time_is_the_given_one_or_the_commits_or_1970() {
    let folder = tempfile::tempdir().unwrap();
    let created = |epoch| Provenance::of_checkout(folder.path(), epoch).and_then(|found| found.created());
    assert_eq!(created(None).unwrap(), "1970-01-01T00:00:00Z");
    assert_eq!(created(Some("1767225600")).unwrap(), "2026-01-01T00:00:00Z");
    assert!(created(Some("yesterday")).unwrap_err().to_string().contains("SOURCE_DATE_EPOCH is `yesterday`"));

    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(folder.path()).args(["-c", "user.name=n", "-c", "user.email=e@example.com"]);
        command
            .args(["-c", "commit.gpgsign=false"])
            .args(arguments)
            .env("GIT_COMMITTER_DATE", "1767225601 +0000");
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    fs::write(folder.path().join("file"), "one").unwrap();
    git(&["add", "file"]);
    git(&["commit", "--quiet", "--message", "one"]);
    let clean = Provenance::of_checkout(folder.path(), None).unwrap();
    assert_eq!(clean.created().unwrap(), "2026-01-01T00:00:01Z");
    assert_eq!(clean.revision.as_ref().unwrap().len(), 40);
    fs::write(folder.path().join("file"), "two").unwrap();
    let dirty = Provenance::of_checkout(folder.path(), None).unwrap();
    assert_eq!(dirty.revision, clean.revision.map(|revision| format!("{revision}-dirty")));
}
