use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::*;
use crate::blob::sha256;
use crate::layout::Layout;

/// An ELF header for this architecture, without program headers.
fn program(machine: u16) -> Vec<u8> {
    let mut program = vec![0; 64];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    program[18..20].copy_from_slice(&machine.to_le_bytes());
    program
}

fn demo(tour: &[u8], command: &[u8]) -> Result<Image> {
    let folder = tempfile::tempdir().unwrap();
    let [tour_file, command_file] = ["sluice-tour", "sluice"].map(|name| folder.path().join(name));
    fs::write(&tour_file, tour).unwrap();
    fs::write(&command_file, command).unwrap();
    image(Programs { tour: &tour_file, command: &command_file }, &[], "1.2.3", &Provenance::default())
}

#[test]
fn it_starts_the_tour_as_a_user_without_rights() {
    let image = demo(&program(183), &program(183)).unwrap();
    let configuration: Value = serde_json::from_slice(&image.configuration().unwrap().bytes).unwrap();
    assert_eq!(configuration["architecture"], "arm64");
    assert_eq!(configuration["config"]["User"], "65532:65532");
    assert_eq!(configuration["config"]["Entrypoint"], serde_json::json!(["/usr/bin/sluice-tour"]));

    let mut files = Vec::new();
    for layer in image.layers() {
        let mut tar = Vec::new();
        GzDecoder::new(layer.bytes.as_slice()).read_to_end(&mut tar).unwrap();
        for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            files.push((
                entry.path().unwrap().display().to_string(),
                header.mode().unwrap(),
                header.uid().unwrap(),
            ));
        }
    }
    for (path, mode, owner) in [
        ("usr/bin/sluice-tour", 0o755, 0),
        ("usr/bin/sluice", 0o755, 0),
        ("tmp/", 0o1777, 0),
        ("modules/", 0o755, 0),
        ("prepared/orders/", 0o755, 65532),
    ] {
        assert!(files.contains(&(path.to_owned(), mode, owner)), "{path} in {files:?}");
    }
}

#[test]
fn docker_of_any_age_finds_it_in_the_tar() {
    let images = [demo(&program(62), &program(62)).unwrap()];
    let name = "registry.example.com/team/sluice-demo";
    let layout = Layout::of(&images, name).unwrap().loadable_by_old_docker(&images, name).unwrap();
    let files = layout.files();
    let old: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let new: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(old[0]["RepoTags"][0], "registry.example.com/team/sluice-demo:1.2.3");
    assert_eq!(new["manifests"][0]["annotations"]["io.containerd.image.name"], old[0]["RepoTags"][0]);

    let configuration = &files[old[0]["Config"].as_str().unwrap()];
    let configuration: Value = serde_json::from_slice(configuration).unwrap();
    let layers = old[0]["Layers"].as_array().unwrap();
    let unpacked: Vec<_> = layers
        .iter()
        .map(|path| {
            let mut tar = Vec::new();
            GzDecoder::new(files[path.as_str().unwrap()].as_slice()).read_to_end(&mut tar).unwrap();
            format!("sha256:{}", sha256(&tar))
        })
        .collect();
    assert_eq!(configuration["rootfs"]["diff_ids"], serde_json::json!(unpacked));
}

#[test]
fn programs_that_would_not_run_are_refused() {
    let error = demo(b"#!/bin/sh\n", &program(62)).unwrap_err().to_string();
    assert!(error.ends_with("sluice-tour is not a whole 64-bit Linux program"), "{error}");
    let error = demo(&program(62), &program(183)).unwrap_err().to_string();
    assert!(error.ends_with("is for another architecture than sluice-tour"), "{error}");
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    let error = demo(&own, &program(62)).unwrap_err().to_string();
    assert!(error.contains("is linked dynamically"), "{error}");
}
