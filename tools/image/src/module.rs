//! A module of `dist/` as an image, in both forms that Istio takes (its `pkg/wasm/imagefetcher.go`), and the labels that say what it is.

use std::fs;
use std::path::Path;

use oci_spec::image::{
    ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REVISION, ANNOTATION_SOURCE, ANNOTATION_TITLE,
    ANNOTATION_VERSION, Arch, MediaType,
};
use serde_json::json;
use sluice_metadata::Metadata;
use sluice_trim::edition::EDITIONS;

use crate::blob::{Blob, sha256};
use crate::image::{Image, Labels, Parts, Run};
use crate::layer::{Files, Layer};
use crate::provenance::Provenance;
use crate::{Error, Result};

/// The `version` of policy documents that the modules of this release read.
pub const POLICY_VERSION: &str = "1";
/// The label with it.
pub const LABEL_POLICY_VERSION: &str = "io.sluice.policy-version";
/// The label with the edition: the module's file name without `.wasm`.
pub const LABEL_EDITION: &str = "io.sluice.edition";
/// The label with the sections of a document that the module accepts, separated by commas.
pub const LABEL_SECTIONS: &str = "io.sluice.sections";
/// The label with the callbacks of requests that Envoy finds in the module, separated by commas.
pub const LABEL_CALLBACKS: &str = "io.sluice.callbacks";
/// The label with the module's own SHA-256, which a WasmPlugin with an `http://` address and Envoy's `remote` ask for.
pub const LABEL_MODULE_SHA256: &str = "io.sluice.module-sha256";

/// What the tag of the form with two layers ends with.
pub const COMPAT: &str = "-compat";

/// The name of the one file in the standard form: Istio looks for no other.
const PLUGIN: &str = "plugin.wasm";
/// The module as a layer of its own, neither tar nor compressed.
const WASM_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
/// The layer beside it: for which runtime the module is.
const WASM_CONFIGURATION: &str = "application/vnd.module.wasm.config.v1+json";

/// A module and what it says about itself.
#[derive(Debug, Clone)]
pub struct Module {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What it says about itself.
    pub metadata: Metadata,
}

// === impl Module ===

impl Module {
    /// All modules of a release in `dist`.
    ///
    /// # Errors
    /// One is missing, or is not what its name says, or of another release.
    pub fn all(dist: &Path, release: &str) -> Result<Vec<Module>> {
        EDITIONS.iter().map(|edition| Module::read(dist, edition.name, release)).collect()
    }

    fn read(dist: &Path, edition: &str, release: &str) -> Result<Module> {
        let path = dist.join(format!("{edition}.wasm"));
        let bytes = fs::read(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Error::unfit(&path, "is missing: run `make build`")
            } else {
                Error::file("can't read", &path)(error)
            }
        })?;
        let metadata = Metadata::of(&bytes)
            .map_err(|error| Error::unfit(&path, format!("{error}: run `make build`")))?;
        if metadata.edition != edition || metadata.version != release {
            let is = format!("is {} of release {}", metadata.edition, metadata.version);
            return Err(Error::unfit(
                &path,
                format!("{is}, and {edition} of release {release} was expected: run `make build`"),
            ));
        }
        Ok(Module { bytes, metadata })
    }

    /// The name of its image.
    pub fn name(&self) -> &str {
        &self.metadata.edition
    }

    /// Both forms: the standard one under the release's tag, the other under the tag that ends with [`COMPAT`].
    pub fn images(&self, provenance: &Provenance) -> Result<[Image; 2]> {
        Ok([self.standard(provenance)?, self.compat(provenance)?])
    }

    /// The form that all engines and registries know: one layer, a gzipped tar with `plugin.wasm`.
    fn standard(&self, provenance: &Provenance) -> Result<Image> {
        let layer = Files::new().file(PLUGIN, 0o644, self.bytes.clone()).layer()?;
        self.image(
            &self.metadata.version,
            provenance,
            &[("module.wasm.image/variant", "compat")],
            vec![(layer, Vec::new())],
        )
    }

    /// The form of Solo.io's Wasm Artifact Image Specification: the module and a description for its runtime, a layer each.
    fn compat(&self, provenance: &Provenance) -> Result<Image> {
        let runtime = json!({
            "type": "envoy_proxy",
            "abiVersions": ["v0.2.1"],
            "config": { "root_ids": ["sluice"] },
        });
        let runtime = Blob::json(MediaType::Other(WASM_CONFIGURATION.to_owned()), &runtime)?;
        let module = Blob { media_type: MediaType::Other(WASM_LAYER.to_owned()), bytes: self.bytes.clone() };
        self.image(
            &format!("{}{COMPAT}", self.metadata.version),
            provenance,
            &[],
            vec![
                (Layer::plain(runtime), vec![(ANNOTATION_TITLE, "runtime-config.json")]),
                (Layer::plain(module), vec![(ANNOTATION_TITLE, PLUGIN)]),
            ],
        )
    }

    fn image(
        &self,
        tag: &str,
        provenance: &Provenance,
        annotations: &[(&str, &str)],
        layers: Vec<(Layer, Vec<(&str, &str)>)>,
    ) -> Result<Image> {
        Image::of(Parts {
            tag,
            // A module runs on any. But engines refuse to pull, to mount or to unpack what is for an architecture that they
            // don't know, while Istio doesn't look.
            architecture: Arch::Amd64,
            created: provenance.created()?,
            run: Run::default(),
            labels: &self.labels(provenance),
            annotations,
            layers,
        })
    }

    /// What the image says about itself.
    pub fn labels(&self, provenance: &Provenance) -> Labels {
        let metadata = &self.metadata;
        let sections = metadata.sections.join(",");
        let description = format!(
            "A policy filter for Envoy and Istio, as a proxy-wasm module: runs documents with the sections {}",
            metadata.sections.join(", ")
        );
        let mut labels = release_labels(self.name(), &description, &metadata.version, provenance);
        labels.extend(
            [
                (LABEL_POLICY_VERSION, POLICY_VERSION.to_owned()),
                (LABEL_EDITION, metadata.edition.clone()),
                (LABEL_SECTIONS, sections),
                (LABEL_CALLBACKS, metadata.callbacks.join(",")),
                (LABEL_MODULE_SHA256, sha256(&self.bytes)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        labels
    }
}

/// The labels that all our images have (image-spec, annotations.md).
pub fn release_labels(name: &str, description: &str, version: &str, provenance: &Provenance) -> Labels {
    let mut labels: Labels = [
        (ANNOTATION_TITLE, name),
        (ANNOTATION_DESCRIPTION, description),
        (ANNOTATION_VERSION, version),
        (ANNOTATION_SOURCE, env!("CARGO_PKG_REPOSITORY")),
        (ANNOTATION_LICENSES, env!("CARGO_PKG_LICENSE")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if let Some(revision) = &provenance.revision {
        labels.insert(ANNOTATION_REVISION.to_owned(), revision.clone());
    }
    labels
}

#[cfg(test)]
mod tests;
