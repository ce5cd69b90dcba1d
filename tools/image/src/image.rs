//! An image: a manifest, a configuration and layers.

use std::collections::{BTreeMap, HashMap};

use oci_spec::image::{
    Arch, Config, ConfigBuilder, ImageConfigurationBuilder, ImageManifestBuilder, MediaType, Os,
    RootFsBuilder, SCHEMA_VERSION,
};

use crate::Result;
use crate::blob::Blob;
use crate::layer::Layer;

/// What an image says about itself, by name.
pub type Labels = BTreeMap<String, String>;

/// A whole image under its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The tag.
    pub tag: String,
    /// The manifest, whose digest is the image's.
    pub manifest: Blob,
    /// What the manifest refers to: the configuration, then the layers from the lowest up.
    pub content: Vec<Blob>,
}

/// What an image is made of.
pub struct Parts<'parts> {
    /// The tag.
    pub tag: &'parts str,
    /// The architecture that it runs on; the system is Linux.
    pub architecture: Arch,
    /// When it was made, RFC 3339.
    pub created: String,
    /// How a container of it is started.
    pub run: Run,
    /// What it says about itself: as labels of the configuration, where engines look, and as annotations of the manifest,
    /// where registries do.
    pub labels: &'parts Labels,
    /// Annotations that are no labels, each with its descriptor's manifest.
    pub annotations: &'parts [(&'parts str, &'parts str)],
    /// From the lowest up, each with its annotations.
    pub layers: Vec<(Layer, Vec<(&'parts str, &'parts str)>)>,
}

/// How a container is started.
#[derive(Default)]
pub struct Run {
    /// The program and its first arguments.
    pub entry_point: Vec<String>,
    /// The arguments that a user replaces.
    pub arguments: Vec<String>,
    /// User and group by number, `65532:65532`.
    pub user: Option<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
}

// === impl Image ===

impl Image {
    /// Puts the parts together.
    pub fn of(parts: Parts<'_>) -> Result<Image> {
        let labels: HashMap<String, String> = parts.labels.clone().into_iter().collect();
        let mut annotations = labels.clone();
        annotations.extend(owned(parts.annotations));

        let root = RootFsBuilder::default()
            .typ("layers")
            .diff_ids(parts.layers.iter().map(|(layer, _)| layer.diff_id.clone()).collect::<Vec<_>>())
            .build()?;
        let configuration = ImageConfigurationBuilder::default()
            .created(parts.created)
            .architecture(parts.architecture)
            .os(Os::Linux)
            .config(parts.run.configuration(labels)?)
            .rootfs(root)
            .build()?;
        let configuration = Blob::json(MediaType::ImageConfig, &configuration)?;

        let mut layers = Vec::new();
        for (layer, annotations) in &parts.layers {
            let mut descriptor = layer.blob.descriptor()?;
            if !annotations.is_empty() {
                descriptor.set_annotations(Some(owned(annotations)));
            }
            layers.push(descriptor);
        }
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(configuration.descriptor()?)
            .layers(layers)
            .annotations(annotations)
            .build()?;

        let layers = parts.layers.into_iter().map(|(layer, _)| layer.blob);
        Ok(Image {
            tag: parts.tag.to_owned(),
            manifest: Blob::json(MediaType::ImageManifest, &manifest)?,
            content: std::iter::once(configuration).chain(layers).collect(),
        })
    }

    /// The configuration.
    pub fn configuration(&self) -> Option<&Blob> {
        self.content.first()
    }

    /// The layers, from the lowest up.
    pub fn layers(&self) -> &[Blob] {
        self.content.get(1..).unwrap_or_default()
    }
}

// === impl Run ===

impl Run {
    fn configuration(self, labels: HashMap<String, String>) -> Result<Config> {
        let mut config = ConfigBuilder::default().labels(labels);
        if !self.entry_point.is_empty() {
            config = config.entrypoint(self.entry_point).cmd(self.arguments).working_dir("/");
        }
        if let Some(user) = self.user {
            config = config.user(user);
        }
        if !self.environment.is_empty() {
            config = config.env(self.environment);
        }
        Ok(config.build()?)
    }
}

fn owned(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
