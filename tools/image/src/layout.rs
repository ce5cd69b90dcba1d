//! OCI image layouts: a folder with `oci-layout`, `index.json` and `blobs/sha256`, and the same as a tar.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageIndex, ImageIndexBuilder, MediaType, OciLayoutBuilder,
    SCHEMA_VERSION,
};
use serde_json::json;

use crate::blob::Blob;
use crate::image::Image;
use crate::layer::Files;
use crate::{Error, Result};

/// Where containerd, and with it newer Docker Engines, looks for an image's whole name when it loads a layout.
const ANNOTATION_WHOLE_NAME: &str = "io.containerd.image.name";

/// The files of a layout by their path.
pub struct Layout {
    files: BTreeMap<String, Vec<u8>>,
}

/// What a folder's index refers to: a manifest and its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The tag.
    pub tag: String,
    /// The manifest.
    pub descriptor: Descriptor,
}

// === impl Layout ===

impl Layout {
    /// A layout of these images. `whole_name` is registry, path and name, to which a container engine that loads the tar adds
    /// the tag.
    pub fn of(images: &[Image], whole_name: &str) -> Result<Layout> {
        let mut files = BTreeMap::new();
        let mut manifests = Vec::new();
        for image in images {
            for blob in image.content.iter().chain([&image.manifest]) {
                files.insert(path_of(&blob.sha256()), blob.bytes.clone());
            }
            let mut descriptor = image.manifest.descriptor()?;
            let names = [
                (ANNOTATION_REF_NAME.to_owned(), image.tag.clone()),
                (ANNOTATION_WHOLE_NAME.to_owned(), format!("{whole_name}:{}", image.tag)),
            ];
            descriptor.set_annotations(Some(names.into_iter().collect()));
            manifests.push(descriptor);
        }
        files.insert("index.json".to_owned(), index_of(manifests)?);
        files.insert("oci-layout".to_owned(), header()?);
        Ok(Layout { files })
    }

    /// Adds `manifest.json`, by which Docker Engine before 25 loads the tar: it knows no OCI layouts. All layers must be tars.
    pub fn loadable_by_old_docker(mut self, images: &[Image], whole_name: &str) -> Result<Layout> {
        let images: Vec<_> = images
            .iter()
            .map(|image| {
                json!({
                    "Config": image.configuration().map(|blob| path_of(&blob.sha256())),
                    "RepoTags": [format!("{whole_name}:{}", image.tag)],
                    "Layers": image.layers().iter().map(|blob| path_of(&blob.sha256())).collect::<Vec<_>>(),
                })
            })
            .collect();
        let list = Blob::json(MediaType::Other("application/json".to_owned()), &images)?;
        self.files.insert("manifest.json".to_owned(), list.bytes);
        Ok(self)
    }

    /// The files by their path.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Writes `<folder>/<name>/` and `<folder>/<name>.tar`, each in place of what was there, whole or not at all.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let unfinished = folder.join(format!(".{name}.unfinished"));
        let finished = folder.join(name);
        remove(&unfinished)?;
        for (path, bytes) in &self.files {
            let file = unfinished.join(path);
            let parent = file.parent().unwrap_or(&unfinished);
            fs::create_dir_all(parent).map_err(Error::file("can't create", parent))?;
            fs::write(&file, bytes).map_err(Error::file("can't write", &file))?;
        }
        remove(&finished)?;
        fs::rename(&unfinished, &finished).map_err(Error::file("can't write", &finished))?;

        let unfinished = folder.join(format!(".{name}.tar.unfinished"));
        let finished = folder.join(format!("{name}.tar"));
        fs::write(&unfinished, self.tar()?).map_err(Error::file("can't write", &unfinished))?;
        fs::rename(&unfinished, &finished).map_err(Error::file("can't write", &finished))
    }

    fn tar(&self) -> Result<Vec<u8>> {
        let folders = Files::new().folder("blobs", 0o755).folder("blobs/sha256", 0o755);
        self.files.iter().fold(folders, |files, (path, bytes)| files.file(path, 0o644, bytes.clone())).tar()
    }
}

/// The manifests that a layout's index lists.
pub fn tagged(layout: &Path) -> Result<Vec<Tagged>> {
    let path = layout.join("index.json");
    let bytes = fs::read(&path).map_err(Error::file("can't read", &path))?;
    let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|error| {
        Error::unfit(&path, format!("is no index of an OCI layout ({error}): run `make images` again"))
    })?;
    Ok(index
        .manifests()
        .iter()
        .filter_map(|descriptor| {
            let tag = descriptor.annotations().as_ref()?.get(ANNOTATION_REF_NAME)?.clone();
            Some(Tagged { tag, descriptor: descriptor.clone() })
        })
        .collect())
}

/// Writes a layout with one of another's manifests alone into the empty folder `part`; the blobs stay where they are.
pub fn part(layout: &Path, image: &Tagged, part: &Path) -> Result<()> {
    let blobs = layout.join("blobs");
    let blobs = blobs.canonicalize().map_err(Error::file("can't find", &blobs))?;
    let link = part.join("blobs");
    std::os::unix::fs::symlink(&blobs, &link).map_err(Error::file("can't write", &link))?;
    let write = |name: &str, bytes: Vec<u8>| {
        let file: PathBuf = part.join(name);
        fs::write(&file, bytes).map_err(Error::file("can't write", &file))
    };
    write("oci-layout", header()?)?;
    write("index.json", index_of(vec![image.descriptor.clone()])?)
}

fn index_of(manifests: Vec<Descriptor>) -> Result<Vec<u8>> {
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()?;
    Ok(Blob::json(MediaType::ImageIndex, &index)?.bytes)
}

fn header() -> Result<Vec<u8>> {
    let header = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
    Ok(Blob::json(MediaType::LayoutHeader, &header)?.bytes)
}

fn path_of(sha256: &str) -> String {
    format!("blobs/sha256/{sha256}")
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("can't remove", folder)(error))
        }
        _ => Ok(()),
    }
}
